/*
 * A small line language for the master's core: events in, effects out, readable. Used by the
 * transcripts (tests/transcripts) and by the stories of test_master.c.
 *
 *   master id=M KEY=N ...           a master (implied: id M): any time of rv_master_config by its
 *                                   name without _ms, max_..., role_whitelist=r,.., gone=ID, and
 *                                   quota=r limits=cpus:1: the registry has this quota, too
 *   t=1500                          time goes on to 1,500 ms; ticks as deadlines fall due
 *   scheduler S1 CALL key=value ... a call; S1 names the scheduler's stream, and its stream id
 *   agent A1 CALL key=value ...     likewise
 *   operator O1 CALL key=value ...
 *   close S1                        the stream breaks
 *   ... accept offers=.. reserve=o1@cpus!r:1 create=o2@disk!r#v1:64 launch=t1@disk!r#v1:64
 *                                   operations, in the order of the line: see on_resources()
 *   operator O1 operate agent=M-S0 reserve=@cpus!r:1
 *   registry manual|auto|ok|fail    writes wait for `ok` or `fail`, or are done at once (auto)
 *   restart id=N                    a new leader, with what the registry holds
 *   show                            books and tasks
 *
 * After each step rv_master_check must find nothing. Effects are lines that begin with "->"; logs
 * are left out.
 */
#ifndef RV_TESTS_MASTER_SCRIPT_H
#define RV_TESTS_MASTER_SCRIPT_H

#include "master_script_text.h"

/* --- steps --- */

static void step(struct script *s, struct rv_master_event *e) {
    const char *problem;

    e->now_ms = s->now_ms;
    e->wall_ns = s->now_ms * 1000000;
    rv_master_step(s->m, e, &s->out);
    for (size_t i = 0; i < s->out.n; i++)
        put_effect(s, &s->out.v[i]);
    rv_effects_clear(&s->out);
    problem = rv_master_check(s->m);
    if (problem) {
        rv_buf_printf(&s->text, "-> BREACH %s\n", problem);
        s->failed = true;
    }
}

static void registry_done(struct script *s, bool ok) {
    struct rv_master_event e = {.kind = RV_MASTER_REGISTRY_DONE};

    if (s->writes.n == 0)
        return;
    e.registry.seq = s->writes.v[0];
    e.registry.ok = ok;
    rv_vec_remove_at(&s->writes, 0);
    step(s, &e);
}

static void run_step(struct script *s, struct rv_master_event *e) {
    step(s, e);
    while (!s->manual && s->writes.n)
        registry_done(s, true);
}

static void go_to(struct script *s, int64_t t) {
    struct rv_master_event e = {.kind = RV_MASTER_TICK};

    for (unsigned ticks = 0; rv_master_deadline(s->m) <= t && ticks < 100000; ticks++) {
        s->now_ms = RV_MAX(s->now_ms, rv_master_deadline(s->m));
        run_step(s, &e);
    }
    s->now_ms = RV_MAX(s->now_ms, t);
}

/* --- calls --- */

static uint32_t framework_capabilities(struct script *s, const char *text) {
    static const char *const names[] = {
#define X(name, number) [number] = #name,
        RV_FRAMEWORK_CAPABILITIES(X)
#undef X
    };
    uint32_t bits = 0;
    char **v;
    size_t n = split(s, text, ',', &v);

    for (size_t i = 0; i < n; i++)
        for (unsigned j = 0; j < RV_COUNT(names); j++)
            if (rv_streq(v[i], names[j]))
                bits |= 1u << j;
    return bits;
}

/* As a framework would have sent it: the registry keeps that. */
static struct rv_blob *packed_framework(struct script *s, const struct rv_framework_info *f) {
    Reeve__V1__FrameworkInfo *m = RV_WIRE_MAKE(&s->arena, FrameworkInfo, framework_info);

    m->user = f->user;
    m->name = f->name;
    m->principal = f->principal;
    m->has_failover_timeout = m->has_checkpoint = 1;
    m->failover_timeout = (double)f->failover_timeout_ms / 1000;
    m->checkpoint = f->checkpoint;
    m->roles = f->roles;
    m->n_roles = f->n_roles;
    m->capabilities = RV_ARENA_ARRAY(&s->arena, Reeve__V1__FrameworkInfo__Capability *, 32);
    for (int i = 0; i < 32; i++) {
        if (!(f->capabilities & 1u << i))
            continue;
        m->capabilities[m->n_capabilities] =
            RV_WIRE_MAKE(&s->arena, FrameworkInfo__Capability, framework_info__capability);
        m->capabilities[m->n_capabilities]->has_type = 1;
        m->capabilities[m->n_capabilities++]->type = i;
    }
    rv_vec_push(&s->packed, rv_wire_pack(&m->base));
    return s->packed.v[s->packed.n - 1];
}

static void forget_packed(struct script *s) {
    while (s->packed.n)
        rv_blob_unref(s->packed.v[--s->packed.n]);
}

static struct rv_framework_info *framework_info(struct script *s) {
    struct rv_framework_info *f = RV_ARENA_NEW(&s->arena, struct rv_framework_info);
    const char *roles = arg(s, "roles");

