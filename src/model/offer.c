/* Copies and releases of operations. */
#include "model/offer.h"

#include <stdlib.h>

#include "base/memory.h"

void rv_operation_free(struct rv_operation *o) {
    if (!o)
        return;
    free((void *)(uintptr_t)o->id.v);
    for (size_t i = 0; i < o->n_tasks; i++)
        rv_task_info_free(&o->tasks[i]);
    free(o->tasks);
    rv_executor_info_free(o->executor);
    free(o->executor);
    rv_resources_free(&o->resources);
    rv_resources_free(&o->source);
    rv_blob_unref(o->packed);
    free(o->problem);
    *o = (struct rv_operation){0};
}

void rv_operation_copy(struct rv_operation *out, const struct rv_operation *o) {
    struct rv_operation c = *o;
    c.id.v = rv_strdup(o->id.v);
    c.tasks = o->n_tasks ? rv_calloc(o->n_tasks, sizeof *c.tasks) : NULL;
    for (size_t i = 0; i < o->n_tasks; i++)
        rv_task_info_copy(&c.tasks[i], &o->tasks[i]);
    if (o->executor) {
        c.executor = rv_calloc(1, sizeof *c.executor);
        rv_executor_info_copy(c.executor, o->executor);
    }
    c.resources = c.source = (struct rv_resources){0};
    rv_resources_copy(&c.resources, &o->resources);
    rv_resources_copy(&c.source, &o->source);
    c.packed = rv_blob_ref(o->packed);
    c.problem = rv_strdup(o->problem);
    *out = c;
}
