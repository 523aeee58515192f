/*
 * One pass follows what the records say of containers and tasks; a second one writes down, for each
 * framework, first what is done and then what lives: an executor id is often used again, and a
 * record of the earlier run must not come behind the later one. Time and memory are linear in the
 * records.
 */
#include "store/checkpoint_compact.h"

#include <stdlib.h>

#include "base/map.h"

#define NONE SIZE_MAX

struct framework {
    size_t latest; /* its FRAMEWORK record; NONE: there is none */
    RV_VEC(struct container *) containers;
    struct rv_map by_executor; /* executor id -> container that lives */
};

struct task {
    RV_VEC(size_t) records;
    size_t terminal; /* the UPDATE that ended it; NONE: none */
    bool over;       /* and it was acknowledged */
};

struct container {
    struct framework *framework;
    size_t executor, done; /* records; NONE: not done */
    bool superseded;       /* a later run of the executor took its place */
    RV_VEC(struct task *) tasks;
    struct rv_map by_task; /* id -> the latest task of that id */
};

struct operation {
    size_t record, done; /* done NONE: its end is not acknowledged */
};

struct compaction {
    const struct rv_checkpoint_head *heads;
    const struct rv_checkpoint_known *known;
    size_t agent;
    size_t anew; /* the latest ANEW with a total, of which no AGENT has taken the place; or NONE */
    RV_VEC(struct framework *) frameworks;
    struct rv_map by_id;        /* framework id -> framework */
    struct rv_map by_container; /* container id -> container */
    RV_VEC(struct operation) operations;
    struct rv_map by_uuid; /* -> the index in operations, plus 1, as a pointer */
    struct rv_checkpoint_order *out;
};

void rv_checkpoint_head(const struct rv_checkpoint *c, struct rv_checkpoint_head *out) {
    *out = (struct rv_checkpoint_head){
        .kind = c->kind,
        .agent_id = c->agent ? c->agent->id.v : NULL,
        .framework_id = c->framework ? c->framework->id.v : c->framework_id.v,
        .executor_id = c->executor_id.v,
        .container_id = c->container_id.v,
        .task_id = c->task_id.v,
    };
    memcpy(out->uuid, c->uuid, sizeof out->uuid);
    if (c->launch) {
        out->executor_id = c->launch->executor->id.v;
        out->container_id = c->launch->container_id.v;
        out->directory = c->launch->directory;
    }
    out->waits = c->operation_status && c->operation_status->has_uuid;
    out->total = c->kind == RV_CHECKPOINT_ANEW && c->total;
    if (c->task)
        out->task_id = c->task->id.v;
    if (c->status) {
        out->task_id = c->status->task_id.v;
        out->terminal = rv_task_state_terminal(c->status->state);
        memcpy(out->uuid, c->status->uuid, sizeof out->uuid);
    }
}

/* --- following the records --- */

static void follow_framework(struct compaction *c, size_t i) {
    const char *id = c->heads[i].framework_id;
    struct framework *f = id ? rv_map_gets(&c->by_id, id) : NULL;

    if (!id)
        return;
    if (!f) {
        f = rv_calloc(1, sizeof *f);
        rv_vec_push(&c->frameworks, f);
        rv_map_put(&c->by_id, rv_str(id), f);
    }
    f->latest = i;
}

static void follow_executor(struct compaction *c, size_t i) {
    const struct rv_checkpoint_head *h = &c->heads[i];
    struct framework *f = h->framework_id ? rv_map_gets(&c->by_id, h->framework_id) : NULL;

    if (!f || !h->executor_id || !h->container_id || rv_map_gets(&c->by_container, h->container_id))
        return;
    struct container *k = rv_calloc(1, sizeof *k);
    k->framework = f;
    k->executor = i;
    k->done = NONE;
    struct container *earlier = rv_map_put(&f->by_executor, rv_str(h->executor_id), k);
    if (earlier)
        earlier->superseded = true;
    rv_map_put(&c->by_container, rv_str(h->container_id), k);
    rv_vec_push(&f->containers, k);
}