    f->id.v = arg(s, "id");
    f->name = rv_arena_strdup(&s->arena, arg(s, "name") ? arg(s, "name") : "f");
    f->user = rv_arena_strdup(&s->arena, arg(s, "user") ? arg(s, "user") : "u");
    f->principal = rv_arena_strdup(&s->arena, arg(s, "principal"));
    f->failover_timeout_ms = number(s, "failover", 0);
    f->checkpoint = number(s, "checkpoint", 0) != 0;
    f->capabilities = framework_capabilities(s, arg(s, "caps")) | 1u << RV_FRAMEWORK_MULTI_ROLE |
                      1u << RV_FRAMEWORK_RESERVATION_REFINEMENT;
    f->n_roles = split(s, roles ? roles : "r", ',', &f->roles);
    f->packed = packed_framework(s, f);
    return f;
}

static size_t offer_ids(struct script *s, struct rv_offer_id **out) {
    char **v;
    size_t n = split(s, arg(s, "offers"), ',', &v);

    *out = RV_ARENA_ARRAY(&s->arena, struct rv_offer_id, n);
    for (size_t i = 0; i < n; i++)
        (*out)[i].v = v[i];
    return n;
}

/* e1@cpus:0.1 */
static struct rv_executor_info *executor_info(struct script *s, const char *text,
                                              enum rv_executor_type type) {
    struct rv_executor_info *x = RV_ARENA_NEW(&s->arena, struct rv_executor_info);
    char **v;
    size_t n = split(s, text, '@', &v);

    if (n == 0)
        return NULL;
    x->type = type;
    x->id.v = v[0];
    x->resources = resources(n > 1 ? v[1] : NULL);
    x->shutdown_grace_ms = -1;
    x->packed = rv_blob_new(text, strlen(text));
    return x;
}

/* t1@cpus:1;mem:32+t2@cpus:1@own+... ; tasks=... of an operation */
static void tasks(struct script *s, const char *text, const char *agent, struct rv_operation *op) {
    char **v, **parts;
    size_t n = split(s, text, '+', &v);
    bool group = op->type == RV_OP_LAUNCH_GROUP;

    op->tasks = RV_ARENA_ARRAY(&s->arena, struct rv_task_info, n);
    op->n_tasks = n;
    for (size_t i = 0; i < n; i++) {
        struct rv_task_info *t = &op->tasks[i];
        size_t n_parts = split(s, v[i], '@', &parts);

        t->id.v = parts[0];
        t->name = parts[0];
        t->agent_id.v = agent;
        t->resources = resources(n_parts > 1 ? parts[1] : NULL);
        t->kill_grace_ms = t->max_completion_ms = -1;
        t->own_cgroups = n_parts > 2 && rv_streq(parts[2], "own");
        t->executor = group ? NULL : executor_info(s, arg(s, "executor"), RV_EXECUTOR_CUSTOM);
    }
    if (group)
        op->executor = executor_info(s, arg(s, "executor"), RV_EXECUTOR_DEFAULT);
}

static void free_operations(struct rv_scheduler_call *c) {
    for (size_t i = 0; i < c->accept.n_operations; i++) {
        struct rv_operation *op = &c->accept.operations[i];

        rv_resources_free(&op->resources);
        rv_resources_free(&op->source);
        for (size_t j = 0; j < op->n_tasks; j++) {
            rv_resources_free(&op->tasks[j].resources);
            if (op->tasks[j].executor) {
                rv_resources_free(&op->tasks[j].executor->resources);
                rv_blob_unref(op->tasks[j].executor->packed);
            }
        }
        if (op->executor) {
            rv_resources_free(&op->executor->resources);
            rv_blob_unref(op->executor->packed);
        }
    }
}

/* reserve=ID@resources[@source], and in the same way unreserve, create, destroy; grow=ID@volume@
 * addition, shrink=ID@volume@amount. An empty id: without feedback. Other words: nothing. */
static void on_resources(struct script *s, const char *word, struct rv_operation *op) {
    static const struct {
        const char *word;
        enum rv_operation_type type;
    } words[] = {{"reserve=", RV_OP_RESERVE},  {"unreserve=", RV_OP_UNRESERVE},
                 {"create=", RV_OP_CREATE},    {"destroy=", RV_OP_DESTROY},
                 {"grow=", RV_OP_GROW_VOLUME}, {"shrink=", RV_OP_SHRINK_VOLUME}};
    char **parts;
    size_t n;

    for (size_t i = 0; i < RV_COUNT(words); i++) {
        if (strncmp(word, words[i].word, strlen(words[i].word)) != 0)
            continue;
        n = split(s, word + strlen(words[i].word), '@', &parts);
        op->type = words[i].type;
        op->id.v = n > 0 && *parts[0] ? parts[0] : NULL;
        op->resources = resources(n > 1 ? parts[1] : NULL);
        if (op->type == RV_OP_SHRINK_VOLUME)
            op->subtract = n > 2 ? atoll(parts[2]) * 1000 : 0;
        else
            op->source = resources(n > 2 ? parts[2] : NULL);
        for (size_t j = 0; arg(s, "role") && j < op->resources.n; j++)
            rv_resources_allocate(&op->resources, arg(s, "role"));
    }
}

