/*
 * Master, agent, or both in one process (`local`), on one loop. SIGTERM and SIGINT end in good
 * order; a second one ends at once. Exit status: 0 after a clean end, 1 after an error, 2 for bad
 * flags.
 */
#include "daemon/run.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fixed.h"
#include "base/folder.h"
#include "base/log.h"
#include "daemon/agent_daemon.h"
#include "daemon/master_daemon.h"

extern char **environ;

struct runner {
    uv_loop_t loop;
    uv_signal_t signals[2];
    struct rv_master_daemon *master;
    struct rv_agent_daemon **agents;
    struct rv_agent_flags *agent_flags;
    size_t n_agents, n_ending;
    bool ending;
    int status;
};

static void leave(struct runner *r) {
    for (size_t i = 0; i < r->n_agents; i++)
        r->agents[i] = rv_agent_daemon_stop(r->agents[i]);
    r->master = rv_master_daemon_stop(r->master);
    for (size_t i = 0; i < RV_COUNT(r->signals); i++)
        if (!uv_is_closing((uv_handle_t *)&r->signals[i]))
            uv_close((uv_handle_t *)&r->signals[i], NULL);
}

/* Stopping frees the agent, which must not happen in its own call: on the next turn of the loop. */
static void on_leave(uv_timer_t *timer) {
    struct runner *r = timer->data;

    uv_close((uv_handle_t *)timer, (uv_close_cb)(void (*)(void))free);
    leave(r);
}

static void leave_soon(struct runner *r) {
    uv_timer_t *timer = rv_calloc(1, sizeof *timer);

    uv_timer_init(&r->loop, timer);
    timer->data = r;
    uv_timer_start(timer, on_leave, 0, 0);
}

static void on_agent_exit(void *ctx, int status, const char *why) {
    struct runner *r = ctx;

    if (status) {
        RV_ERROR("agent", "ends: %s", why ? why : "");
        r->status = 1;
    } else
        RV_INFO("agent", "ends: %s", why ? why : "");
    if (++r->n_ending >= r->n_agents || (status && !r->ending))
        leave_soon(r);
}

static void on_master_exit(void *ctx, int status, const char *why) {
    struct runner *r = ctx;

    RV_ERROR("master", "ends: %s", why);
    r->status = status;
    leave_soon(r);
}

static void on_signal(uv_signal_t *signal, int number) {
    struct runner *r = signal->data;

    if (r->ending || !r->n_agents) {
        leave(r);
        return;
    }
    RV_INFO("reeve", "ending on %s", number == SIGTERM ? "SIGTERM" : "SIGINT");
    r->ending = true;
    for (size_t i = 0; i < r->n_agents; i++)
        rv_agent_daemon_shutdown(r->agents[i]);
}

/* A connection is a descriptor: as many as the hard limit allows. */
static void raise_file_limit(void) {
    struct rlimit limit;

    if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit))
            RV_WARN("reeve", "the open-file limit stays as it is");
    }
}

static void runner_init(struct runner *r) {
    static const int numbers[] = {SIGTERM, SIGINT};

    raise_file_limit();
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&r->loop);
    for (size_t i = 0; i < RV_COUNT(numbers); i++) {
        uv_signal_init(&r->loop, &r->signals[i]);
        r->signals[i].data = r;
        uv_signal_start(&r->signals[i], on_signal, numbers[i]);
    }
}

static int runner_run(struct runner *r) {
    uv_run(&r->loop, UV_RUN_DEFAULT);
    uv_loop_close(&r->loop);
    return r->status;
}

/* 0: go on; else the exit status is *status. */
static int flags_of(const struct rv_flag_table *table, void *flags, int argc, char **argv,
                    int *status) {
    struct rv_error err;

    for (int i = 0; i < argc; i++)
        if (rv_streq(argv[i], "--help") || rv_streq(argv[i], "-h")) {
            struct rv_buf text = {0};
            rv_flags_help(table, &text);
            fputs(text.data, stdout);
            rv_buf_free(&text);
            *status = 0;
            return 1;
        }
    if (rv_flags_parse(table, flags, argc, argv, environ, &err)) {
        fprintf(stderr, "reeve %s: %s\n", table->verb, err.message);
        *status = 2;
        return 1;
    }
    return 0;
}

static int set_level(const char *verb, const char *level) {
    int value = rv_log_level_parse(level);

    if (value < 0) {
        fprintf(stderr,
                "reeve %s: --log_level: \"%s\" is not error, warning, info, debug or trace\n", verb,
                level);
        return 2;
    }
    rv_log_set_level((enum rv_log_level)value);
    return 0;
}

