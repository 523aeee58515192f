/*
 * Runs checks, see checks.h. Holds: each run reports once or is cancelled; the next run of the same
 * check may be started from within the report. A command's process group dies with it.
 */
#include "executor/checks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "executor/process.h"
#include "executor/session.h"

enum kind { COMMAND, HELPER, HTTP, TCP, SESSION };

struct rv_check_run {
    struct rv_checks *owner;
    unsigned task;
    enum rv_executor_check check;
    enum kind kind;
    bool over;  /* reported or cancelled: only what is left of it is still to go */
    pid_t pid;  /* of a command or helper, else 0 */
    int output; /* of a helper: a memory file; else -1 */
    struct rv_http http;
    int status; /* HTTP: of the response, once its head is there */
    bool moved; /* the response names another place */
    char *url;
    struct rv_session session;
};

static void drop(struct rv_check_run *run) {
    struct rv_checks *c = run->owner;

    if (run->pid)
        kill(-run->pid, SIGKILL);
    if (run->output >= 0)
        close(run->output);
    rv_http_close(&run->http);
    if (run->kind == SESSION)
        rv_session_free(&run->session);
    for (size_t i = 0; i < c->runs.n; i++) {
        if (c->runs.v[i] == run) {
            rv_vec_remove_at(&c->runs, i);
            break;
        }
    }
    free(run->url);
    free(run);
}

static void report(struct rv_check_run *run, enum rv_check_outcome outcome, int value,
                   const char *message) {
    struct rv_checks *c = run->owner;
    unsigned task = run->task;
    enum rv_executor_check check = run->check;
    bool tell = !run->over;

    run->over = true;
    if (run->kind != SESSION || run->session.state != RV_SESSION_ENDED)
        drop(run);
    if (tell)
        c->on_result(c->ctx, task, check, outcome, value, message);
}

/* ---- processes ---- */

static void start_command(struct rv_check_run *run, const struct rv_executor_check_spec *spec,
                          char *const *env) {
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct rv_error err = {0};

    if (null < 0 || rv_process_start(spec->command, env, null, &run->pid, &err))
        report(run, RV_CHECK_FAILED, 0, null < 0 ? "/dev/null" : err.message);
    if (null >= 0)
        close(null);
}

static void start_session(struct rv_check_run *run, const Reeve__V1__ContainerID *container,
                          const Reeve__V1__CommandInfo *command, bool keeps);

/* Follows redirects and speaks TLS, which we do not; and goes where we cannot: into the network of
 * the container, if there is one. */
static void start_helper(struct rv_check_run *run, const Reeve__V1__ContainerID *container) {
    static char name[] = "reeve-fetcher", mode[] = "probe";
    char *arguments[] = {name, mode, run->url};
    Reeve__V1__CommandInfo command = REEVE__V1__COMMAND_INFO__INIT;
    struct rv_error err = {0};

    rv_http_close(&run->http);
    run->kind = container ? SESSION : HELPER;
    command.has_shell = true;
    command.shell = false;
    command.value = (char *)(uintptr_t)run->owner->helper;
    command.n_arguments = RV_COUNT(arguments);
    command.arguments = arguments;
    if (!command.value) {
        run->kind = HELPER;
        report(run, RV_CHECK_FAILED, 0, "There is no program for HTTPS, redirects and networks");
        return;
    }
    if (container) {
        start_session(run, container, &command, true);
        return;
    }
    run->output = memfd_create("check", MFD_CLOEXEC);
    if (run->output < 0)
        report(run, RV_CHECK_FAILED, 0, strerror(errno));
    else if (rv_process_start(&command, environ, run->output, &run->pid, &err))
        report(run, RV_CHECK_FAILED, 0, err.message);
}

/* What it printed: the result, or why there is none. */
static void helper_told(struct rv_check_run *run, int wait_status, char *text) {
    uint64_t value;

    text[strcspn(text, "\n")] = '\0';
    if (wait_status == 0 && rv_parse_u64(text, 999, &value) == 0)
        report(run, RV_CHECK_RESULT, (int)value, NULL);
    else
        report(run, RV_CHECK_FAILED, 0, *text ? text : "The check's program failed");
}