static void accept_call(struct script *s, struct rv_scheduler_call *c) {
    struct rv_operation *ops = RV_ARENA_ARRAY(&s->arena, struct rv_operation, RV_COUNT(s->words));
    const char *agent = arg(s, "agent");
    struct rv_master_offer *first;

    c->accept.n_offer_ids = offer_ids(s, &c->accept.offer_ids);
    c->accept.refuse_ms = number(s, "refuse", 5000);
    c->accept.operations = ops;
    first = c->accept.n_offer_ids ? rv_map_gets(&s->m->offers, c->accept.offer_ids[0].v) : NULL;
    if (!agent)
        agent = first ? rv_arena_strdup(&s->arena, first->agent->id.v) : "M-S0";
    for (size_t i = 0; i < s->n_words; i++) {
        struct rv_operation *op = &ops[c->accept.n_operations];

        if (strncmp(s->words[i], "launch=", 7) == 0) {
            op->type = RV_OP_LAUNCH;
            op->id.v = arg(s, "launch_id");
            tasks(s, s->words[i] + 7, agent, op);
        } else if (strncmp(s->words[i], "group=", 6) == 0) {
            op->type = RV_OP_LAUNCH_GROUP;
            op->id.v = arg(s, "launch_id");
            tasks(s, s->words[i] + 6, agent, op);
        } else {
            on_resources(s, s->words[i], op);
        }
        c->accept.n_operations += op->type != RV_OP_UNKNOWN;
    }
}

/* t1@AGENT,t2 */
static void reconcile_call(struct script *s, struct rv_scheduler_call *c) {
    char **v, **parts;
    bool ops = c->type == RV_CALL_RECONCILE_OPERATIONS;
    size_t n = split(s, arg(s, ops ? "operations" : "tasks"), ',', &v);
    struct rv_task_ref *refs = RV_ARENA_ARRAY(&s->arena, struct rv_task_ref, n);
    struct rv_operation_ref *op_refs = RV_ARENA_ARRAY(&s->arena, struct rv_operation_ref, n);

    for (size_t i = 0; i < n; i++) {
        size_t n_parts = split(s, v[i], '@', &parts);

        op_refs[i].operation_id.v = refs[i].task_id.v = parts[0];
        op_refs[i].agent_id.v = refs[i].agent_id.v = n_parts > 1 ? parts[1] : NULL;
    }
    if (ops) {
        c->reconcile_operations.operations = op_refs;
        c->reconcile_operations.n = n;
    } else {
        c->reconcile.tasks = refs;
        c->reconcile.n = n;
    }
}

static enum rv_scheduler_call_type call_type(const char *name) {
    static const char *const names[] = {
#define X(name, number) [number] = #name,
        RV_SCHEDULER_CALLS(X)
#undef X
    };

    for (unsigned i = 0; i < RV_COUNT(names); i++)
        if (names[i] && strcasecmp(names[i], name) == 0)
            return (enum rv_scheduler_call_type)i;
    return RV_CALL_UNKNOWN;
}

static void fill_scheduler_call(struct script *s, struct rv_scheduler_call *c) {
    switch (c->type) {
    case RV_CALL_SUBSCRIBE:
    case RV_CALL_UPDATE_FRAMEWORK:
        c->subscribe.info = framework_info(s);
        c->subscribe.n_suppressed_roles =
            split(s, arg(s, "suppressed"), ',', &c->subscribe.suppressed_roles);
        break;
    case RV_CALL_ACCEPT:
        accept_call(s, c);
        break;
    case RV_CALL_DECLINE:
    case RV_CALL_ACCEPT_INVERSE_OFFERS:
    case RV_CALL_DECLINE_INVERSE_OFFERS:
        c->accept.n_offer_ids = offer_ids(s, &c->accept.offer_ids);
        c->accept.refuse_ms = number(s, "refuse", 5000);
        break;
    case RV_CALL_REVIVE:
    case RV_CALL_SUPPRESS:
        c->roles.n_roles = split(s, arg(s, "roles"), ',', &c->roles.roles);
        break;
    case RV_CALL_KILL:
        c->kill.task_id.v = arg(s, "task");
        c->kill.agent_id.v = arg(s, "agent");
        c->kill.grace_ms = number(s, "grace", -1);
        break;
    case RV_CALL_SHUTDOWN:
        c->shutdown.agent_id.v = arg(s, "agent");
        c->shutdown.executor_id.v = arg(s, "executor");
        break;
    case RV_CALL_ACKNOWLEDGE:
        c->acknowledge.agent_id.v = arg(s, "agent") ? arg(s, "agent") : "M-S0";
        c->acknowledge.task_id.v = arg(s, "task");
        memset(c->acknowledge.uuid, (int)number(s, "uuid", 0), 16);
        break;
    case RV_CALL_ACKNOWLEDGE_OPERATION_STATUS:
        c->acknowledge_operation.agent_id.v = arg(s, "agent") ? arg(s, "agent") : "M-S0";
        c->acknowledge_operation.operation_id.v = arg(s, "operation");
        memset(c->acknowledge_operation.uuid, (int)number(s, "uuid", 0), 16);
        break;
    case RV_CALL_RECONCILE:
    case RV_CALL_RECONCILE_OPERATIONS:
        reconcile_call(s, c);
        break;
    case RV_CALL_MESSAGE:
        c->message.agent_id.v = arg(s, "agent");
        c->message.executor_id.v = arg(s, "executor");
        c->message.data = rv_str(arg(s, "data"));
        break;
    default:
        break;
    }
}