static int fail(struct runner *r, const char *verb, const struct rv_error *err) {
    fprintf(stderr, "reeve %s: %s\n", verb, err->message);
    leave(r);
    runner_run(r);
    return 1;
}

int rv_run_master(int argc, char **argv) {
    struct rv_master_flags flags = {0};
    struct runner r = {0};
    struct rv_error err;
    int status;

    if (flags_of(&rv_master_flag_table, &flags, argc, argv, &status))
        return status;
    status = set_level("master", flags.log_level);
    if (!status) {
        runner_init(&r);
        if (rv_master_daemon_start(&r.loop, &flags, on_master_exit, &r, &r.master, &err))
            status = fail(&r, "master", &err);
        else {
            printf("master at http://%s:%u\n", flags.ip, rv_master_daemon_port(r.master));
            fflush(stdout);
            status = runner_run(&r);
        }
    }
    rv_flags_free(&rv_master_flag_table, &flags);
    return status;
}

int rv_run_agent(int argc, char **argv) {
    struct rv_agent_flags flags = {0};
    struct rv_agent_daemon *agent = NULL;
    struct runner r = {.agents = &agent, .n_agents = 1};
    struct rv_error err;
    int status;

    /* What connections take, 32 KiB and more each, goes back to the system when they close. */
    mallopt(M_MMAP_THRESHOLD, 32 * 1024);
    if (flags_of(&rv_agent_flag_table, &flags, argc, argv, &status))
        return status;
    status = set_level("agent", flags.log_level);
    if (!status) {
        runner_init(&r);
        if (rv_agent_daemon_start(&r.loop, &flags, on_agent_exit, &r, &agent, &err))
            status = fail(&r, "agent", &err);
        else {
            printf("agent at http://%s:%u\n", flags.ip, rv_agent_daemon_port(agent));
            fflush(stdout);
            status = runner_run(&r);
        }
    }
    rv_flags_free(&rv_agent_flag_table, &flags);
    return status;
}

/* --- local --- */

/* Flags of a daemon from those of `local`: what both have is handed on as text. */
static int derive(const struct rv_flag_table *to, void *flags, const struct rv_local_flags *from,
                  char *const *extra, size_t n_extra, struct rv_error *err) {
    char **argv = rv_calloc(rv_local_flag_table.n + n_extra, sizeof *argv);
    int argc = 0;

    for (size_t i = 0; i < n_extra; i++)
        argv[argc++] = rv_strdup(extra[i]);
    for (size_t i = 0; i < rv_local_flag_table.n; i++) {
        const struct rv_flag *flag = &rv_local_flag_table.flags[i];
        bool shared = false, given = false;
        for (size_t k = 0; k < to->n; k++)
            shared |= rv_streq(to->flags[k].name, flag->name);
        size_t n = strlen(flag->name);
        for (size_t k = 0; k < n_extra; k++)
            given |= !strncmp(extra[k] + 2, flag->name, n) && extra[k][2 + n] == '=';
        char *text = shared && !given ? rv_flag_text(flag, from) : NULL;
        if (text)
            argv[argc++] = rv_asprintf("--%s=%s", flag->name, text);
        free(text);
    }
    int r = rv_flags_parse(to, flags, argc, argv, NULL, err);
    for (int i = 0; i < argc; i++)
        free(argv[i]);
    free(argv);
    return r;
}

/* The machine divided among the agents, ports too: they must not promise the same thing twice. */
static char *divided_resources(const struct rv_local_flags *flags, const char *work_dir, size_t i) {
    struct rv_agent_flags probe = {.work_dir = (char *)(uintptr_t)work_dir,
                                   .default_role = (char *)(uintptr_t) "*"};
    struct rv_agent_info machine = {0};
    int64_t n = flags->agents;
    char *text = NULL;

    if (flags->resources)
        return rv_strdup(flags->resources);
    if (!rv_agent_detect(&probe, &machine, NULL, NULL)) {
        char cpus[24];
        /* A machine of few cores still runs many small tasks: at least four cpus an agent. */
        int64_t share = rv_resources_quantity(&machine.resources, "cpus") / n;
        rv_fixed_format(RV_MAX(share, 4 * RV_FIXED_ONE), cpus);
        int64_t ports = 1000 / n, first = 31000 + (int64_t)i * ports;
        text =
            rv_asprintf("cpus:%s;mem:%lld;disk:%lld;ports:[%lld-%lld]", cpus,
                        (long long)(rv_resources_quantity(&machine.resources, "mem") / n / 1000),
                        (long long)(rv_resources_quantity(&machine.resources, "disk") / n / 1000),
                        (long long)first, (long long)(first + ports - 1));
    }
    rv_agent_info_free(&machine);
    return text;
}

