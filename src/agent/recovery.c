/*
 * Recovery: from the checkpoints of an earlier agent to the records, and what to do with executors
 * that outlived it or did not.
 *
 * What always holds: the agent keeps its id (INV-17); it registers only when all executors that
 * still live are back, or their time is over (INV-18); what it hears after is the same as if it had
 * never been away. Records come in the order they were written; one that does not fit is a reason
 * to refuse (INV-19), or, if the agent is lenient, counted and passed over. Containers that no
 * record names are destroyed. An agent that is not as the one before was is refused (INV-20); after
 * a reboot, when nothing runs, it is another one instead (INV-17).
 */
#include "agent/internal.h"

static void bad_record(struct rv_agent *a, const struct rv_checkpoint *c) {
    const char *kind = rv_checkpoint_kind_name(c->kind);

    a->counters.recovery_errors++;
    if (a->config.lenient) {
        rv_agent_log(a, RV_LOG_ERROR,
                     "checkpoint %llu (%s) does not fit what is there: passed over",
                     (unsigned long long)c->seq, kind);
    } else if (!a->refusal) {
        a->refusal = rv_asprintf(
            "checkpoint %llu (%s) does not fit those before it. Start with --no-strict to go on "
            "without what does not fit, or with --recover=cleanup to end all that the earlier "
            "agent ran",
            (unsigned long long)c->seq, kind);
    }
}

/* --- replay --- */

static void replay_agent(struct rv_agent *a, const struct rv_checkpoint *c) {
    if (!c->agent || !c->agent->id.v) {
        bad_record(a, c);
        return;
    }
    free((char *)(uintptr_t)a->info.id.v);
    a->info.id.v = rv_strdup(c->agent->id.v);
}

static void replay_framework(struct rv_agent *a, const struct rv_checkpoint *c) {
    struct rv_agent_framework *fw;

    if (!c->framework || !c->framework->id.v) {
        bad_record(a, c);
        return;
    }
    fw = rv_agent_framework_make(a, c->framework);
    rv_framework_info_free(&fw->info);
    fw->info = (struct rv_framework_info){0};
    rv_framework_info_copy(&fw->info, c->framework);
    fw->info.checkpoint = true; /* else it would not be here */
    fw->kept = RV_KEPT_YES;
}

static void forget_tasks(struct rv_agent *a, struct rv_agent_executor *ex) {
    struct rv_agent_task *t;

    for (size_t i = 0; rv_map_next(&ex->tasks, &i, NULL, (void **)&t);) {
        rv_agent_task_complete(a, t);
    }
}

/* Its record says that nothing of it is left. Its sandbox, if it is there, is found as such. */
static void replay_done(struct rv_agent *a, struct rv_agent_executor *ex) {
    forget_tasks(a, ex);
    ex->state = RV_EXECUTOR_TERMINATED;
    ex->kept = RV_KEPT_NO; /* it is written already that it is done */
    rv_map_remove(&a->containers, rv_str(ex->container_id.v));
    rv_agent_directory_left(a, ex->directory);
    rv_agent_check_executor(a, ex);
    rv_agent_sweep(a);
}

static void replay_executor(struct rv_agent *a, const struct rv_checkpoint *c) {
    const struct rv_launch *l = c->launch;
    struct rv_agent_framework *fw;
    struct rv_agent_executor *ex;

    fw = rv_agent_framework_find(a, c->framework_id.v);
    if (!l || !l->executor || !l->executor->id.v || !l->container_id.v || !l->directory || !fw ||
        rv_map_gets(&a->containers, l->container_id.v)) {
        bad_record(a, c);
        return;
    }
    ex = rv_map_gets(&fw->executors, l->executor->id.v);
    if (ex) { /* an earlier run, of which the last record is missing */
        replay_done(a, ex);
    }
    ex = rv_agent_executor_make(a, fw, l->executor, l->container_id.v, l->directory, l->user);
    ex->kept = RV_KEPT_YES;
    ex->started = true;
}

