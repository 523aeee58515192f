/* Copies and releases of tasks, executors and statuses. Blobs and kinds of resources are shared,
 * strings are copied. */
#include "model/task.h"

#include <stdlib.h>

#include "base/memory.h"

static void free_id(const char *id) {
    free((void *)(uintptr_t)id);
}

void rv_executor_info_free(struct rv_executor_info *e) {
    if (!e)
        return;
    free_id(e->id.v);
    free_id(e->framework_id.v);
    rv_resources_free(&e->resources);
    rv_blob_unref(e->packed);
    rv_blob_unref(e->whole);
    free(e->problem);
    *e = (struct rv_executor_info){0};
}

void rv_executor_info_copy(struct rv_executor_info *out, const struct rv_executor_info *e) {
    struct rv_executor_info c = *e;
    c.id.v = rv_strdup(e->id.v);
    c.framework_id.v = rv_strdup(e->framework_id.v);
    c.resources = (struct rv_resources){0};
    rv_resources_copy(&c.resources, &e->resources);
    c.packed = rv_blob_ref(e->packed);
    c.whole = rv_blob_ref(e->whole);
    c.problem = rv_strdup(e->problem);
    *out = c;
}

void rv_executor_info_forget(struct rv_executor_info *e) {
    rv_blob_unref(e->whole);
    e->whole = NULL;
}

void rv_task_info_forget(struct rv_task_info *t) {
    rv_blob_unref(t->whole);
    t->whole = NULL;
    if (t->executor)
        rv_executor_info_forget(t->executor);
}

void rv_task_info_free(struct rv_task_info *t) {
    if (!t)
        return;
    free_id(t->id.v);
    free(t->name);
    free_id(t->agent_id.v);
    rv_resources_free(&t->resources);
    rv_executor_info_free(t->executor);
    free(t->executor);
    rv_blob_unref(t->packed);
    rv_blob_unref(t->whole);
    free(t->problem);
    *t = (struct rv_task_info){0};
}

void rv_task_info_copy(struct rv_task_info *out, const struct rv_task_info *t) {
    struct rv_task_info c = *t;
    c.id.v = rv_strdup(t->id.v);
    c.name = rv_strdup(t->name);
    c.agent_id.v = rv_strdup(t->agent_id.v);
    c.resources = (struct rv_resources){0};
    rv_resources_copy(&c.resources, &t->resources);
    if (t->executor) {
        c.executor = rv_calloc(1, sizeof *c.executor);
        rv_executor_info_copy(c.executor, t->executor);
    }
    c.packed = rv_blob_ref(t->packed);
    c.whole = rv_blob_ref(t->whole);
    c.problem = rv_strdup(t->problem);
    *out = c;
}

void rv_task_status_free(struct rv_task_status *s) {
    if (!s)
        return;
    free_id(s->task_id.v);
    free(s->message);
    free_id(s->agent_id.v);
    free_id(s->executor_id.v);
    free_id(s->container_id.v);
    rv_blob_unref(s->rest);
    *s = (struct rv_task_status){0};
}

void rv_task_status_copy(struct rv_task_status *out, const struct rv_task_status *s) {
    struct rv_task_status c = *s;
    c.task_id.v = rv_strdup(s->task_id.v);
    c.message = rv_strdup(s->message);
    c.agent_id.v = rv_strdup(s->agent_id.v);
    c.executor_id.v = rv_strdup(s->executor_id.v);
    c.container_id.v = rv_strdup(s->container_id.v);
    c.rest = rv_blob_ref(s->rest);
    *out = c;
}