static int start_agent(struct runner *r, const struct rv_local_flags *flags, const char *work_dir,
                       size_t i, struct rv_error *err) {
    uint16_t master = rv_master_daemon_port(r->master);
    char *resources = divided_resources(flags, work_dir, i);
    char *extra[] = {
        rv_asprintf("--master=%s:%u", flags->ip, master),
        rv_asprintf("--port=%u", flags->port ? (unsigned)(flags->port + 1 + (int64_t)i) : 0u),
        rv_asprintf("--work_dir=%s/agent-%zu", work_dir, i + 1),
        rv_asprintf("--runtime_dir=%s/runtime", work_dir),
        rv_asprintf("--resources=%s", resources ? resources : ""),
    };
    int failed =
        derive(&rv_agent_flag_table, &r->agent_flags[i], flags, extra, RV_COUNT(extra), err);

    if (!failed)
        failed = rv_agent_daemon_start(&r->loop, &r->agent_flags[i], on_agent_exit, r,
                                       &r->agents[i], err);
    for (size_t k = 0; k < RV_COUNT(extra); k++)
        free(extra[k]);
    free(resources);
    if (!failed)
        r->n_agents++;
    return failed;
}

static int run_local(struct runner *r, const struct rv_local_flags *flags, const char *work_dir,
                     struct rv_master_flags *master_flags, struct rv_error *err) {
    char *extra[] = {rv_asprintf("--work_dir=%s/master", work_dir)};
    int failed = derive(&rv_master_flag_table, master_flags, flags, extra, RV_COUNT(extra), err);

    free(extra[0]);
    if (!failed)
        failed = rv_master_daemon_start(&r->loop, master_flags, on_master_exit, r, &r->master, err);
    for (size_t i = 0; !failed && i < (size_t)flags->agents; i++)
        failed = start_agent(r, flags, work_dir, i, err);
    if (failed)
        return failed;
    printf("master at http://%s:%u\n", flags->ip, rv_master_daemon_port(r->master));
    for (size_t i = 0; i < r->n_agents; i++)
        printf("agent at http://%s:%u\n", flags->ip, rv_agent_daemon_port(r->agents[i]));
    fflush(stdout);
    return 0;
}

int rv_run_local(int argc, char **argv) {
    struct rv_local_flags flags = {0};
    struct rv_master_flags master_flags = {0};
    struct runner r = {0};
    struct rv_error err;
    char made[] = "/tmp/reeve-XXXXXX";
    const char *work_dir;
    int status;

    if (flags_of(&rv_local_flag_table, &flags, argc, argv, &status))
        return status;
    status = set_level("local", flags.log_level);
    if (!status && (flags.agents < 1 || flags.agents > 1000)) {
        fprintf(stderr, "reeve local: --agents: between 1 and 1000\n");
        status = 2;
    }
    work_dir = flags.work_dir ? flags.work_dir : mkdtemp(made);
    if (!status && !work_dir) {
        fprintf(stderr, "reeve local: cannot make a folder below /tmp; use --work_dir\n");
        status = 1;
    }
    if (!status) {
        if (!flags.work_dir && chmod(work_dir, 0755))
            RV_WARN("reeve", "tasks of other users cannot reach %s", work_dir);
        r.agents = rv_calloc((size_t)flags.agents, sizeof *r.agents);
        r.agent_flags = rv_calloc((size_t)flags.agents, sizeof *r.agent_flags);
        runner_init(&r);
        if (run_local(&r, &flags, work_dir, &master_flags, &err))
            status = fail(&r, "local", &err);
        else
            status = runner_run(&r);
        for (int64_t i = 0; i < flags.agents; i++)
            rv_flags_free(&rv_agent_flag_table, &r.agent_flags[i]);
        free(r.agents);
        free(r.agent_flags);
        if (!flags.work_dir && rv_folder_remove(work_dir))
            fprintf(stderr, "reeve local: cannot remove %s\n", work_dir);
    }
    rv_flags_free(&rv_master_flag_table, &master_flags);
    rv_flags_free(&rv_local_flag_table, &flags);
    return status;
}

int rv_run_flag_reference(void) {
    static const struct rv_flag_table *const tables[] = {
        &rv_master_flag_table, &rv_agent_flag_table, &rv_local_flag_table};
    struct rv_buf text = {0};

    rv_buf_puts(&text, "# Flags\n\nMade by `reeve flags`; do not edit.\n\n");
    for (size_t i = 0; i < RV_COUNT(tables); i++)
        rv_flags_markdown(tables[i], &text);
    fputs(text.data, stdout);
    rv_buf_free(&text);
    return 0;
}