static void replay_task(struct rv_agent *a, const struct rv_checkpoint *c) {
    struct rv_agent_framework *fw = rv_agent_framework_find(a, c->framework_id.v);
    struct rv_agent_executor *ex = fw ? rv_map_gets(&fw->executors, c->executor_id.v) : NULL;
    struct rv_agent_task *t;

    if (!ex || !c->task || !c->task->id.v) {
        bad_record(a, c);
        return;
    }
    t = rv_map_gets(&fw->tasks, c->task->id.v);
    if (t) { /* an earlier one, over since: that it was acknowledged could not be written */
        rv_agent_task_complete(a, t);
    }
    t = rv_agent_task_make(ex, c->task);
    t->kept = RV_KEPT_YES;
    t->place = RV_TASK_LAUNCHED; /* perhaps: the executor will tell */
}

static void replay_update(struct rv_agent *a, const struct rv_checkpoint *c) {
    struct rv_agent_framework *fw = rv_agent_framework_find(a, c->framework_id.v);
    const char *id = c->status ? c->status->task_id.v : NULL;
    struct rv_agent_task *t = fw ? rv_map_gets(&fw->tasks, id) : NULL;

    if (!t || !c->status->has_uuid) {
        bad_record(a, c);
    } else if (t->place != RV_TASK_TERMINATED) {
        rv_agent_update_push(a, t, c->status, true);
        t->executor->got_task = true;
    }
}

static void replay_acknowledged(struct rv_agent *a, const struct rv_checkpoint *c) {
    struct rv_agent_framework *fw = rv_agent_framework_find(a, c->framework_id.v);
    struct rv_agent_task *t = fw ? rv_map_gets(&fw->tasks, c->task_id.v) : NULL;

    size_t n = 0;

    while (t && n < t->updates.n && memcmp(t->updates.v[n].status.uuid, c->uuid, 16) != 0) {
        n++;
    }
    if (!t || n == t->updates.n) {
        bad_record(a, c);
        return;
    }
    for (n++; n > 0; n--) { /* with those before it: they come in order */
        rv_agent_update_pop(t);
    }
    if (t->updates.n == 0 && t->place == RV_TASK_TERMINATED) {
        rv_agent_task_complete(a, t);
    }
}

static void replay(struct rv_agent *a, const struct rv_checkpoint *c) {
    struct rv_agent_executor *ex;

    switch (c->kind) {
    case RV_CHECKPOINT_AGENT:
        replay_agent(a, c);
        break;
    case RV_CHECKPOINT_FRAMEWORK:
        replay_framework(a, c);
        break;
    case RV_CHECKPOINT_EXECUTOR:
        replay_executor(a, c);
        break;
    case RV_CHECKPOINT_TASK:
        replay_task(a, c);
        break;
    case RV_CHECKPOINT_UPDATE:
        replay_update(a, c);
        break;
    case RV_CHECKPOINT_ACKNOWLEDGED:
        replay_acknowledged(a, c);
        break;
    case RV_CHECKPOINT_EXECUTOR_DONE:
        ex = rv_map_gets(&a->containers, c->container_id.v);
        if (ex) { /* else it was refused before its own record was written */
            replay_done(a, ex);
        }
        break;
    case RV_CHECKPOINT_OPERATION:
        if (!rv_agent_operation_replay(a, c)) {
            bad_record(a, c);
        }
        break;
    case RV_CHECKPOINT_OPERATION_DONE:
        if (!rv_agent_operation_done_replay(a, c)) {
            bad_record(a, c);
        }
        break;
    case RV_CHECKPOINT_ANEW: /* the replay began behind the last one */
    case RV_CHECKPOINT_KIND_MAX:
        bad_record(a, c);
        break;
    }
}

/* --- what is left --- */

static bool is_alive(const struct rv_agent_recovered *r, const char *id) {
    for (size_t i = 0; i < r->n_alive; i++) {
        if (rv_streq(r->alive[i].v, id)) {
            return true;
        }
    }
    return false;
}

