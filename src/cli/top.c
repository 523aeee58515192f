/*
 * reeve top: the cluster, or the containers of a node, again and again. On a terminal it draws on
 * the other screen and hears keys; elsewhere it prints a table a look, one if nothing else is said.
 *
 * Holds: every way out of the loop gives the terminal back as it was.
 */
#include "cli/top.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cli/verbs.h"

/* The other screen, without a cursor and without wrapping; and back. */
#define SCREEN "\033[?1049h\033[?25l\033[?7l"
#define SCREEN_BACK "\033[?7h\033[?25h\033[?1049l"
#define HOME "\033[H\033[J"

enum {
    MAX_ASKED = 100, /* agents that are asked for what they use, a call each */
    OTHER_LINES = 3, /* of a screen, that are no rows */
    DEFAULT_ROWS = 24,
    MIN_INTERVAL_MS = 100,
    FIRST_MS = 1000, /* between the two looks that rates need, if there is only one to print */
};

struct values {
    int64_t count, interval_ns;
    const char *sort;
};
static const struct rv_cli_option options[] = {
    {"count", 'n', "N", "how many looks; without end on a terminal, else 1", RV_CLI_COUNT,
     offsetof(struct values, count)},
    {"interval", 'd', "TIME", "between looks, 2secs", RV_CLI_DURATION,
     offsetof(struct values, interval_ns)},
    {"sort", 's', "KEY", "cpu, mem, pids, disk, io or name", RV_CLI_TEXT,
     offsetof(struct values, sort)},
};
static const struct rv_cli_verb verb = {
    .name = "top",
    .operands = "[NODE]",
    .about =
        "Shows what the agents have given away and use, or what the containers of a node use,\n"
        "anew every two seconds. Keys: q ends it; c, m, p, d, i and n sort by cpu, memory,\n"
        "processes, disk, I/O and name.",
    .options = options,
    .n_options = RV_COUNT(options),
    .max_operands = 1,
};

struct top {
    struct rv_cli *cli;
    struct rv_top_view view;
    int64_t count, interval_ms; /* count 0: without end */
    bool live;                  /* on a terminal */
    int signals;
    struct termios before;
    /* of one node */
    bool node;
    struct rv_cli_address address;
    struct rv_map figures;
};

/* ---- looks ---- */

/* Whether the agent told its load and memory. */
static bool ask_usage(struct rv_top_agent *a, struct rv_arena *arena) {
    Reeve__V1__Agent__Call call = REEVE__V1__AGENT__CALL__INIT;
    Reeve__V1__Agent__Call__GetMetrics part = REEVE__V1__AGENT__CALL__GET_METRICS__INIT;
    Reeve__V1__Agent__Response *response;
    struct rv_cli_address address;
    struct rv_error err;
    double free_bytes = 0;
    size_t found = 0;

    call.has_type = true;
    call.type = REEVE__V1__AGENT__CALL__TYPE__GET_METRICS;
    call.get_metrics = &part;
    if (rv_cli_agent_address(a->agent, &address, &err) ||
        rv_cli_ask_agent(&address, &call, arena, &response, &err) || !response->get_metrics)
        return false;
    const struct {
        const char *name;
        double *to;
    } wanted[] = {{"system/load_1min", &a->load},
                  {"system/cpus_total", &a->cpus},
                  {"system/mem_total_bytes", &a->mem_total_bytes},
                  {"system/mem_free_bytes", &free_bytes}};
    for (size_t i = 0; i < response->get_metrics->n_metrics; i++)
        for (size_t k = 0; k < RV_COUNT(wanted); k++)
            if (rv_streq(response->get_metrics->metrics[i]->name, wanted[k].name)) {
                *wanted[k].to = response->get_metrics->metrics[i]->value;
                found++;
            }
    a->mem_used_bytes = a->mem_total_bytes - free_bytes;
    return found == RV_COUNT(wanted);
}