static void scheduler_line(struct script *s) {
    struct party *p = party(s, s->words[1]);
    struct rv_scheduler_call c = {.type = call_type(s->words[2])};
    struct rv_master_event e = {.kind = RV_MASTER_SCHEDULER_CALL, .scheduler = &c};
    const char *stream_id = arg(s, "stream_id");
    void *v;

    e.request = new_number(s, p);
    e.principal = arg(s, "as");
    c.framework_id.v = arg(s, "id");
    fill_scheduler_call(s, &c);
    if (c.type == RV_CALL_SUBSCRIBE) {
        e.stream = new_number(s, p);
        e.stream_id = stream_id;
    } else {
        e.stream_id = rv_streq(stream_id, "none") ? NULL : stream_id ? stream_id : p->stream_id;
        for (size_t it = 0; !c.framework_id.v && rv_map_next(&s->m->frameworks, &it, NULL, &v);)
            if (p->stream && ((struct rv_master_framework *)v)->stream == p->stream)
                c.framework_id.v =
                    rv_arena_strdup(&s->arena, ((struct rv_master_framework *)v)->id.v);
    }
    run_step(s, &e);
    if (c.type == RV_CALL_ACCEPT)
        free_operations(&c);
}

static enum rv_task_state state_of(const char *name) {
    static const char *const names[] = {
#define X(name, number) [number] = #name,
        RV_TASK_STATES(X)
#undef X
    };

    for (unsigned i = 0; name && i < RV_COUNT(names); i++)
        if (rv_streq(names[i], name))
            return (enum rv_task_state)i;
    fprintf(stderr, "no such state: %s\n", name ? name : "(none)");
    abort();
}

static enum rv_operation_state operation_state(const char *name) {
    for (int i = 0; name && i < RV_OPERATION_STATE_MAX; i++)
        if (strcmp(rv_operation_state_name(i) + strlen("OPERATION_"), name) == 0)
            return (enum rv_operation_state)i;
    fprintf(stderr, "no such state: %s\n", name ? name : "(none)");
    abort();
}

static uint32_t agent_capabilities(const struct script *s) {
    return 1u << RV_AGENT_MULTI_ROLE | 1u << RV_AGENT_HIERARCHICAL_ROLE |
           1u << RV_AGENT_RESERVATION_REFINEMENT |
           (arg(s, "old") ? 0
                          : 1u << RV_AGENT_AGENT_DRAINING | 1u << RV_AGENT_RESIZE_VOLUME |
                                1u << RV_AGENT_AGENT_OPERATION_FEEDBACK);
}

/* total=resources operations=NUMBER[@STATE@uuid]+...: by their numbers as told */
static void registration_of_operations(struct script *s, struct rv_agent_call *c) {
    struct rv_resources *total = RV_ARENA_NEW(&s->arena, struct rv_resources);
    char **v, **parts;
    size_t n = split(s, arg(s, "operations"), '+', &v);

    *total = resources(arg(s, "total"));
    c->registration.total = arg(s, "total") ? total : NULL;
    c->registration.operations = RV_ARENA_ARRAY(&s->arena, struct rv_operation_view, n);
    for (size_t i = 0; i < n; i++) {
        struct rv_operation_view *view = &c->registration.operations[c->registration.n_operations];
        struct rv_operation_status *status = RV_ARENA_NEW(&s->arena, struct rv_operation_status);
        size_t n_parts = split(s, v[i], '@', &parts), number = (size_t)atoll(parts[0]);

        if (number >= s->operations.n)
            continue;
        c->registration.n_operations++;
        view->operation = &s->operations.v[number].operation;
        view->framework_id.v = s->operations.v[number].framework_id;
        memcpy(view->uuid, s->operations.v[number].uuid, 16);
        view->status = n_parts > 1 ? status : NULL;
        status->state = n_parts > 1 ? operation_state(parts[1]) : RV_OPERATION_PENDING;
        status->has_uuid = n_parts > 2;
        memset(status->uuid, n_parts > 2 ? atoi(parts[2]) : 0, 16);
    }
}

/* tasks=t1@FRAMEWORK@STATE@resources[@uuid][@executor]+... executors=e@FRAMEWORK@resources+...
 * frameworks=ID,... */