static void settle(struct rv_agent *a, struct rv_agent_executor *ex, bool alive, bool rebooted) {
    struct rv_agent_end end = {.reason = RV_REASON_NONE, .rebooted = rebooted, .recovered = true};

    if (!alive) {
        rv_agent_executor_ended(a, ex, &end);
        return;
    }
    ex->state = RV_EXECUTOR_RUNNING;
    ex->launched = ex->recovered = true;
    a->recovering = true;
}

/* --- as whom --- */

/* Where the records of the latest agent begin: one of another id knows nothing of those before. */
static size_t beginning(const struct rv_agent_recovered *r) {
    const char *id = NULL;
    size_t from = 0;

    for (size_t i = 0; i < r->n; i++) {
        const struct rv_checkpoint *c = &r->records[i];
        if (c->kind == RV_CHECKPOINT_ANEW) {
            from = i + 1;
            id = NULL;
        } else if (c->kind == RV_CHECKPOINT_AGENT && c->agent) {
            if (!id || !rv_streq(id, c->agent->id.v)) {
                from = id || from ? i : 0;
            }
            id = c->agent->id.v;
        }
    }
    return id || !from ? from : r->n;
}

static void refuse_as_other(struct rv_agent *a, const char *why) {
    const char *additive =
        a->config.additive ? "" : ", or --reconfiguration_policy=additive if it only has more";

    a->refusal = rv_asprintf("this agent is not what it was: %s. Give it the flags it had%s, or "
                             "start it with --recover=cleanup, which ends all that it runs, and "
                             "then again",
                             why, additive);
}

static void refuse_made(struct rv_agent *a, const char *why) {
    a->refusal = rv_asprintf(
        "this agent's resources do not fit what was reserved and which volumes were made: %s. Give "
        "it the resources that it had, undo what is too much (DESTROY, UNRESERVE) and then change "
        "them; or, to lose all reservations and all data in volumes, start it with "
        "--recover=cleanup and remove the folders meta and volumes in its work_dir",
        why);
}

/* Whether the agent may go on as the one that wrote this. */
static bool may_go_on(struct rv_agent *a, const struct rv_checkpoint *latest, bool rebooted) {
    struct rv_buf why = {0};

    rv_agent_keep_detected(a, latest->agent);
    rv_agent_judge(a, latest->agent, &why);
    bool ok = why.n == 0 || a->config.cleanup;
    if (!ok && rebooted) {
        a->counters.recovery_errors++;
        rv_agent_log(a, RV_LOG_WARNING,
                     "after a reboot this is another agent, for it is not what it was: %s",
                     why.data);
    } else if (!ok) {
        refuse_as_other(a, why.data);
    }
    rv_buf_free(&why);
    return ok;
}

/* Containers that another containerizer made are not found by this one. */
static void judge_containerizer(struct rv_agent *a, const struct rv_checkpoint *latest) {
    const char *before = latest->containerizer, *now = a->config.containerizer;

    if (before && now && !rv_streq(before, now) && rv_map_count(&a->containers) && !a->refusal &&
        !a->config.cleanup) {
        refuse_as_other(
            a, rv_arena_printf(&a->out->arena, "containerizer: %s before, %s now", before, now));
    }
}

/* What operations made stays, whoever the agent is now; it must still be there (INV-20). */
static void recover_total(struct rv_agent *a, const struct rv_agent_recovered *r) {
    const struct rv_resources *before = NULL;
    const char *problem;

    for (size_t i = 0; i < r->n; i++) {
        enum rv_checkpoint_kind kind = r->records[i].kind;
        if (kind == RV_CHECKPOINT_AGENT || kind == RV_CHECKPOINT_ANEW ||
            kind == RV_CHECKPOINT_OPERATION) {
            before = r->records[i].total;
        }
    }
    problem = rv_agent_total_recover(a, before);
    if (problem && !a->refusal && !a->config.cleanup) {
        refuse_made(a, problem);
    }
}

/* --- all of it --- */

