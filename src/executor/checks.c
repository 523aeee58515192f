/*
 * Runs checks, see checks.h. Holds: each run reports once or is cancelled; a run is gone before its
 * result is told, so that the listener may start the next. A command's process group dies with it.
 */
#include "executor/checks.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "executor/http.h"
#include "executor/process.h"

struct rv_check_run {
    struct rv_checks *owner;
    unsigned task;
    enum rv_executor_check check;
    bool tcp;
    pid_t pid;           /* of a command, else 0 */
    struct rv_http http; /* else */
    int status;          /* HTTP: of the response, once its head is there */
};

static void drop(struct rv_check_run *run) {
    struct rv_checks *c = run->owner;

    if (run->pid)
        kill(-run->pid, SIGKILL);
    else
        rv_http_close(&run->http);
    for (size_t i = 0; i < c->runs.n; i++) {
        if (c->runs.v[i] == run) {
            rv_vec_remove_at(&c->runs, i);
            break;
        }
    }
    free(run);
}

static void report(struct rv_check_run *run, bool ok, int value, const char *message) {
    struct rv_checks *c = run->owner;
    unsigned task = run->task;
    enum rv_executor_check check = run->check;

    drop(run);
    c->on_result(c->ctx, task, check, ok, value, message);
}

static void on_head(void *ctx, int status, const struct rv_http1_header *headers, size_t n) {
    struct rv_check_run *run = ctx;

    (void)headers;
    (void)n;
    run->status = status;
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

static void connect_to(struct rv_check_run *run, const struct rv_executor_check_spec *spec) {
    struct rv_http_address to;
    struct rv_error err = {0};
    char host[32];

    if (!run->tcp && strcmp(spec->scheme, "http") != 0) {
        _cleanup_free_ char *text = rv_asprintf("Checks over %s are not supported", spec->scheme);
        report(run, false, 0, text);
        return;
    }
    if (spec->port == 0 || spec->port > 65535) {
        report(run, false, 0, "The check's port is out of range");
        return;
    }
    rv_http_address_loopback(spec->port, &to);
    if (rv_http_open(&run->http, &to, &handler, run, &err)) {
        report(run, run->tcp, 0, err.message);
        return;
    }
    if (run->tcp)
        return;
    for (const char *p = spec->path; *p; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f) {
            report(run, false, 0, "The check's path has a character that a path cannot have");
            return;
        }
    }
    snprintf(host, sizeof host, "127.0.0.1:%u", spec->port);
    {
        _cleanup_free_ char *path = rv_asprintf("%s%s", *spec->path == '/' ? "" : "/", spec->path);
        rv_http1_request(&run->http.out, "GET", path, host,
                         "User-Agent: reeve\r\nAccept: */*\r\nConnection: close\r\n",
                         rv_strn(NULL, 0));
    }
}

void rv_checks_start(struct rv_checks *c, unsigned task, enum rv_executor_check check,
                     const struct rv_executor_check_spec *spec, char *const *env,
                     const char *directory) {
    struct rv_check_run *run = rv_calloc(1, sizeof *run);
    struct rv_error err = {0};

    run->owner = c;
    run->task = task;
    run->check = check;
    run->http.fd = -1;
    run->tcp = spec->type == REEVE__V1__CHECK_INFO__TYPE__TCP;
    rv_vec_push(&c->runs, run);
    if (spec->type != REEVE__V1__CHECK_INFO__TYPE__COMMAND)
        connect_to(run, spec);
    else if (rv_process_start(spec->command, env, directory, RV_PROCESS_NULL, &run->pid, &err))
        report(run, false, 0, err.message);
}

void rv_checks_cancel(struct rv_checks *c, unsigned task, enum rv_executor_check check) {
    for (size_t i = 0; i < c->runs.n; i++) {
        if (c->runs.v[i]->task == task && c->runs.v[i]->check == check) {
            drop(c->runs.v[i]);
            return;
        }
    }
}

void rv_checks_free(struct rv_checks *c) {
    while (c->runs.n)
        drop(c->runs.v[c->runs.n - 1]);
    rv_vec_free(&c->runs);
}

bool rv_checks_reaped(struct rv_checks *c, pid_t pid, int wait_status) {
    for (size_t i = 0; i < c->runs.n; i++) {
        struct rv_check_run *run = c->runs.v[i];
        if (run->pid != pid)
            continue;
        if (WIFEXITED(wait_status))
            report(run, true, WEXITSTATUS(wait_status), NULL);
        else
            report(run, false, 0, "The check's command was ended by a signal");
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

void rv_checks_poll(const struct rv_checks *c, struct rv_pollfds *fds) {
    for (size_t i = 0; i < c->runs.n; i++) {
        const struct rv_http *h = &c->runs.v[i]->http;
        if (h->fd >= 0) {
            struct pollfd p = {.fd = h->fd, .events = rv_http_events(h)};
            rv_vec_push(&fds->v, p);
        }
    }
}

static void run_io(struct rv_check_run *run, short revents) {
    struct rv_error err = {0};
    int rc = rv_http_io(&run->http, revents, &err);

    if (run->tcp && (rc || run->http.connected))
        report(run, true, rc == 0 || rc == -RV_ERR_CLOSED, rc ? err.message : NULL);
    else if (run->status)
        report(run, true, run->status, NULL);
    else if (rc)
        report(run, false, 0, err.message);
}

void rv_checks_io(struct rv_checks *c, const struct rv_pollfds *fds) {
    for (size_t i = 0; i < fds->v.n; i++) {
        if (!fds->v.v[i].revents)
            continue;
        for (size_t k = 0; k < c->runs.n; k++) {
            if (!c->runs.v[k]->pid && c->runs.v[k]->http.fd == fds->v.v[i].fd) {
                run_io(c->runs.v[k], fds->v.v[i].revents);
                break;
            }
        }
    }
}