static void registration(struct script *s, struct rv_agent_call *c, struct rv_agent_info *info) {
    char **v, **p;
    size_t n;

    info->hostname = rv_arena_strdup(&s->arena, arg(s, "host") ? arg(s, "host") : s->words[1]);
    info->ip = rv_arena_strdup(&s->arena, "10.0.0.1");
    info->port = (int32_t)number(s, "port", 0);
    info->capabilities = agent_capabilities(s);
    info->resources = resources(arg(s, "resources") ? arg(s, "resources") : "cpus:4;mem:1024");
    c->registration.info = info;
    n = split(s, arg(s, "tasks"), '+', &v);
    c->registration.tasks = RV_ARENA_ARRAY(&s->arena, struct rv_task_view, n);
    c->registration.n_tasks = n;
    for (size_t i = 0; i < n; i++) {
        struct rv_task_info *t = RV_ARENA_NEW(&s->arena, struct rv_task_info);
        struct rv_task_view *view = &c->registration.tasks[i];
        size_t parts = split(s, v[i], '@', &p);

        t->id.v = t->name = p[0];
        t->agent_id = c->agent_id;
        t->resources = resources(p[3]);
        rv_resources_allocate(&t->resources, arg(s, "role") ? arg(s, "role") : "r");
        view->framework_id.v = p[1];
        view->state = view->update_state = state_of(p[2]);
        view->executor_id.v = parts > 5 ? p[5] : p[0];
        view->command = parts <= 5;
        view->info = t;
        view->has_update_uuid = parts > 4 && *p[4];
        memset(view->update_uuid, parts > 4 ? atoi(p[4]) : 0, 16);
    }
    n = split(s, arg(s, "executors"), '+', &v);
    c->registration.executors = RV_ARENA_ARRAY(&s->arena, struct rv_executor_view, n);
    c->registration.n_executors = n;
    for (size_t i = 0; i < n; i++) {
        struct rv_executor_info *x = RV_ARENA_NEW(&s->arena, struct rv_executor_info);

        split(s, v[i], '@', &p);
        x->type = RV_EXECUTOR_CUSTOM;
        x->id.v = p[0];
        x->resources = resources(p[2]);
        rv_resources_allocate(&x->resources, "r");
        c->registration.executors[i].framework_id.v = p[1];
        c->registration.executors[i].info = x;
    }
    n = split(s, arg(s, "frameworks"), ',', &v);
    c->registration.frameworks = RV_ARENA_ARRAY(&s->arena, struct rv_framework_info, n);
    c->registration.n_frameworks = n;
    for (size_t i = 0; i < n; i++) {
        c->registration.frameworks[i] = *framework_info(s);
        c->registration.frameworks[i].id.v = v[i];
    }
    registration_of_operations(s, c);
}

static void free_registration(struct rv_agent_call *c, struct rv_agent_info *info) {
    rv_resources_free(&info->resources);
    if (c->registration.total)
        rv_resources_free((struct rv_resources *)(uintptr_t)c->registration.total);
    for (size_t i = 0; i < c->registration.n_tasks; i++)
        rv_resources_free(
            &((struct rv_task_info *)(uintptr_t)c->registration.tasks[i].info)->resources);
    for (size_t i = 0; i < c->registration.n_executors; i++)
        rv_resources_free(
            &((struct rv_executor_info *)(uintptr_t)c->registration.executors[i].info)->resources);
}

static void update_call(struct script *s, struct rv_agent_call *c, struct rv_task_status *u) {
    u->task_id.v = arg(s, "task");
    u->state = state_of(arg(s, "state"));
    u->source = RV_SOURCE_EXECUTOR;
    u->has_source = true;
    u->reason = RV_REASON_NONE;
    u->agent_id = c->agent_id;
    u->healthy = -1;
    u->has_uuid = arg(s, "uuid") != NULL;
    memset(u->uuid, (int)number(s, "uuid", 0), 16);
    c->update.framework_id.v = arg(s, "framework") ? arg(s, "framework") : "M-0000";
    c->update.status = u;
    c->update.latest_state = arg(s, "latest") ? state_of(arg(s, "latest")) : u->state;
}

/* n=NUMBER state=STATE [uuid=] [message=] */
static void operation_call(struct script *s, struct rv_agent_call *c,
                           struct rv_operation_status *o) {
    size_t n = (size_t)number(s, "n", 0);

    c->type = RV_AGENT_CALL_OPERATION_STATUS;
    memset(c->operation.operation, 0xff, 16);
    if (n < s->operations.n) {
        memcpy(c->operation.operation, s->operations.v[n].uuid, 16);
        o->operation_id = s->operations.v[n].operation.id;
        c->operation.framework_id.v = s->operations.v[n].framework_id;
    }
    o->state = operation_state(arg(s, "state"));
    o->message = arg(s, "message");
    o->has_uuid = arg(s, "uuid") != NULL;
    memset(o->uuid, (int)number(s, "uuid", 0), 16);
    c->operation.status = o;
}