static int look_at_cluster(const struct top *top, struct rv_error *err) {
    _cleanup_(rv_arena_free) struct rv_arena arena;
    Reeve__V1__Master__Response *response;
    struct rv_top_agent *agents;
    size_t n, asked = 0;

    rv_arena_init(&arena);
    int r = rv_cli_ask_master(top->cli, REEVE__V1__MASTER__CALL__TYPE__GET_AGENTS, &arena,
                              &response, err);
    if (r)
        return r;
    n = response->get_agents ? response->get_agents->n_agents : 0;
    agents = RV_ARENA_ARRAY(&arena, struct rv_top_agent, n + 1);
    for (size_t i = 0; i < n; i++) {
        agents[i] = (struct rv_top_agent){.agent = response->get_agents->agents[i]};
        if (agents[i].agent->active && asked++ < MAX_ASKED)
            agents[i].has_used = ask_usage(&agents[i], &arena);
    }
    if (top->live)
        fputs(HOME, stdout);
    rv_top_print_agents(agents, n, &top->view);
    return 0;
}

static int look_at_node(struct top *top, bool print, struct rv_error *err) {
    _cleanup_(rv_arena_free) struct rv_arena arena;
    Reeve__V1__Agent__Call call = REEVE__V1__AGENT__CALL__INIT;
    Reeve__V1__Agent__Call__GetContainers part = REEVE__V1__AGENT__CALL__GET_CONTAINERS__INIT;
    Reeve__V1__Agent__Response *response;

    rv_arena_init(&arena);
    call.has_type = true;
    call.type = REEVE__V1__AGENT__CALL__TYPE__GET_CONTAINERS;
    call.get_containers = &part;
    part.has_show_nested = part.show_nested = true;
    part.has_show_standalone = part.show_standalone = true;
    int r = rv_cli_ask_agent(&top->address, &call, &arena, &response, err);
    if (!r && !response->get_containers)
        r = rv_error_set(err, RV_ERR_INVALID, "the agent's answer has no get_containers");
    if (r)
        return r;
    if (!print) {
        rv_top_remember(response->get_containers, &top->figures);
        return 0;
    }
    if (top->live)
        fputs(HOME, stdout);
    rv_top_print_containers(response->get_containers, &top->figures, &top->view);
    return 0;
}

static int look(struct top *top, struct rv_error *err) {
    struct winsize size = {0};

    if (top->live) {
        size_t rows = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row ? size.ws_row
                                                                                  : DEFAULT_ROWS;
        top->view.max_rows = rows > OTHER_LINES ? rows - OTHER_LINES : 1;
    }
    int r = top->node ? look_at_node(top, true, err) : look_at_cluster(top, err);
    if (!r && top->live)
        printf("\nby %s; q ends, c m p d i n sort", rv_top_sorts[top->view.sort]);
    fflush(stdout);
    return r;
}

/* ---- the terminal ---- */

static void take_terminal(struct top *top) {
    struct termios quiet;

    fputs(SCREEN, stdout);
    if (tcgetattr(STDIN_FILENO, &top->before) != 0)
        return;
    quiet = top->before;
    quiet.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &quiet);
}

static void give_back_terminal(const struct top *top) {
    tcsetattr(STDIN_FILENO, TCSADRAIN, &top->before);
    fputs(SCREEN_BACK, stdout);
    fflush(stdout);
}

static int64_t now_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* In the order of the keys. */
static bool take_key(struct top *top, char key) {
    static const char keys[RV_TOP_SORTS + 1] = "cmpdin";
    const char *found = key ? strchr(keys, key) : NULL;

    if (found)
        top->view.sort = (enum rv_top_sort)(found - keys);
    return found != NULL;
}