static struct task *begin_task(struct container *k, const char *id) {
    struct task *t = rv_calloc(1, sizeof *t), *earlier;

    t->terminal = NONE;
    earlier = rv_map_put(&k->by_task, rv_str(id), t);
    if (earlier)
        earlier->over = true;
    rv_vec_push(&k->tasks, t);
    return t;
}

static void follow_task(struct compaction *c, size_t i) {
    const struct rv_checkpoint_head *h = &c->heads[i];
    struct container *k = h->container_id ? rv_map_gets(&c->by_container, h->container_id) : NULL;
    struct task *t = k && h->task_id ? rv_map_gets(&k->by_task, h->task_id) : NULL;

    if (!k || !h->task_id)
        return;
    if (h->kind == RV_CHECKPOINT_TASK)
        t = begin_task(k, h->task_id);
    if (!t)
        return;
    rv_vec_push(&t->records, i);
    if (h->kind == RV_CHECKPOINT_UPDATE && h->terminal && t->terminal == NONE)
        t->terminal = i;
    if (h->kind == RV_CHECKPOINT_ACKNOWLEDGED && t->terminal != NONE &&
        !memcmp(h->uuid, c->heads[t->terminal].uuid, sizeof h->uuid))
        t->over = true;
}

static void follow_done(struct compaction *c, size_t i) {
    const struct rv_checkpoint_head *h = &c->heads[i];
    struct container *k = h->container_id ? rv_map_gets(&c->by_container, h->container_id) : NULL;

    if (!k)
        return;
    k->done = i;
    if (!k->superseded)
        rv_map_remove(&k->framework->by_executor, rv_str(c->heads[k->executor].executor_id));
}

static void free_framework(struct framework *f) {
    for (size_t i = 0; i < f->containers.n; i++) {
        struct container *k = f->containers.v[i];
        for (size_t j = 0; j < k->tasks.n; j++) {
            rv_vec_free(&k->tasks.v[j]->records);
            free(k->tasks.v[j]);
        }
        rv_vec_free(&k->tasks);
        rv_map_free(&k->by_task);
        free(k);
    }
    rv_vec_free(&f->containers);
    rv_map_free(&f->by_executor);
    free(f);
}

static void follow_operation(struct compaction *c, size_t i) {
    rv_vec_push(&c->operations, ((struct operation){i, NONE}));
    rv_map_put(&c->by_uuid, rv_strn(c->heads[i].uuid, sizeof c->heads[i].uuid),
               (void *)(uintptr_t)c->operations.n);
}

static void follow_operation_done(struct compaction *c, size_t i) {
    struct rv_str uuid = rv_strn(c->heads[i].uuid, sizeof c->heads[i].uuid);
    size_t at = (size_t)(uintptr_t)rv_map_get(&c->by_uuid, uuid);

    if (at)
        c->operations.v[at - 1].done = i;
}

/* What was followed so far is void: the next agent is another one. */
static void begin_anew(struct compaction *c) {
    for (size_t i = 0; i < c->frameworks.n; i++)
        free_framework(c->frameworks.v[i]);
    c->frameworks.n = 0;
    rv_map_clear(&c->by_id);
    rv_map_clear(&c->by_container);
    rv_map_clear(&c->by_uuid);
    c->operations.n = 0;
    c->agent = c->anew = NONE;
}

static void follow_agent(struct compaction *c, size_t i) {
    if (c->agent != NONE && !rv_streq(c->heads[c->agent].agent_id, c->heads[i].agent_id))
        begin_anew(c);
    c->agent = i;
    c->anew = NONE;
}

