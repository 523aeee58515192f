/* The cluster's state and how things are found in it, see cluster.h. */
#include "cli/cluster.h"

#include <ctype.h>

#include "base/fixed.h"
#include "framework/reeve.h"

#define MAX_CANDIDATES 6 /* that an error lists */

int64_t rv_cli_scalar(Reeve__V1__Resource *const *v, size_t n, const char *name) {
    int64_t sum = 0, one;

    for (size_t i = 0; i < n; i++)
        if (v[i]->type == REEVE__V1__VALUE__TYPE__SCALAR && v[i]->scalar &&
            rv_streq(v[i]->name, name) && rv_fixed_from_double(v[i]->scalar->value, &one))
            sum += one;
    return sum;
}

const char *rv_cli_reserved_role(const Reeve__V1__Resource *r) {
    const Reeve__V1__Resource__ReservationInfo *last =
        r->n_reservations ? r->reservations[r->n_reservations - 1] : NULL;

    return last && last->type == REEVE__V1__RESOURCE__RESERVATION_INFO__TYPE__DYNAMIC ? last->role
                                                                                      : NULL;
}

const char *rv_cli_volume_id(const Reeve__V1__Resource *r) {
    return r->disk && r->disk->persistence ? r->disk->persistence->id : NULL;
}

const char *rv_cli_task_state(Reeve__V1__TaskState state, struct rv_arena *arena) {
    const char *name = reeve_state_name(state);

    if (!rv_starts_with(name, "TASK_"))
        return name;
    char *text = rv_arena_strdup(arena, name + strlen("TASK_"));
    for (char *p = text; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return text;
}

bool rv_cli_task_has_ended(Reeve__V1__TaskState state) {
    return reeve_state_is_terminal(state);
}

static void add_tasks(struct rv_cli_cluster *c, Reeve__V1__Task *const *v, size_t n, bool live,
                      struct rv_arena *arena) {
    for (size_t i = 0; i < n; i++) {
        struct rv_cli_task *t = &c->tasks[c->n_tasks++];
        const Reeve__V1__TaskStatus *first = NULL, *last = NULL;
        *t = (struct rv_cli_task){.task = v[i],
                                  .live = live && !rv_cli_task_has_ended(v[i]->state),
                                  .state = rv_cli_task_state(v[i]->state, arena)};
        for (size_t k = 0; k < v[i]->n_statuses; k++) {
            last = v[i]->statuses[k];
            if (!first || (last->state == REEVE__V1__TASK_STATE__TASK_RUNNING &&
                           first->state != REEVE__V1__TASK_STATE__TASK_RUNNING))
                first = last;
        }
        if (first)
            t->started_s = first->timestamp;
        if (last && rv_cli_task_has_ended(last->state))
            t->ended_s = last->timestamp;
        if (last && last->message && *last->message)
            t->message = last->message;
        rv_cli_ids_add(&c->task_ids, v[i]->task_id->value);
    }
}

static void add_framework(struct rv_cli_cluster *c,
                          Reeve__V1__Master__Response__GetFrameworks__Framework *f) {
    const Reeve__V1__FrameworkID *id = f->framework_info->id;

    if (!id)
        return;
    rv_cli_ids_add(&c->framework_ids, id->value);
    rv_map_put(&c->frameworks, rv_str(id->value), f);
}

static void add_frameworks(struct rv_cli_cluster *c,
                           const Reeve__V1__Master__Response__GetFrameworks *f) {
    for (size_t i = 0; f && i < f->n_completed_frameworks; i++)
        add_framework(c, f->completed_frameworks[i]);
    for (size_t i = 0; f && i < f->n_frameworks; i++)
        add_framework(c, f->frameworks[i]);
}

static void add_agents(struct rv_cli_cluster *c, const Reeve__V1__Master__Response__GetAgents *a) {
    for (size_t i = 0; a && i < a->n_agents; i++) {
        const Reeve__V1__AgentID *id = a->agents[i]->agent_info->id;
        if (!id)
            continue;
        rv_cli_ids_add(&c->agent_ids, id->value);
        rv_map_put(&c->agents, rv_str(id->value), a->agents[i]);
    }
}

static void count_one(struct rv_map *m, const char *id, struct rv_arena *arena) {
    size_t *n = rv_map_gets(m, id);

    if (!n) {
        n = RV_ARENA_NEW(arena, size_t);
        rv_map_put(m, rv_str(id), n);
    }
    ++*n;
}

static void count_tasks(struct rv_cli_cluster *c, struct rv_arena *arena) {
    for (size_t i = 0; i < c->n_tasks; i++)
        if (c->tasks[i].live) {
            count_one(&c->framework_tasks, c->tasks[i].task->framework_id->value, arena);
            count_one(&c->agent_tasks, c->tasks[i].task->agent_id->value, arena);
        }
}

int rv_cli_cluster_get(struct rv_cli *cli, struct rv_cli_cluster *out, struct rv_error *err) {
    Reeve__V1__Master__Response *response;
    int r = rv_cli_ask_master(cli, REEVE__V1__MASTER__CALL__TYPE__GET_STATE, &cli->arena, &response,
                              err);

    *out = (struct rv_cli_cluster){0};
    if (r)
        return r;
    if (!response->get_state)
        return rv_error_set(err, RV_ERR_INVALID, "the master's answer has no get_state");
    out->state = response->get_state;
    const Reeve__V1__Master__Response__GetTasks *tasks = out->state->get_tasks;
    if (tasks) {
        out->tasks = RV_ARENA_ARRAY(&cli->arena, struct rv_cli_task,
                                    tasks->n_tasks + tasks->n_unreachable_tasks +
                                        tasks->n_completed_tasks + 1);
        add_tasks(out, tasks->tasks, tasks->n_tasks, true, &cli->arena);
        add_tasks(out, tasks->unreachable_tasks, tasks->n_unreachable_tasks, false, &cli->arena);
        add_tasks(out, tasks->completed_tasks, tasks->n_completed_tasks, false, &cli->arena);
    }
    add_frameworks(out, out->state->get_frameworks);
    add_agents(out, out->state->get_agents);
    count_tasks(out, &cli->arena);
    return 0;
}

int rv_cli_agents_get(struct rv_cli *cli, struct rv_cli_cluster *out, struct rv_error *err) {
    Reeve__V1__Master__Response *response;
    int r = rv_cli_ask_master(cli, REEVE__V1__MASTER__CALL__TYPE__GET_AGENTS, &cli->arena,
                              &response, err);

    *out = (struct rv_cli_cluster){0};
    if (!r)
        add_agents(out, response->get_agents);
    return r;
}

void rv_cli_cluster_free(struct rv_cli_cluster *c) {
    rv_cli_ids_free(&c->task_ids);
    rv_cli_ids_free(&c->framework_ids);
    rv_cli_ids_free(&c->agent_ids);
    rv_map_free(&c->frameworks);
    rv_map_free(&c->agents);
    rv_map_free(&c->framework_tasks);
    rv_map_free(&c->agent_tasks);
}

const Reeve__V1__Master__Response__GetAgents__Agent *
rv_cli_agent_by_id(const struct rv_cli_cluster *c, const char *id) {
    return rv_map_gets(&c->agents, id);
}

const Reeve__V1__Master__Response__GetFrameworks__Framework *
rv_cli_framework_by_id(const struct rv_cli_cluster *c, const char *id) {
    return rv_map_gets(&c->frameworks, id);
}

size_t rv_cli_tasks_of_framework(const struct rv_cli_cluster *c, const char *id) {
    const size_t *n = rv_map_gets(&c->framework_tasks, id);

    return n ? *n : 0;
}

size_t rv_cli_tasks_on_agent(const struct rv_cli_cluster *c, const char *id) {
    const size_t *n = rv_map_gets(&c->agent_tasks, id);

    return n ? *n : 0;
}

int rv_cli_agent_address(const Reeve__V1__Master__Response__GetAgents__Agent *agent,
                         struct rv_cli_address *out, struct rv_error *err) {
    const char *at = agent->pid ? strchr(agent->pid, '@') : NULL;
    uint16_t port = (uint16_t)agent->agent_info->port;

    return rv_cli_address_parse(at ? at + 1 : agent->agent_info->hostname, port, out, err);
}

const char *rv_cli_agent_state(const Reeve__V1__Master__Response__GetAgents__Agent *agent) {
    if (agent->drain_info && agent->drain_info->state == REEVE__V1__DRAIN_STATE__DRAINED)
        return "drained";
    if (agent->drain_info)
        return "draining";
    return agent->deactivated ? "deactivated" : agent->active ? "active" : "disconnected";
}

/* --- finding agents --- */

struct agent_search {
    const char *text, *found;
    int best;
    size_t n;
    struct rv_buf list; /* of those found */
};

static void consider(struct agent_search *s, const Reeve__V1__AgentInfo *info) {
    int match = rv_streq(info->hostname, s->text) ? 2 : rv_cli_id_match(info->id->value, s->text);

    if (match < s->best)
        return;
    if (match > s->best) {
        s->n = 0;
        rv_buf_clear(&s->list);
    }
    s->best = match;
    s->found = info->id->value;
    if (++s->n <= MAX_CANDIDATES)
        rv_buf_printf(&s->list, "\n  %s (%s)", info->id->value, info->hostname);
}

int rv_cli_agent_find(const struct rv_cli_cluster *c, const char *text, const char **out,
                      struct rv_error *err) {
    struct agent_search s = {.text = text, .best = 1};
    int r = 0;
    void *v;

    for (size_t it = 0; rv_map_next(&c->agents, &it, NULL, &v);)
        consider(&s, ((Reeve__V1__Master__Response__GetAgents__Agent *)v)->agent_info);
    for (size_t i = 0; i < c->n_recovered; i++)
        if (c->recovered[i]->id)
            consider(&s, c->recovered[i]);
    *out = s.n ? s.found : text;
    if (s.n > 1)
        r = rv_error_set(err, RV_ERR_CONFLICT, "\"%s\" could be one of %zu nodes:%s", text, s.n,
                         s.list.data);
    else if (s.n == 0 && !rv_cli_id_end(text))
        r = rv_error_set(err, RV_ERR_NOT_FOUND,
                         "no node has the name \"%s\", or an id that begins so; reeve nodes lists "
                         "them, and one that is away must be named by its whole id",
                         text);
    rv_buf_free(&s.list);
    return r;
}

/* --- finding tasks --- */

static int how_well(const struct rv_cli_task *t, const char *framework, const char *text) {
    if (framework && !rv_cli_id_match(t->task->framework_id->value, framework))
        return 0;
    return rv_cli_id_match(t->task->task_id->value, text);
}

struct search {
    const struct rv_cli_task *found[MAX_CANDIDATES];
    size_t n;
    int best;
};

static void search(const struct rv_cli_cluster *c, const char *framework, const char *text,
                   bool live, struct search *s) {
    *s = (struct search){.best = 1};
    for (size_t i = 0; i < c->n_tasks; i++) {
        int match = how_well(&c->tasks[i], framework, text);
        if (match < s->best || c->tasks[i].live != live)
            continue;
        if (match > s->best)
            s->n = 0;
        s->best = match;
        if (s->n < MAX_CANDIDATES)
            s->found[s->n] = &c->tasks[i];
        s->n++;
    }
}

static int ambiguous(const char *text, const struct search *s, struct rv_error *err) {
    _cleanup_(rv_buf_free) struct rv_buf list = {0};
    bool same = true;

    for (size_t i = 1; i < RV_MIN(s->n, (size_t)MAX_CANDIDATES); i++)
        same &= rv_streq(s->found[i]->task->task_id->value, s->found[0]->task->task_id->value);
    for (size_t i = 0; i < RV_MIN(s->n, (size_t)MAX_CANDIDATES); i++) {
        const Reeve__V1__Task *t = s->found[i]->task;
        if (same)
            rv_buf_printf(&list, "\n  %s/%s (%s)", t->framework_id->value, t->task_id->value,
                          s->found[i]->state);
        else
            rv_buf_printf(&list, "\n  %s (%s)", t->task_id->value, s->found[i]->state);
    }
    if (s->n > MAX_CANDIDATES)
        rv_buf_printf(&list, "\n  and %zu more", s->n - MAX_CANDIDATES);
    return rv_error_set(err, RV_ERR_CONFLICT, "\"%s\" could be one of %zu tasks:%s", text, s->n,
                        list.data);
}

int rv_cli_task_find(const struct rv_cli_cluster *c, const char *text, bool live_only,
                     const struct rv_cli_task **out, struct rv_error *err) {
    const char *slash = strchr(text, '/');
    _cleanup_free_ char *framework = slash ? rv_strndup(text, (size_t)(slash - text)) : NULL;
    const char *id = slash ? slash + 1 : text;
    struct search live, ended;

    search(c, framework, id, true, &live);
    search(c, framework, id, false, &ended);
    /* Who lives is meant, unless it is only a prefix and an ended one is named exactly. */
    struct search *s = live.n && (live_only || live.best >= ended.best) ? &live : &ended;
    if (!live.n && live_only) {
        if (ended.n == 1)
            return rv_error_set(err, RV_ERR_NOT_FOUND, "task %s has ended already (%s)",
                                ended.found[0]->task->task_id->value, ended.found[0]->state);
        return rv_error_set(err, RV_ERR_NOT_FOUND,
                            "no task that runs has an id beginning with "
                            "\"%s\"; reeve ps lists them",
                            text);
    }
    if (!s->n)
        return rv_error_set(err, RV_ERR_NOT_FOUND,
                            "no task has an id beginning with \"%s\"; reeve ps -a lists all", text);
    if (s->n > 1)
        return ambiguous(text, s, err);
    *out = s->found[0];
    return 0;
}

int rv_cli_task_address(const struct rv_cli_cluster *c, const struct rv_cli_task *task,
                        struct rv_cli_address *out, struct rv_error *err) {
    const char *id = task->task->agent_id->value;
    const Reeve__V1__Master__Response__GetAgents__Agent *agent = rv_cli_agent_by_id(c, id);

    return agent ? rv_cli_agent_address(agent, out, err)
                 : rv_error_set(err, RV_ERR_NOT_FOUND, "task %s was on agent %s, which is gone",
                                task->task->task_id->value, id);
}

void rv_cli_cluster_list(
    struct rv_cli *cli, const struct rv_cli_cluster *c, const struct rv_cli_column *columns,
    size_t n_columns,
    void (*put_rows)(struct rv_cli_table *t,
                     const Reeve__V1__Master__Response__GetAgents__Agent *agent)) {
    struct rv_cli_table t;
    void *v;

    rv_cli_table_init(&t, columns, n_columns);
    for (size_t it = 0; rv_map_next(&c->agents, &it, NULL, &v);)
        put_rows(&t, v);
    rv_cli_table_print(&t, cli->format);
    rv_cli_table_free(&t);
}