static void helper_ended(struct rv_check_run *run, int wait_status) {
    char text[512];
    ssize_t n = pread(run->output, text, sizeof text - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    run->pid = 0;
    helper_told(run, wait_status, text);
}

bool rv_checks_reaped(struct rv_checks *c, pid_t pid, int wait_status) {
    for (size_t i = 0; i < c->runs.n; i++) {
        struct rv_check_run *run = c->runs.v[i];
        if (run->pid != pid)
            continue;
        if (run->kind == HELPER)
            helper_ended(run, wait_status);
        else if (WIFEXITED(wait_status))
            report(run, RV_CHECK_RESULT, WEXITSTATUS(wait_status), NULL);
        else
            report(run, RV_CHECK_FAILED, 0, "The check's command was ended by a signal");
        return true;
    }
    return false;
}

size_t rv_checks_pids(const struct rv_checks *c, pid_t *out, size_t size) {
    size_t n = 0;

    for (size_t i = 0; i < c->runs.n; i++) {
        if (!c->runs.v[i]->pid)
            continue;
        if (n < size)
            out[n] = c->runs.v[i]->pid;
        n++;
    }
    return n;
}

/* ---- HTTP and TCP ---- */

static void on_head(void *ctx, int status, const struct rv_http1_header *headers, size_t n) {
    struct rv_check_run *run = ctx;

    run->status = status;
    run->moved = status >= 300 && status < 400 && rv_http1_header(headers, n, "Location");
    rv_http_close(&run->http); /* the body does not matter */
}

static void on_body(void *ctx, struct rv_str bytes) {
    (void)ctx;
    (void)bytes;
}

static void on_done(void *ctx, bool keep_alive) {
    (void)ctx;
    (void)keep_alive;
}

static const struct rv_http1_handler handler = {on_head, on_body, on_done};

static bool is_plain(const char *path) {
    for (const char *p = path; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return false;
    return true;
}

/* apart: the container that has a network of its own, or NULL. */
static void connect_to(struct rv_check_run *run, const struct rv_executor_check_spec *spec,
                       const Reeve__V1__ContainerID *apart) {
    const char *path = *spec->path == '/' ? spec->path + 1 : spec->path;
    const char *address = spec->ipv6 ? "[::1]" : "127.0.0.1";
    _cleanup_free_ char *host = rv_asprintf("%s:%u", address, spec->port);
    struct rv_http_address to;
    struct rv_error err = {0};

    if (spec->port == 0 || spec->port > 65535) {
        report(run, RV_CHECK_FAILED, 0, "The check's port is out of range");
        return;
    }
    if (!is_plain(spec->path)) {
        report(run, RV_CHECK_FAILED, 0, "The check's path has a character that a path cannot have");
        return;
    }
    run->url = rv_asprintf("%s://%s/%s", run->kind == TCP ? "tcp" : spec->scheme, host, path);
    if (apart || (run->kind == HTTP && strcmp(spec->scheme, "http") != 0)) {
        start_helper(run, apart);
        return;
    }
    if (rv_http_address_parse(host, &to, &err) ||
        rv_http_open(&run->http, &to, &handler, run, &err)) {
        report(run, run->kind == TCP ? RV_CHECK_RESULT : RV_CHECK_FAILED, 0, err.message);
        return;
    }
    if (run->kind == HTTP) {
        _cleanup_free_ char *target = rv_asprintf("/%s", path);
        rv_http1_request(&run->http.out, "GET", target, host,
                         "User-Agent: reeve\r\nAccept: */*\r\nConnection: close\r\n",
                         rv_strn(NULL, 0));
    }
}

static void net_io(struct rv_check_run *run, short revents) {
    struct rv_error err = {0};
    int rc = rv_http_io(&run->http, revents, &err);

    if (run->kind == TCP && (rc || run->http.connected))
        report(run, RV_CHECK_RESULT, rc == 0 || rc == -RV_ERR_CLOSED, rc ? err.message : NULL);
    else if (run->status && run->moved && run->owner->helper)
        start_helper(run, NULL);
    else if (run->status)
        report(run, RV_CHECK_RESULT, run->status, NULL);
    else if (rc)
        report(run, RV_CHECK_FAILED, 0, err.message);
}

/* ---- sessions ---- */

static void look_at_session(struct rv_check_run *run) {
    struct rv_session *s = &run->session;
    int status = s->wait_status;

    switch (s->state) {
    case RV_SESSION_ENDED:
        if (run->over)
            break; /* what is left is being removed */
        if (s->keeps && WIFEXITED(status)) {
            _cleanup_free_ char *text = rv_strndup(s->text.data ? s->text.data : "", s->text.n);
            helper_told(run, status, text);
        } else if (WIFEXITED(status))
            report(run, RV_CHECK_RESULT, WEXITSTATUS(status), NULL);
        else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
            report(run, RV_CHECK_UNKNOWN, 0, NULL); /* as when its task ends meanwhile */
        else
            report(run, RV_CHECK_FAILED, 0, "The check's command was ended by a signal");
        break;
    case RV_SESSION_REFUSED: {
        _cleanup_free_ char *why = rv_strndup(s->text.data ? s->text.data : "", s->text.n);
        why[strcspn(why, "\n")] = '\0';
        report(run, RV_CHECK_FAILED, 0, why);
        break;
    }
    case RV_SESSION_LOST:
        report(run, RV_CHECK_UNKNOWN, 0, NULL);
        break;
    case RV_SESSION_GONE:
        drop(run);
        break;
    case RV_SESSION_RUNS:
    default:
        break;
    }
}

static void start_session(struct rv_check_run *run, const Reeve__V1__ContainerID *container,
                          const Reeve__V1__CommandInfo *command, bool keeps) {
    struct rv_checks *c = run->owner;
    char name[32];

    snprintf(name, sizeof name, "check-%u", c->sessions++);
    rv_session_start(&run->session, c->agent, name, container, command, keeps);
    look_at_session(run);
}

/* ---- the whole ---- */

void rv_checks_start(struct rv_checks *c, unsigned task, enum rv_executor_check check,
                     const struct rv_executor_check_spec *spec, char *const *env,
                     const Reeve__V1__ContainerID *container, bool own_network) {
    const Reeve__V1__ContainerID *apart = own_network ? container : NULL;
    struct rv_check_run *run = rv_calloc(1, sizeof *run);

    run->owner = c;
    run->task = task;
    run->check = check;
    run->http.fd = run->output = -1;
    rv_vec_push(&c->runs, run);
    switch ((int)spec->type) {
    case REEVE__V1__CHECK_INFO__TYPE__COMMAND:
        run->kind = container ? SESSION : COMMAND;
        if (container)
            start_session(run, container, spec->command, false);
        else
            start_command(run, spec, env);
        break;
    case REEVE__V1__CHECK_INFO__TYPE__TCP:
        run->kind = TCP;
        connect_to(run, spec, apart);
        break;
    default:
        run->kind = HTTP;
        connect_to(run, spec, apart);
        break;
    }
}

void rv_checks_cancel(struct rv_checks *c, unsigned task, enum rv_executor_check check) {
    for (size_t i = 0; i < c->runs.n; i++) {
        struct rv_check_run *run = c->runs.v[i];
        if (run->task != task || run->check != check || run->over)
            continue;
        run->over = true;
        if (run->kind == SESSION) {
            rv_session_stop(&run->session, c->agent);
            look_at_session(run);
        } else {
            drop(run);
        }
        return;
    }
}

void rv_checks_free(struct rv_checks *c) {
    while (c->runs.n)
        drop(c->runs.v[c->runs.n - 1]);
    rv_vec_free(&c->runs);
}

static struct rv_http *http_of(struct rv_check_run *run) {
    return run->kind == SESSION ? &run->session.call.http : &run->http;
}

void rv_checks_poll(const struct rv_checks *c, struct rv_pollfds *fds) {
    for (size_t i = 0; i < c->runs.n; i++)
        rv_pollfds_add(fds, http_of(c->runs.v[i]));
}

void rv_checks_io(struct rv_checks *c, const struct rv_pollfds *fds) {
    for (size_t i = 0; i < fds->v.n; i++) {
        const struct pollfd *p = &fds->v.v[i];
        if (!p->revents || p->fd < 0)
            continue;
        for (size_t k = 0; k < c->runs.n; k++) {
            struct rv_check_run *run = c->runs.v[k];
            if (http_of(run)->fd != p->fd)
                continue;
            if (run->kind == SESSION) {
                rv_session_io(&run->session, c->agent, p->revents);
                look_at_session(run);
            } else {
                net_io(run, p->revents);
            }
            break;
        }
    }
}
