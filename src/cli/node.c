/*
 * reeve node: takes agents out of service and puts them back. `drain` stays until the agents are
 * drained and shows how far they are; that it is ended itself changes nothing for them, and when it
 * is called again it goes on watching.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli/cluster.h"
#include "cli/output.h"
#include "cli/verbs.h"

#define POLL_MIN_MS 200
#define POLL_MAX_MS 2000
#define TIMED_OUT 124

struct options {
    bool gone, no_wait;
    int64_t grace, timeout;
};

static const struct rv_cli_option options[] = {
    {"grace", 0, "TIME", "drain: most that a task may take to end, as 30secs", RV_CLI_DURATION,
     offsetof(struct options, grace)},
    {"gone", 0, NULL, "drain: the node is gone for good then", RV_CLI_FLAG,
     offsetof(struct options, gone)},
    {"no-wait", 0, NULL, "drain: do not stay until it is done", RV_CLI_FLAG,
     offsetof(struct options, no_wait)},
    {"timeout", 0, "TIME", "drain: stay for so long; what is begun goes on", RV_CLI_DURATION,
     offsetof(struct options, timeout)},
};
static const struct rv_cli_verb verb = {
    .name = "node",
    .operands = "drain|deactivate|activate|gone NODE...",
    .about = "Takes agents out of service, and puts them back. NODE is an id, its beginning or "
             "end, or a\nhost name.\n\n"
             "  drain       offers nothing of it any more, kills its tasks, and stays until all "
             "have ended.\n              Ctrl-C ends the watching, not the draining.\n"
             "  deactivate  offers nothing of it any more; its tasks go on\n"
             "  activate    puts it back, once it is drained\n"
             "  gone        the machine is lost: its tasks are given up, and its agent is never "
             "let in again",
    .options = options,
    .n_options = RV_COUNT(options),
    .min_operands = 2,
    .max_operands = SIZE_MAX,
};

/* What is shown of a node that drains. */
struct node {
    const char *id, *name; /* name: as in `reeve nodes` */
    char *shown;           /* what was said of it last */
    bool done;
};

struct watch {
    struct rv_cli *cli;
    const struct options *options;
    struct node *nodes;
    size_t n, n_done;
    bool terminal, progress_shown;
    int status;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
    interrupted = number;
}