static void agent_line(struct script *s) {
    struct party *p = party(s, s->words[1]);
    const char *what = s->words[2];
    struct rv_agent_call c = {0};
    struct rv_agent_info info = {0};
    struct rv_operation_status operation = {0};
    struct rv_task_status status = {0};
    struct rv_resources total = {0};
    struct rv_master_event e = {.kind = RV_MASTER_AGENT_CALL, .agent = &c};
    const char *framework = arg(s, "framework") ? arg(s, "framework") : "M-0000";

    e.request = new_number(s, p);
    e.stream_id = arg(s, "stream_id");
    c.agent_id.v = arg(s, "id") ? arg(s, "id") : p->agent_id;
    if (rv_streq(what, "register") || rv_streq(what, "reregister")) {
        c.type = rv_streq(what, "register") ? RV_AGENT_CALL_REGISTER : RV_AGENT_CALL_REREGISTER;
        e.stream = new_number(s, p);
        registration(s, &c, &info);
        c.registration.life = (uint64_t)number(s, "life", 0);
        c.registration.attempt = (uint64_t)number(s, "attempt", 0);
    } else if (rv_streq(what, "pong")) {
        c.type = RV_AGENT_CALL_PONG;
    } else if (rv_streq(what, "update")) {
        c.type = RV_AGENT_CALL_STATUS_UPDATE;
        update_call(s, &c, &status);
    } else if (rv_streq(what, "exited")) {
        c.type = RV_AGENT_CALL_EXECUTOR_EXITED;
        c.exited.framework_id.v = framework;
        c.exited.executor_id.v = arg(s, "executor");
        c.exited.status = (int32_t)number(s, "status", 0);
    } else if (rv_streq(what, "message")) {
        c.type = RV_AGENT_CALL_FRAMEWORK_MESSAGE;
        c.message.framework_id.v = framework;
        c.message.executor_id.v = arg(s, "executor");
        c.message.data = rv_str(arg(s, "data"));
    } else if (rv_streq(what, "total")) {
        c.type = RV_AGENT_CALL_UPDATE_AGENT;
        total = resources(arg(s, "resources"));
        c.total = &total;
    } else if (rv_streq(what, "operation")) {
        operation_call(s, &c, &operation);
    } else if (rv_streq(what, "unregister")) {
        c.type = RV_AGENT_CALL_UNREGISTER;
    }
    RV_ASSERT(c.type);
    run_step(s, &e);
    if (c.type == RV_AGENT_CALL_REGISTER || c.type == RV_AGENT_CALL_REREGISTER)
        free_registration(&c, &info);
    rv_resources_free(&total);
}

/* windows=host/ip+host/ip@START@DURATION,...; machines=host/ip,... */
static void machines_of_line(struct script *s, struct rv_operator_call *c) {
    const char *windows = arg(s, "windows");
    char **v, **parts, **names, **halves;
    size_t n = split(s, windows ? windows : arg(s, "machines"), ',', &v);
    struct rv_machine *machines = RV_ARENA_ARRAY(&s->arena, struct rv_machine, 64);

    for (size_t i = 0; i < n; i++) {
        size_t n_parts = split(s, v[i], '@', &parts), n_names = split(s, parts[0], '+', &names);

        for (size_t j = 0; j < n_names; j++) {
            struct rv_machine *m = &machines[c->n_machines++];

            m->hostname = split(s, names[j], '/', &halves) ? halves[0] : NULL;
            m->ip = halves[1];
            m->window = (uint32_t)i;
            m->place = (uint32_t)j;
            m->mode = RV_MACHINE_DRAINING;
            m->away.start_ns = n_parts > 1 ? atoll(parts[1]) : 0;
            m->away.has_duration = n_parts > 2;
            m->away.duration_ns = n_parts > 2 ? atoll(parts[2]) : 0;
        }
    }
    c->machines = machines;
}

static void call_about_nodes(struct script *s, const char *what, struct rv_operator_call *c) {
    static const struct {
        const char *word;
        enum rv_operator_call_type type;
    } calls[] = {
        {"gone", RV_OPERATOR_MARK_AGENT_GONE},
        {"drain", RV_OPERATOR_DRAIN_AGENT},
        {"deactivate", RV_OPERATOR_DEACTIVATE_AGENT},
        {"reactivate", RV_OPERATOR_REACTIVATE_AGENT},
        {"schedule", RV_OPERATOR_UPDATE_MAINTENANCE_SCHEDULE},
        {"down", RV_OPERATOR_START_MAINTENANCE},
        {"up", RV_OPERATOR_STOP_MAINTENANCE},
    };
    struct rv_deactivation *drain = RV_ARENA_NEW(&s->arena, struct rv_deactivation);

    for (size_t i = 0; i < RV_COUNT(calls); i++)
        if (rv_streq(calls[i].word, what))
            c->type = calls[i].type;
    c->agent_id.v = arg(s, "agent");
    drain->has_max_grace = arg(s, "grace") != NULL;
    drain->max_grace_ns = number(s, "grace", 0) * 1000000;
    drain->mark_gone = number(s, "mark_gone", 0) != 0;
    c->drain = drain;
    machines_of_line(s, c);
}

static struct rv_quantities quantities(struct script *s, const char *text) {
    struct rv_quantities heap = {0}, out;
    struct rv_resources r = {0};
    struct rv_error err;