/* Until it is time for the next look, or a key asks for one. False: to end. */
static bool pause_for(struct top *top, int64_t ms) {
    int64_t until = now_ms() + ms, left = ms;

    for (; left > 0; left = until - now_ms()) {
        struct pollfd fds[] = {{.fd = top->signals, .events = POLLIN},
                               {.fd = top->live ? STDIN_FILENO : -1, .events = POLLIN}};
        char key = 0;
        if (poll(fds, RV_COUNT(fds), (int)RV_MIN(left, (int64_t)60000)) < 0 && errno != EINTR)
            return false;
        if (fds[0].revents)
            return false;
        if (!fds[1].revents)
            continue;
        if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q')
            return false;
        if (take_key(top, key))
            return true;
    }
    return true;
}

/* ---- the verb ---- */

static int run(struct top *top) {
    struct rv_error err = {0};
    int r = 0;

    /* Rates need two looks. */
    if (top->node && top->count) {
        r = look_at_node(top, false, &err);
        if (!r && !pause_for(top, RV_MIN(top->interval_ms, (int64_t)FIRST_MS)))
            return RV_CLI_OK;
    }
    for (int64_t i = 0; !r && (!top->count || i < top->count); i++) {
        if (i && !pause_for(top, top->interval_ms))
            return RV_CLI_OK;
        r = look(top, &err);
    }
    if (!r)
        return RV_CLI_OK;
    if (top->live) {
        give_back_terminal(top);
        top->live = false;
    }
    return rv_cli_fail(top->cli, "%s", err.message);
}

static int find_node(struct top *top, struct rv_error *err) {
    const Reeve__V1__Master__Response__GetAgents__Agent *agent;
    struct rv_cli_cluster c = {0};
    const char *id;
    int r = rv_cli_agents_get(top->cli, &c, err);

    if (!r)
        r = rv_cli_agent_find(&c, top->cli->operands[0], &id, err);
    if (!r) {
        agent = rv_cli_agent_by_id(&c, id);
        r = agent ? rv_cli_agent_address(agent, &top->address, err)
                  : rv_error_set(err, RV_ERR_NOT_FOUND, "node %s is away", id);
    }
    rv_cli_cluster_free(&c);
    return r;
}

/* Signals end the waiting, so that the terminal is given back. */
static int hear_signals(struct rv_error *err) {
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? rv_error_set(err, RV_ERR_IO, "signalfd: %s", strerror(errno)) : fd;
}

static bool choose_sort(struct top *top, const char *name) {
    for (int i = 0; i < RV_TOP_SORTS; i++)
        if (rv_streq(name, rv_top_sorts[i])) {
            top->view.sort = (enum rv_top_sort)i;
            return true;
        }
    return false;
}

static int begin(struct top *top, const struct values *values) {
    struct rv_cli *cli = top->cli;
    struct rv_error err;

    if (!choose_sort(top, values->sort))
        return rv_cli_misuse(cli, "--sort: \"%s\" is not cpu, mem, pids, disk, io or name",
                             values->sort);
    top->interval_ms = RV_MAX(values->interval_ns / 1000000, (int64_t)MIN_INTERVAL_MS);
    top->view.format = cli->format;
    top->view.max_rows = SIZE_MAX;
    top->live = !values->count && cli->format != RV_CLI_JSON && isatty(STDOUT_FILENO) &&
                isatty(STDIN_FILENO);
    top->count = values->count ? values->count : !top->live;
    top->node = cli->n_operands > 0;
    if (top->node && find_node(top, &err))
        return rv_cli_fail(cli, "%s", err.message);
    top->signals = hear_signals(&err);
    if (top->signals < 0)
        return rv_cli_fail(cli, "%s", err.message);
    if (top->live)
        take_terminal(top);
    int status = run(top);
    if (top->live)
        give_back_terminal(top);
    close(top->signals);
    return status;
}

int rv_cli_top(int argc, char **argv) {
    struct values values = {.interval_ns = 2000000000, .sort = "cpu"};
    struct top top = {.signals = -1};
    struct rv_cli cli;
    int status;

    top.cli = &cli;
    if (rv_cli_begin(&cli, &verb, &values, argc, argv, &status))
        status = begin(&top, &values);
    rv_top_forget(&top.figures);
    rv_cli_end(&cli);
    return status;
}
