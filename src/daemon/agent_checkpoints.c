/*
 * The agent's journal of checkpoints: reading it at the start and keeping it small. It is compacted
 * at every start, and when it is four times as large as after the last time (at least 4 MiB): what
 * compaction costs is then a fraction of what was written. It blocks the loop for one read and one
 * write of the file. If it fails, the journal goes on as it is and the next try is later.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "containerizer/state.h"
#include "daemon/agent_containers.h"
#include "daemon/agent_daemon.h"
#include "daemon/folders.h"
#include "store/checkpoint_compact.h"

#define MODULE "agent"
#define COMPACT_MIN ((uint64_t)4 << 20)
#define COMPACT_GROWTH 4

static int recover_record(void *ctx, struct rv_str record, struct rv_error *err) {
    struct rv_agent_recovery *r = ctx;
    struct rv_checkpoint c;
    int failed = rv_checkpoint_decode(record, &r->arena, &c, err);

    r->n_read++;
    if (failed && r->lenient) {
        RV_ERROR(MODULE, "checkpoint %zu is passed over: %s", r->n_read,
                 err ? err->message : "it cannot be read");
        r->errors++;
        return 0;
    }
    if (failed)
        return failed;
    c.seq = r->n_read; /* for messages */
    rv_vec_push(&r->records, c);
    return 0;
}

/* A damaged file is kept, and what is whole of it goes on. */
static int mend(struct rv_agent_recovery *r, const char *path, struct rv_error *err) {
    char *aside;
    int failed = rv_journal_repair(path, &aside, err);

    if (!failed && aside) {
        RV_ERROR(MODULE, "%s was damaged: what is whole of it goes on, the damaged file is %s",
                 path, aside);
        r->errors++;
        free(aside);
    }
    return failed;
}

int rv_agent_checkpoints_open(struct rv_agent_daemon *d, struct rv_agent_recovery *out,
                              struct rv_error *err) {
    _cleanup_free_ char *meta = rv_asprintf("%s/meta", d->work_dir);
    _cleanup_free_ char *path = rv_asprintf("%s/checkpoints.journal", meta);
    bool cleanup = rv_streq(d->flags->recover, "cleanup");
    int r = rv_make_folder(meta, err);

    *out = (struct rv_agent_recovery){.lenient = !d->flags->strict || cleanup};
    rv_arena_init(&out->arena);
    if (!r && out->lenient)
        r = mend(out, path, err);
    if (!r)
        r = rv_journal_open(d->loop, path, recover_record, out, &d->journal, err);
    if (r == -RV_ERR_CORRUPT && !out->lenient)
        rv_error_prefix(err, "cannot recover (--no-strict goes on with what can be read)");
    return r;
}

/* Whose containers they are is only known while the machine has not been rebooted. */
static bool is_of_this_boot(const struct rv_agent_daemon *d, const struct rv_agent_recovery *r) {
    const char *boot_id = NULL;

    for (size_t i = 0; i < r->records.n; i++)
        if (r->records.v[i].kind == RV_CHECKPOINT_AGENT && r->records.v[i].boot_id)
            boot_id = r->records.v[i].boot_id;
    return boot_id && d->boot_id && rv_streq(boot_id, d->boot_id);
}

int rv_agent_checkpoints_check_containers(struct rv_agent_daemon *d, struct rv_agent_recovery *r,
                                          struct rv_error *err) {
    bool looks = is_of_this_boot(d, r);
    int rc = looks ? rv_container_states_check(d->runtime.records, err) : 0;

    if (!rc && looks && d->runtime.before)
        rc = rv_container_states_check(d->runtime.before, err);
    if (!rc && looks)
        rc = rv_api_records_check(d->work_dir, err);
    if (rc == -RV_ERR_CORRUPT && r->lenient) {
        RV_ERROR(MODULE, "%s: what is known of that container is lost", err->message);
        r->errors++;
        return 0;
    }
    if (rc == -RV_ERR_CORRUPT)
        rv_error_prefix(err, "cannot recover (--no-strict goes on without that container)");
    return rc;
}