static void follow(struct compaction *c, size_t i) {
    switch (c->heads[i].kind) {
    case RV_CHECKPOINT_AGENT:
        follow_agent(c, i);
        return;
    case RV_CHECKPOINT_ANEW:
        begin_anew(c);
        c->anew = c->heads[i].total ? i : NONE;
        return;
    case RV_CHECKPOINT_FRAMEWORK:
        follow_framework(c, i);
        return;
    case RV_CHECKPOINT_EXECUTOR:
        follow_executor(c, i);
        return;
    case RV_CHECKPOINT_TASK:
    case RV_CHECKPOINT_UPDATE:
    case RV_CHECKPOINT_ACKNOWLEDGED:
        follow_task(c, i);
        return;
    case RV_CHECKPOINT_EXECUTOR_DONE:
        follow_done(c, i);
        return;
    case RV_CHECKPOINT_OPERATION:
        follow_operation(c, i);
        return;
    case RV_CHECKPOINT_OPERATION_DONE:
        follow_operation_done(c, i);
        return;
    case RV_CHECKPOINT_KIND_MAX:
        return;
    }
}

/* --- writing down --- */

static void keep(struct compaction *c, size_t record) {
    rv_vec_push(&c->out->kept, record);
}

/* Executors first: in replay the framework goes with the last of them that is done. */
static void keep_done(struct compaction *c, struct framework *f) {
    RV_VEC(struct container *) done = {0};

    for (size_t i = 0; i < f->containers.n; i++) {
        struct container *k = f->containers.v[i];
        const char *directory = c->heads[k->executor].directory;
        if (k->done != NONE && directory && c->known->directory(c->known->ctx, directory))
            rv_vec_push(&done, k);
    }
    if (done.n)
        keep(c, f->latest);
    for (size_t i = 0; i < done.n; i++)
        keep(c, done.v[i]->executor);
    for (size_t i = 0; i < done.n; i++)
        keep(c, done.v[i]->done);
    rv_vec_free(&done);
}

/* The last one stays in any case: it has what the agent's resources have become. */
static void keep_operations(struct compaction *c) {
    for (size_t i = 0; i < c->operations.n; i++) {
        const struct operation *o = &c->operations.v[i];
        bool over = o->done != NONE || !c->heads[o->record].waits;
        if (over && i + 1 < c->operations.n)
            continue;
        keep(c, o->record);
        if (o->done != NONE)
            keep(c, o->done);
    }
}

static int compare_records(const void *a, const void *b) {
    const size_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* In the order they were written. */
static void keep_live(struct compaction *c, struct framework *f) {
    RV_VEC(size_t) records = {0};

    for (size_t i = 0; i < f->containers.n; i++) {
        struct container *k = f->containers.v[i];
        if (k->done != NONE || k->superseded)
            continue;
        rv_vec_push(&records, k->executor);
        for (size_t j = 0; j < k->tasks.n; j++) {
            struct task *t = k->tasks.v[j];
            if (!t->over || j + 1 == k->tasks.n)
                for (size_t l = 0; l < t->records.n; l++)
                    rv_vec_push(&records, t->records.v[l]);
        }
    }
    if (records.n || c->known->framework(c->known->ctx, c->heads[f->latest].framework_id))
        keep(c, f->latest);
    if (records.n)
        qsort(records.v, records.n, sizeof *records.v, compare_records);
    for (size_t i = 0; i < records.n; i++)
        keep(c, records.v[i]);
    rv_vec_free(&records);
}

void rv_checkpoint_compact(const struct rv_checkpoint_head *heads, size_t n,
                           const struct rv_checkpoint_known *known,
                           struct rv_checkpoint_order *out) {
    struct compaction c = {.heads = heads, .known = known, .agent = NONE, .anew = NONE, .out = out};

    for (size_t i = 0; i < n; i++)
        follow(&c, i);
    if (c.agent != NONE)
        keep(&c, c.agent);
    if (c.anew != NONE)
        keep(&c, c.anew);
    keep_operations(&c);
    for (size_t i = 0; i < c.frameworks.n; i++) {
        keep_done(&c, c.frameworks.v[i]);
        keep_live(&c, c.frameworks.v[i]);
    }
    begin_anew(&c);
    rv_vec_free(&c.frameworks);
    rv_vec_free(&c.operations);
    rv_map_free(&c.by_uuid);
    rv_map_free(&c.by_id);
    rv_map_free(&c.by_container);
}

void rv_checkpoint_order_free(struct rv_checkpoint_order *o) {
    rv_vec_free(&o->kept);
}