static int64_t now_ms(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- the calls --- */

static int call_about(const struct rv_cli *cli, Reeve__V1__Master__Call__Type type, const char *id,
                      const struct options *o, struct rv_error *err) {
    Reeve__V1__Master__Call call = REEVE__V1__MASTER__CALL__INIT;
    Reeve__V1__AgentID agent = REEVE__V1__AGENT_ID__INIT;
    Reeve__V1__Master__Call__DrainAgent drain = REEVE__V1__MASTER__CALL__DRAIN_AGENT__INIT;
    Reeve__V1__Master__Call__DeactivateAgent deactivate =
        REEVE__V1__MASTER__CALL__DEACTIVATE_AGENT__INIT;
    Reeve__V1__Master__Call__ReactivateAgent reactivate =
        REEVE__V1__MASTER__CALL__REACTIVATE_AGENT__INIT;
    Reeve__V1__Master__Call__MarkAgentGone gone = REEVE__V1__MASTER__CALL__MARK_AGENT_GONE__INIT;
    Reeve__V1__Duration grace = REEVE__V1__DURATION__INIT;

    agent.value = (char *)(uintptr_t)id;
    drain.agent_id = deactivate.agent_id = reactivate.agent_id = gone.agent_id = &agent;
    drain.has_mark_gone = true;
    drain.mark_gone = o->gone;
    if (o->grace >= 0) {
        grace.has_seconds = grace.has_nanos = true;
        grace.seconds = o->grace / 1000000000;
        grace.nanos = (int32_t)(o->grace % 1000000000);
        drain.max_grace_period = &grace;
    }
    call.has_type = true;
    call.type = type;
    call.drain_agent = type == REEVE__V1__MASTER__CALL__TYPE__DRAIN_AGENT ? &drain : NULL;
    call.deactivate_agent =
        type == REEVE__V1__MASTER__CALL__TYPE__DEACTIVATE_AGENT ? &deactivate : NULL;
    call.reactivate_agent =
        type == REEVE__V1__MASTER__CALL__TYPE__REACTIVATE_AGENT ? &reactivate : NULL;
    call.mark_agent_gone = type == REEVE__V1__MASTER__CALL__TYPE__MARK_AGENT_GONE ? &gone : NULL;
    return rv_cli_tell_master(cli, &call, err);
}

/* --- watching --- */

static void clear_progress(struct watch *w) {
    if (w->progress_shown)
        fputs("\r\033[K", stderr);
    w->progress_shown = false;
}

static void say(struct watch *w, struct node *node, const char *text) {
    if (rv_streq(node->shown, text))
        return;
    free(node->shown);
    node->shown = rv_strdup(text);
    if (!w->terminal)
        fprintf(stderr, "reeve node: %s %s\n", node->name, text);
}

static void finish(struct watch *w, struct node *node, const char *how) {
    node->done = true;
    w->n_done++;
    clear_progress(w);
    printf("%s %s\n", node->id, how);
    fflush(stdout);
}

static const Reeve__V1__Master__Response__GetAgents__Agent *
find_agent(const Reeve__V1__Master__Response__GetAgents *all, const char *id) {
    for (size_t i = 0; i < all->n_agents; i++)
        if (all->agents[i]->agent_info->id && rv_streq(all->agents[i]->agent_info->id->value, id))
            return all->agents[i];
    return NULL;
}

/* The master does not list agents that are unreachable, or gone. One that it still knows it lets us
 * deactivate, which it is already. */
static void look_for_absent(struct watch *w, struct node *node) {
    struct rv_error err;
    int r = call_about(w->cli, REEVE__V1__MASTER__CALL__TYPE__DEACTIVATE_AGENT, node->id,
                       w->options, &err);

    if (r == -RV_ERR_INVALID)
        finish(w, node, w->options->gone ? "gone" : "removed");
    else if (!r)
        say(w, node, "is away, and drains when it comes back");
}

static void look(struct watch *w, struct node *node,
                 const Reeve__V1__Master__Response__GetAgents *all) {
    const Reeve__V1__Master__Response__GetAgents__Agent *a = find_agent(all, node->id);
    char text[128];
    int64_t cpus;

    if (!a) {
        look_for_absent(w, node);
        return;
    }
    if (!a->drain_info) {
        rv_cli_fail(w->cli, "%s was activated again", node->name);
        node->done = true;
        w->n_done++;
        w->status = RV_CLI_ERROR;
        return;
    }
    if (a->drain_info->state == REEVE__V1__DRAIN_STATE__DRAINED) {
        finish(w, node, "drained");
        return;
    }
    cpus = rv_cli_scalar(a->allocated_resources, a->n_allocated_resources, "cpus");
    if (a->n_allocated_resources == 0)
        snprintf(text, sizeof text, "waits for its frameworks to acknowledge");
    else
        snprintf(text, sizeof text, "drains: %g cpus are in use", (double)cpus / 1000);
    say(w, node, text);
}

static void show_progress(struct watch *w) {
    size_t shown = 0;

    if (!w->terminal)
        return;
    clear_progress(w);
    fprintf(stderr, "%zu of %zu done", w->n_done, w->n);
    for (size_t i = 0; i < w->n && shown < 2; i++)
        if (!w->nodes[i].done && w->nodes[i].shown) {
            fprintf(stderr, "; %s %s", w->nodes[i].name, w->nodes[i].shown);
            shown++;
        }
    fflush(stderr);
    w->progress_shown = true;
}

/* A master that cannot be reached for a while, or another one, knows what is begun. */
static void poll(struct watch *w) {
    struct rv_arena arena;
    Reeve__V1__Master__Response *response;
    struct rv_error err;

    rv_arena_init(&arena);
    if (rv_cli_ask_master(w->cli, REEVE__V1__MASTER__CALL__TYPE__GET_AGENTS, &arena, &response,
                          &err) == 0 &&
        response->get_agents)
        for (size_t i = 0; i < w->n; i++)
            if (!w->nodes[i].done)
                look(w, &w->nodes[i], response->get_agents);
    rv_arena_free(&arena);
}

static int stay(struct watch *w) {
    struct sigaction action = {.sa_handler = on_signal}; /* sleeping ends with it */
    int64_t end_ms = now_ms() + w->options->timeout / 1000000, pause_ms = POLL_MIN_MS;

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    for (;;) {
        struct timespec pause = {pause_ms / 1000, pause_ms % 1000 * 1000000};
        poll(w);
        if (w->n_done == w->n)
            break;
        show_progress(w);
        if (!interrupted)
            nanosleep(&pause, NULL);
        if (interrupted || (w->options->timeout >= 0 && now_ms() >= end_ms)) {
            clear_progress(w);
            rv_cli_fail(w->cli,
                        "%zu of %zu nodes still drain, and go on doing so; reeve nodes "
                        "shows how far they are",
                        w->n - w->n_done, w->n);
            return interrupted ? 128 + interrupted : TIMED_OUT;
        }
        pause_ms = RV_MIN(pause_ms * 3 / 2, (int64_t)POLL_MAX_MS);
    }
    clear_progress(w);
    return w->status;
}

/* --- the verb --- */

static int drain(struct rv_cli *cli, const struct options *o, const char *const *ids,
                 struct rv_cli_cluster *c) {
    size_t n = cli->n_operands - 1;
    struct watch w = {.cli = cli, .options = o, .n = n, .terminal = rv_cli_colours(stderr)};
    struct rv_error err;
    int status = RV_CLI_OK;

    w.nodes = RV_ARENA_ARRAY(&cli->arena, struct node, n);
    for (size_t i = 0; i < n; i++) {
        w.nodes[i].id = ids[i];
        w.nodes[i].name = rv_cli_id_short(&c->agent_ids, ids[i], &cli->arena);
        if (call_about(cli, REEVE__V1__MASTER__CALL__TYPE__DRAIN_AGENT, ids[i], o, &err)) {
            status = rv_cli_fail(cli, "%s: %s", w.nodes[i].name, err.message);
            w.nodes[i].done = true;
            w.n_done++;
        } else if (o->no_wait) {
            printf("%s draining\n", ids[i]);
        }
    }
    w.status = status;
    if (!o->no_wait)
        status = stay(&w);
    for (size_t i = 0; i < n; i++)
        free(w.nodes[i].shown);
    return status;
}

static const struct action {
    const char *name, *done;
    Reeve__V1__Master__Call__Type type;
} actions[] = {
    {"drain", NULL, REEVE__V1__MASTER__CALL__TYPE__DRAIN_AGENT},
    {"deactivate", "deactivated", REEVE__V1__MASTER__CALL__TYPE__DEACTIVATE_AGENT},
    {"activate", "activated", REEVE__V1__MASTER__CALL__TYPE__REACTIVATE_AGENT},
    {"gone", "gone", REEVE__V1__MASTER__CALL__TYPE__MARK_AGENT_GONE},
};

static int act(struct rv_cli *cli, const struct options *o, const struct action *action,
               struct rv_cli_cluster *c) {
    size_t n = cli->n_operands - 1;
    const char **ids = RV_ARENA_ARRAY(&cli->arena, const char *, n);
    struct rv_error err;
    int status = RV_CLI_OK;

    /* Nothing is done where one of them is not clear. */
    for (size_t i = 0; i < n; i++)
        if (rv_cli_agent_find(c, cli->operands[i + 1], &ids[i], &err))
            status = rv_cli_fail(cli, "%s", err.message);
    if (status || !action->done)
        return status ? status : drain(cli, o, ids, c);
    for (size_t i = 0; i < n; i++)
        if (call_about(cli, action->type, ids[i], o, &err))
            status = rv_cli_fail(cli, "%s", err.message);
        else
            printf("%s %s\n", ids[i], action->done);
    return status;
}

int rv_cli_node(int argc, char **argv) {
    struct options values = {.grace = -1, .timeout = -1};
    const struct action *action = NULL;
    struct rv_cli_cluster c = {0};
    struct rv_error err;
    struct rv_cli cli;
    int status;

    if (rv_cli_begin(&cli, &verb, &values, argc, argv, &status)) {
        for (size_t i = 0; i < RV_COUNT(actions); i++)
            if (rv_streq(cli.operands[0], actions[i].name))
                action = &actions[i];
        if (!action)
            status = rv_cli_misuse(&cli, "\"%s\" is not drain, deactivate, activate or gone",
                                   cli.operands[0]);
        else if (rv_cli_agents_get(&cli, &c, &err))
            status = rv_cli_fail(&cli, "%s", err.message);
        else
            status = act(&cli, &values, action, &c);
        rv_cli_cluster_free(&c);
    }
    rv_cli_end(&cli);
    return status;
}