void rv_agent_recovery_free(struct rv_agent_recovery *r) {
    for (size_t i = 0; i < r->records.n; i++)
        rv_checkpoint_release(&r->records.v[i]);
    rv_vec_free(&r->records);
    rv_arena_free(&r->arena);
}

/* --- compaction --- */

struct contents {
    struct rv_arena arena, scratch;
    RV_VEC(struct rv_checkpoint_head) heads;
    RV_VEC(struct rv_str) records;
};

static const char *held(struct contents *c, const char *s) {
    return s ? rv_arena_strdup(&c->arena, s) : NULL;
}

static int read_record(void *ctx, struct rv_str record, struct rv_error *err) {
    struct contents *c = ctx;
    struct rv_checkpoint_head h;
    struct rv_checkpoint decoded;
    int r = rv_checkpoint_decode(record, &c->scratch, &decoded, err);

    if (r)
        return r;
    rv_checkpoint_head(&decoded, &h);
    h.framework_id = held(c, h.framework_id);
    h.executor_id = held(c, h.executor_id);
    h.container_id = held(c, h.container_id);
    h.task_id = held(c, h.task_id);
    h.directory = held(c, h.directory);
    rv_vec_push(&c->heads, h);
    rv_vec_push(&c->records, rv_strn(rv_arena_memdup(&c->arena, record.s, record.n), record.n));
    rv_checkpoint_release(&decoded);
    rv_arena_reset(&c->scratch);
    return 0;
}

static bool is_framework(void *ctx, const char *id) {
    const struct rv_agent_daemon *d = ctx;

    return rv_map_gets(&d->core->frameworks, id) != NULL;
}

static bool is_there(void *ctx, const char *path) {
    (void)ctx;
    return !access(path, F_OK);
}

static int rewrite(struct rv_agent_daemon *d, struct contents *c, struct rv_error *err) {
    const struct rv_checkpoint_known known = {is_framework, is_there, d};
    struct rv_checkpoint_order order = {0};
    RV_VEC(struct rv_str) kept = {0};
    int r = rv_journal_read(d->journal, read_record, c, err);

    if (!r) {
        rv_checkpoint_compact(c->heads.v, c->heads.n, &known, &order);
        for (size_t i = 0; i < order.kept.n; i++)
            rv_vec_push(&kept, c->records.v[order.kept.v[i]]);
        if (kept.n < c->records.n)
            r = rv_journal_rewrite(d->journal, kept.v, kept.n, err);
    }
    rv_checkpoint_order_free(&order);
    rv_vec_free(&kept);
    return r;
}

void rv_agent_checkpoints_compact(struct rv_agent_daemon *d) {
    uint64_t before = rv_journal_size(d->journal);
    struct contents c = {0};
    struct rv_error err;

    if (before < d->compact_at)
        return;
    rv_arena_init(&c.arena);
    rv_arena_init(&c.scratch);
    int r = rewrite(d, &c, &err);
    uint64_t after = rv_journal_size(d->journal);
    if (r == -RV_ERR_CONFLICT) {
        RV_DEBUG(MODULE, "checkpoints are compacted later: %s", err.message);
    } else if (r) {
        RV_WARN(MODULE, "cannot compact the checkpoints: %s", err.message);
        d->compact_at = after + COMPACT_MIN;
    } else {
        RV_DEBUG(MODULE, "compacted the checkpoints: %llu bytes were %llu",
                 (unsigned long long)after, (unsigned long long)before);
        d->compact_at = RV_MAX(COMPACT_MIN, COMPACT_GROWTH * after);
    }
    rv_vec_free(&c.heads);
    rv_vec_free(&c.records);
    rv_arena_free(&c.arena);
    rv_arena_free(&c.scratch);
}