    if (text && rv_resources_parse(text, "*", &r, &err))
        fail_msg("%s", err.message);
    rv_quantities_add_resources(&heap, &r);
    rv_resources_free(&r);
    out =
        (struct rv_quantities){rv_arena_memdup(&s->arena, heap.v, heap.n * sizeof *heap.v), heap.n};
    for (size_t i = 0; i < heap.n; i++)
        out.v[i].name = rv_arena_strdup(&s->arena, heap.v[i].name);
    rv_quantities_free(&heap);
    return out;
}

/* roles=a,b limits=cpus:1;mem:2,cpus:3 guarantees=cpus:1 */
static struct rv_quota *quotas_of_line(struct script *s, const char *roles, size_t *n_out) {
    char **names, **limits, **guarantees;
    size_t n = split(s, arg(s, roles), ',', &names);
    size_t n_limits = split(s, arg(s, "limits"), ',', &limits);
    size_t n_guarantees = split(s, arg(s, "guarantees"), ',', &guarantees);
    struct rv_quota *quotas = RV_ARENA_ARRAY(&s->arena, struct rv_quota, n);

    for (size_t i = 0; i < n; i++)
        quotas[i] =
            (struct rv_quota){names[i], quantities(s, i < n_guarantees ? guarantees[i] : NULL),
                              quantities(s, i < n_limits ? limits[i] : NULL)};
    if (n_out)
        *n_out = n;
    return quotas;
}

static void operator_line(struct script *s) {
    struct party *p = party(s, s->words[1]);
    const char *what = s->words[2];
    struct rv_operator_call c = {.type = RV_OPERATOR_CALL_MAX};
    struct rv_master_event e = {.kind = RV_MASTER_OPERATOR_CALL, .operator_ = &c};
    struct rv_operation operation = {0};
    struct rv_weight weight;

    e.request = new_number(s, p);
    e.principal = arg(s, "as");
    if (rv_streq(what, "subscribe")) {
        c.type = RV_OPERATOR_SUBSCRIBE;
        e.stream = new_number(s, p);
    } else if (rv_streq(what, "teardown")) {
        c.type = RV_OPERATOR_TEARDOWN;
        c.framework_id.v = arg(s, "framework");
    } else if (rv_streq(what, "kill")) {
        c.type = RV_OPERATOR_KILL_TASK;
        c.framework_id.v = arg(s, "framework");
        c.task_id.v = arg(s, "task");
        c.grace_ms = number(s, "grace", -1);
    } else if (rv_streq(what, "weight")) {
        c.type = RV_OPERATOR_UPDATE_WEIGHTS;
        weight.role = arg(s, "role");
        weight.weight = strtod(arg(s, "weight"), NULL);
        c.weights = &weight;
        c.n_weights = 1;
    } else if (rv_streq(what, "operate")) {
        c.type = RV_OPERATOR_OPERATE;
        c.agent_id.v = arg(s, "agent");
        for (size_t i = 3; i < s->n_words; i++)
            on_resources(s, s->words[i], &operation);
        c.operation = &operation;
    } else if (strstr(what, "quota")) {
        c.type = what[0] == 'q'   ? RV_OPERATOR_UPDATE_QUOTA
                 : what[0] == 's' ? RV_OPERATOR_SET_QUOTA
                                  : RV_OPERATOR_REMOVE_QUOTA;
        c.quotas = quotas_of_line(s, "roles", &c.n_quotas);
        c.force = arg(s, "force") != NULL;
    } else {
        call_about_nodes(s, what, &c);
    }
    run_step(s, &e);
    rv_resources_free(&operation.resources);
    rv_resources_free(&operation.source);
}

/* --- whole lines --- */