static void settle_all(struct rv_agent *a, const struct rv_agent_recovered *r, bool rebooted) {
    struct rv_agent_framework *fw;
    struct rv_agent_executor *ex;

    for (size_t i = 0; i < r->n_alive; i++) {
        const char *id = rv_agent_hold_string(a, r->alive[i].v);
        if (!rv_map_gets(&a->containers, id)) {
            rv_map_put(&a->orphans, rv_str(id), a);
            rv_agent_emit(a, RV_AGENT_DESTROY_CONTAINER)->container.v = id;
        }
    }
    for (size_t i = 0; rv_map_next(&a->containers, &i, NULL, (void **)&ex);) {
        settle(a, ex, !rebooted && is_alive(r, ex->container_id.v), rebooted);
    }
    for (size_t i = 0; rv_map_next(&a->frameworks, &i, NULL, (void **)&fw);) {
        if (rv_map_count(&fw->executors)) {
            continue;
        }
        if (fw->completed.n) {
            rv_agent_framework_complete(a, fw);
        } else {
            rv_map_remove(&a->frameworks, rv_str(fw->id.v));
            rv_agent_framework_free(fw);
        }
    }
}

void rv_agent_recover(struct rv_agent *a, const struct rv_agent_recovered *r) {
    const struct rv_checkpoint *latest = NULL;
    size_t from = beginning(r);
    bool rebooted = false;

    a->counters.recovery_errors += r->errors;
    for (size_t i = from; i < r->n; i++) {
        if (r->records[i].kind == RV_CHECKPOINT_AGENT && r->records[i].agent) {
            latest = &r->records[i];
        }
    }
    while (!latest && from < r->n && r->records[from].kind == RV_CHECKPOINT_EXECUTOR_DONE) {
        from++; /* it was refused, for nothing before its end could be written */
    }
    if (!latest && from < r->n) {
        bad_record(a, &r->records[from]); /* of whom? */
    }
    if (latest) {
        rebooted =
            latest->boot_id && a->config.boot_id && !rv_streq(latest->boot_id, a->config.boot_id);
        if (!may_go_on(a, latest, rebooted)) {
            latest = NULL;
        }
    }
    recover_total(a, r);
    /* A framework may have been kept by what could not be written: it is over only at the end. */
    a->replaying = true;
    for (size_t i = from; i < r->n && latest && !a->refusal; i++) {
        replay(a, &r->records[i]);
    }
    a->replaying = false;
    if (latest && !rebooted) {
        judge_containerizer(a, latest);
    }
    if (a->refusal) {
        return;
    }
    /* A new boot id must be kept, else the next start would see a reboot again. */
    a->info_kept = latest && !rebooted && rv_agent_info_same(&a->info, latest->agent) ? RV_KEPT_YES
                                                                                      : RV_KEPT_NO;
    settle_all(a, r, rebooted);
    rv_agent_garbage_recover(a, r->sandboxes, r->n_sandboxes);
    rv_agent_volumes_recover(a, r);
    if (a->config.cleanup) {
        rv_agent_stop(a, true, 0, "all that an earlier agent ran here has ended");
    } else if (a->recovering) {
        rv_timer_set(&a->timers, &a->reconnect, a->now_ms + a->config.executor_reregistration_ms);
    }
}

const char *rv_agent_refused(const struct rv_agent *a) {
    return a->refusal;
}

void rv_agent_recovery_check(struct rv_agent *a) {
    struct rv_agent_executor *ex;

    if (!a->recovering) {
        return;
    }
    for (size_t i = 0; rv_map_next(&a->containers, &i, NULL, (void **)&ex);) {
        if (ex->recovered) {
            return;
        }
    }
    a->recovering = false;
    a->recovered_ms = a->now_ms;
    rv_timer_cancel(&a->timers, &a->reconnect);
    if (a->master_known) {
        rv_agent_master_found(a);
    }
}

/* Who is not back by now will not come back: INV-18. The check follows at the end of the step. */
void rv_agent_reconnect_due(struct rv_agent *a) {
    struct rv_agent_executor *ex;

    for (size_t i = 0; rv_map_next(&a->containers, &i, NULL, (void **)&ex);) {
        if (ex->recovered) {
            ex->recovered = false;
            rv_agent_executor_destroy(a, ex, RV_REASON_EXECUTOR_REREGISTRATION_TIMEOUT,
                                      "The executor did not come back to the restarted agent");
        }
    }
}
