/* Copies and releases of what agents say about themselves. */
#include "model/agent_info.h"

#include <stdlib.h>

#include "base/memory.h"

void rv_agent_info_free(struct rv_agent_info *a) {
    if (!a)
        return;
    free((void *)(uintptr_t)a->id.v);
    free(a->hostname);
    free(a->ip);
    free(a->region);
    free(a->zone);
    rv_resources_free(&a->resources);
    rv_attributes_free(&a->attributes);
    free(a->version);
    rv_blob_unref(a->domain);
    *a = (struct rv_agent_info){0};
}

void rv_agent_info_copy(struct rv_agent_info *out, const struct rv_agent_info *a) {
    struct rv_agent_info c = *a;
    c.id.v = rv_strdup(a->id.v);
    c.hostname = rv_strdup(a->hostname);
    c.ip = rv_strdup(a->ip);
    c.region = rv_strdup(a->region);
    c.zone = rv_strdup(a->zone);
    c.resources = (struct rv_resources){0};
    rv_resources_copy(&c.resources, &a->resources);
    c.attributes = (struct rv_attributes){0};
    rv_attributes_copy(&c.attributes, &a->attributes);
    c.version = rv_strdup(a->version);
    c.domain = rv_blob_ref(a->domain);
    *out = c;
}