static void new_master(struct script *s) {
    struct rv_master_config config = {.seed = s->next_number + 1,
                                      .id = arg(s, "id") ? arg(s, "id") : "M"};
    struct rv_registry_snapshot snapshot;
    struct rv_registry_loaded *loaded;
    const char *const *whitelist;
    char **words;

    config.allocation_interval_ms = number(s, "allocation_interval", 0);
    config.offer_timeout_ms = number(s, "offer_timeout", 0);
    config.heartbeat_ms = number(s, "heartbeat", 1000000000);
    config.agent_ping_ms = number(s, "agent_ping", 0);
    config.agent_reregister_ms = number(s, "agent_reregister", 0);
    config.max_agent_ping_timeouts = (unsigned)number(s, "max_agent_ping_timeouts", 0);
    config.max_completed_frameworks = (size_t)number(s, "max_completed_frameworks", 0);
    config.max_completed_tasks = (size_t)number(s, "max_completed_tasks", 0);
    config.max_unreachable_tasks = (size_t)number(s, "max_unreachable_tasks", 0);
    config.max_statuses = (size_t)number(s, "max_statuses", 0);
    config.max_frameworks = (size_t)number(s, "max_frameworks", 0);
    config.max_agents = (size_t)number(s, "max_agents", 0);
    config.max_offers_per_event = (size_t)number(s, "max_offers_per_event", 0);
    config.reconcile_slice = (size_t)number(s, "reconcile_slice", 0);
    config.agent_removal_interval_ms = number(s, "agent_removal_interval", 0);
    config.recovery_agents_percent = (double)number(s, "recovery_agents_percent", 0);
    config.max_absent_agents = (size_t)number(s, "max_absent_agents", 0);
    config.absent_age_ms = number(s, "absent_age", 0);
    config.gc_interval_ms = number(s, "gc_interval", 0);
    config.n_role_whitelist = split(s, arg(s, "role_whitelist"), ',', &words);
    whitelist = (const char *const *)words;
    config.role_whitelist = config.n_role_whitelist ? whitelist : NULL;
    if (arg(s, "gone"))
        sim_content_apply(&s->registry, &(struct rv_registry_op){.kind = RV_REGISTRY_MARK_GONE,
                                                                 .agent_id.v = arg(s, "gone")});
    if (arg(s, "quota"))
        sim_content_apply(&s->registry,
                          &(struct rv_registry_op){.kind = RV_REGISTRY_PUT_QUOTAS,
                                                   .quotas = quotas_of_line(s, "quota", NULL),
                                                   .n_quotas = 1});
    loaded = sim_content_load(&s->registry);
    snapshot = *rv_registry_snapshot(loaded);
    rv_master_free(s->m);
    s->m = rv_master_new(&config, &snapshot, s->now_ms, s->now_ms * 1000000);
    rv_registry_snapshot_free(loaded);
}

static void restart(struct script *s) {
    void *v;

    for (size_t it = 0; rv_map_next(&s->names, &it, NULL, &v);)
        ((struct party *)v)->stream = 0;
    s->writes.n = 0;
    new_master(s);
}

static void close_line(struct script *s) {
    struct party *p = party(s, s->words[1]);
    struct rv_master_event e = {.kind = RV_MASTER_STREAM_CLOSED, .stream = p->stream};

    p->stream = 0;
    run_step(s, &e);
}

static void registry_line(struct script *s) {
    if (rv_streq(s->words[1], "manual"))
        s->manual = true;
    else if (rv_streq(s->words[1], "auto"))
        s->manual = false;
    else
        registry_done(s, rv_streq(s->words[1], "ok"));
}

static void script_line(struct script *s, const char *line) {
    char *copy = rv_arena_strdup(&s->arena, line), *save = NULL;
    const char *first;

    s->n_words = 0;
    for (char *w = strtok_r(copy, " ", &save); w && s->n_words < RV_COUNT(s->words);
         w = strtok_r(NULL, " ", &save))
        s->words[s->n_words++] = w;
    first = s->n_words ? s->words[0] : "#";
    if (*first == '#')
        return;
    if (rv_streq(first, "master") || rv_streq(first, "restart")) {
        restart(s);
        return;
    }
    if (!s->m) { /* with nothing of this line's words */
        size_t n = s->n_words;

        s->n_words = 0;
        new_master(s);
        s->n_words = n;
    }
    if (strncmp(first, "t=", 2) == 0)
        go_to(s, number(s, "t", 0));
    else if (rv_streq(first, "scheduler"))
        scheduler_line(s);
    else if (rv_streq(first, "agent"))
        agent_line(s);
    else if (rv_streq(first, "operator"))
        operator_line(s);
    else if (rv_streq(first, "close"))
        close_line(s);
    else if (rv_streq(first, "registry"))
        registry_line(s);
    else if (rv_streq(first, "show"))
        show(s);
    else
        rv_buf_printf(&s->text, "-> not a line of the language\n");
}

/* Runs lines (those that begin with "->" are left out); s->text is all that happened since. */
static void script_run(struct script *s, const char *lines) {
    while (*lines) {
        size_t n = strcspn(lines, "\n");
        char *line = rv_arena_strndup(&s->arena, lines, n);

        while (*line == ' ') /* stories are indented in C */
            line++;
        if (strncmp(line, "->", 2) != 0) {
            rv_buf_puts(&s->text, line);
            rv_buf_putc(&s->text, '\n');
            script_line(s, line);
        }
        rv_arena_reset(&s->arena);
        forget_packed(s);
        lines += n + (lines[n] == '\n');
    }
}

static void script_free(struct script *s) {
    void *v;

    rv_effects_free(&s->out);
    s->m = rv_master_free(s->m);
    rv_buf_free(&s->text);
    for (size_t it = 0; rv_map_next(&s->names, &it, NULL, &v);) {
        free(((struct party *)v)->label);
        free(((struct party *)v)->agent_id);
        free(v);
    }
    rv_map_free(&s->names);
    rv_vec_free(&s->writes);
    rv_vec_free(&s->asked);
    for (size_t i = 0; i < s->operations.n; i++) {
        rv_operation_free(&s->operations.v[i].operation);
        free(s->operations.v[i].framework_id);
    }
    rv_vec_free(&s->operations);
    sim_content_free(&s->registry);
    forget_packed(s);
    rv_vec_free(&s->packed);
    rv_arena_free(&s->arena);
    memset(s, 0, sizeof *s);
}

#endif
