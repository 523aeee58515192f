/*
 * The session of `exec` and `attach`: one connection for the container's output, one for its input,
 * and for a command one that waits for its exit status.
 *
 * Holds: the terminal is raw only while the loop runs; every way out of it restores it. Input is
 * read only while less than QUEUE_MAX of it waits to be sent.
 */
#include "cli/session.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "wire/http1.h"
#include "wire/recordio.h"

enum {
    PIECE = 16 * 1024,
    QUEUE_MAX = 128 * 1024,
    MAX_RECORD = 16 * 1024 * 1024,
    HEARTBEAT_MS = 30000,
    LAST_WAIT_MS = 10000, /* for the exit status, once the output has ended */
    BY_SIGNAL = 128,
};

struct session;

/* One request under way. */
struct conn {
    struct session *s;
    int fd; /* -1: closed */
    struct rv_http1_parser *parser;
    struct rv_buf out, body;
    int status; /* 0: no head yet */
    bool done;
    void (*on_ok)(struct session *s); /* the head came, with 200 */
};

struct session {
    const struct rv_cli_session *config;
    struct conn output, input, wait;
    struct rv_recordio records;
    int signals;
    bool raw, input_ended, stdout_failed;
    struct termios before;
    int64_t beat_ms;
    char *failure;
};

static int64_t now_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

RV_PRINTF(2, 3) static void fail(struct session *s, const char *format, ...) {
    va_list ap;

    if (s->failure)
        return;
    va_start(ap, format);
    s->failure = rv_vasprintf(format, ap);
    va_end(ap);
}

/* ---- connections ---- */

static void on_head(void *ctx, int status, const struct rv_http1_header *headers, size_t n) {
    struct conn *c = ctx;

    (void)headers;
    (void)n;
    c->status = status;
    if (status == 200 && c->on_ok)
        c->on_ok(c->s);
}

static int on_record(void *ctx, struct rv_str record);

static void on_body(void *ctx, struct rv_str bytes) {
    struct conn *c = ctx;
    struct rv_error err;

    if (c != &c->s->output || c->status != 200) {
        if (c->body.n < MAX_RECORD)
            rv_buf_append(&c->body, bytes.s, bytes.n);
    } else if (rv_recordio_feed(&c->s->records, bytes, on_record, c->s, &err))
        fail(c->s, "the agent's stream: %s", err.message);
}

static void on_done(void *ctx, bool keep_alive) {
    struct conn *c = ctx;

    (void)keep_alive;
    c->done = true;
}

static int open_socket(const struct rv_cli_address *at, struct rv_error *err) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char port[8];
    int fd = -1, one = 1, rc;

    snprintf(port, sizeof port, "%u", at->port);
    rc = getaddrinfo(at->host, port, &hints, &found);
    if (rc)
        return rv_error_set(err, RV_ERR_IO, "%s: %s", at->host, gai_strerror(rc));
    for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            rc = errno;
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    if (fd < 0)
        return rv_error_set(err, RV_ERR_IO, "cannot reach the agent at %s:%u: %s", at->host,
                            at->port, strerror(rc));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static int conn_open(struct session *s, struct conn *c, struct rv_error *err) {
    static const struct rv_http1_handler handler = {on_head, on_body, on_done};
    int fd = open_socket(&s->config->agent, err);

    if (fd < 0)
        return fd;
    c->s = s;
    c->fd = fd;
    c->parser = rv_http1_parser_new(&handler, c);
    return 0;
}

static void conn_close(struct conn *c) {
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static void conn_free(struct conn *c) {
    conn_close(c);
    rv_http1_parser_free(c->parser);
    rv_buf_free(&c->out);
    rv_buf_free(&c->body);
}

static void conn_write(struct conn *c) {
    while (c->fd >= 0 && c->out.n) {
        ssize_t n = send(c->fd, c->out.data, c->out.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) { /* what the agent said of it is still to be read */
            rv_buf_clear(&c->out);
            return;
        }
        rv_buf_consume(&c->out, (size_t)n);
    }
}

static void conn_read(struct conn *c) {
    char bytes[PIECE];
    struct rv_error err;
    ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0 && rv_http1_parser_feed(c->parser, rv_strn(bytes, (size_t)n), &err)) {
        fail(c->s, "the agent's answer: %s", err.message);
        conn_close(c);
    } else if (n <= 0) {
        if (!rv_http1_parser_eof(c->parser, &err) && c->status)
            c->done = true;
        conn_close(c);
    }
    if (c->done)
        conn_close(c);
}

static void post(struct conn *c, const struct rv_cli_address *agent, const char *accept,
                 Reeve__V1__Agent__Call__Type type, Reeve__V1__Agent__Call *call) {
    _cleanup_(rv_buf_free) struct rv_buf body = {0};
    _cleanup_free_ char *host = rv_asprintf("%s:%u", agent->host, agent->port);
    _cleanup_free_ char *headers =
        rv_asprintf("Content-Type: application/x-protobuf\r\n%s", accept);

    call->has_type = true;
    call->type = type;
    rv_wire_encode(&call->base, RV_ENC_PROTOBUF, &body);
    rv_http1_request(&c->out, "POST", "/api/v1", host, headers, rv_buf_str(&body));
    conn_write(c);
}

/* ---- input ---- */

/* One record as one chunk of the request's body. */
static void send_call(struct session *s, Reeve__V1__Agent__Call__AttachContainerInput *m) {
    _cleanup_(rv_buf_free) struct rv_buf message = {0}, record = {0};
    Reeve__V1__Agent__Call call = REEVE__V1__AGENT__CALL__INIT;
    struct conn *c = &s->input;

    if (c->fd < 0 || s->input_ended)
        return;
    call.has_type = true;
    call.type = REEVE__V1__AGENT__CALL__TYPE__ATTACH_CONTAINER_INPUT;
    call.attach_container_input = m;
    rv_wire_encode(&call.base, RV_ENC_PROTOBUF, &message);
    rv_recordio_put(&record, rv_buf_str(&message));
    rv_buf_printf(&c->out, "%zx\r\n", record.n);
    rv_buf_append(&c->out, record.data, record.n);
    rv_buf_puts(&c->out, "\r\n");
    conn_write(c);
}

static void send_io(struct session *s, Reeve__V1__Agent__ProcessIO *io) {
    Reeve__V1__Agent__Call__AttachContainerInput m =
        REEVE__V1__AGENT__CALL__ATTACH_CONTAINER_INPUT__INIT;

    io->has_type = m.has_type = true;
    m.type = REEVE__V1__AGENT__CALL__ATTACH_CONTAINER_INPUT__TYPE__PROCESS_IO;
    m.process_io = io;
    send_call(s, &m);
}

static void send_data(struct session *s, const void *bytes, size_t n) {
    Reeve__V1__Agent__ProcessIO__Data data = REEVE__V1__AGENT__PROCESS_IO__DATA__INIT;
    Reeve__V1__Agent__ProcessIO io = REEVE__V1__AGENT__PROCESS_IO__INIT;

    io.type = REEVE__V1__AGENT__PROCESS_IO__TYPE__DATA;
    io.data = &data;
    data.has_type = data.has_data = true;
    data.type = REEVE__V1__AGENT__PROCESS_IO__DATA__TYPE__STDIN;
    data.data.data = (uint8_t *)(uintptr_t)bytes;
    data.data.len = n;
    send_io(s, &io);
}

static void end_input(struct session *s) {
    if (s->input_ended)
        return;
    if (s->config->tty)
        send_data(s, "\004", 1);
    send_data(s, "", 0);
    s->input_ended = true;
    rv_buf_puts(&s->input.out, "0\r\n\r\n");
    conn_write(&s->input);
}

static bool window_size(Reeve__V1__TTYInfo__WindowSize *out) {
    struct winsize w;

    if ((ioctl(STDIN_FILENO, TIOCGWINSZ, &w) != 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0) ||
        !w.ws_row || !w.ws_col)
        return false;
    out->rows = w.ws_row;
    out->columns = w.ws_col;
    return true;
}

static void send_control(struct session *s, bool size) {
    Reeve__V1__TTYInfo__WindowSize window = REEVE__V1__TTYINFO__WINDOW_SIZE__INIT;
    Reeve__V1__TTYInfo tty = REEVE__V1__TTYINFO__INIT;
    Reeve__V1__DurationInfo interval = REEVE__V1__DURATION_INFO__INIT;
    Reeve__V1__Agent__ProcessIO__Control__Heartbeat beat =
        REEVE__V1__AGENT__PROCESS_IO__CONTROL__HEARTBEAT__INIT;
    Reeve__V1__Agent__ProcessIO__Control control = REEVE__V1__AGENT__PROCESS_IO__CONTROL__INIT;
    Reeve__V1__Agent__ProcessIO io = REEVE__V1__AGENT__PROCESS_IO__INIT;

    control.has_type = true;
    if (size && !window_size(&window))
        return;
    if (size) {
        control.type = REEVE__V1__AGENT__PROCESS_IO__CONTROL__TYPE__TTY_INFO;
        tty.window_size = &window;
        control.tty_info = &tty;
    } else {
        control.type = REEVE__V1__AGENT__PROCESS_IO__CONTROL__TYPE__HEARTBEAT;
        interval.nanoseconds = (int64_t)HEARTBEAT_MS * 1000000;
        beat.interval = &interval;
        control.heartbeat = &beat;
    }
    io.type = REEVE__V1__AGENT__PROCESS_IO__TYPE__CONTROL;
    io.control = &control;
    send_io(s, &io);
}

static void open_input(struct session *s) {
    static const char head[] = "POST /api/v1 HTTP/1.1\r\nHost: %s:%u\r\n"
                               "Content-Type: application/recordio\r\n"
                               "Message-Content-Type: application/x-protobuf\r\n"
                               "Accept: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    Reeve__V1__Agent__Call__AttachContainerInput m =
        REEVE__V1__AGENT__CALL__ATTACH_CONTAINER_INPUT__INIT;
    struct rv_error err;

    if (conn_open(s, &s->input, &err)) {
        fail(s, "%s", err.message);
        return;
    }
    rv_buf_printf(&s->input.out, head, s->config->agent.host, s->config->agent.port);
    m.has_type = true;
    m.type = REEVE__V1__AGENT__CALL__ATTACH_CONTAINER_INPUT__TYPE__CONTAINER_ID;
    m.container_id = s->config->container_id;
    send_call(s, &m);
    if (s->config->tty)
        send_control(s, true);
    if (!s->config->input)
        end_input(s);
}

static void read_input(struct session *s) {
    char bytes[PIECE];
    ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);

    if (n > 0)
        send_data(s, bytes, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        end_input(s);
}

/* ---- output ---- */

static void write_all(struct session *s, int fd, const uint8_t *bytes, size_t n) {
    while (n && !s->stdout_failed) {
        ssize_t w = write(fd, bytes, n);
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (w < 0 && errno == EAGAIN)
            (void)poll(&p, 1, -1); /* it shares its file with somebody who made it so */
        else if (w < 0 && errno != EINTR)
            s->stdout_failed = true; /* nobody reads any more */
        else if (w > 0) {
            bytes += w;
            n -= (size_t)w;
        }
    }
}

static int on_record(void *ctx, struct rv_str record) {
    struct session *s = ctx;
    _cleanup_(rv_arena_free) struct rv_arena arena;
    const Reeve__V1__Agent__ProcessIO *io;
    ProtobufCMessage *m;
    struct rv_error err;

    rv_arena_init(&arena);
    if (rv_wire_decode(&reeve__v1__agent__process_io__descriptor, RV_ENC_PROTOBUF, record,
                       &rv_cli_limits, &arena, &m, &err)) {
        fail(s, "the agent's stream: %s", err.message);
        return 0;
    }
    io = (const void *)m;
    if (io->data)
        write_all(s,
                  io->data->type == REEVE__V1__AGENT__PROCESS_IO__DATA__TYPE__STDERR
                      ? STDERR_FILENO
                      : STDOUT_FILENO,
                  io->data->data.data, io->data->data.len);
    return 0;
}

/* ---- the exit status ---- */

static void open_wait(struct session *s) {
    Reeve__V1__Agent__Call call = REEVE__V1__AGENT__CALL__INIT;
    Reeve__V1__Agent__Call__WaitNestedContainer wait =
        REEVE__V1__AGENT__CALL__WAIT_NESTED_CONTAINER__INIT;
    struct rv_error err;

    if (conn_open(s, &s->wait, &err)) {
        fail(s, "%s", err.message);
        return;
    }
    wait.container_id = s->config->container_id;
    call.wait_nested_container = &wait;
    post(&s->wait, &s->config->agent, "Accept: application/x-protobuf\r\n",
         REEVE__V1__AGENT__CALL__TYPE__WAIT_NESTED_CONTAINER, &call);
}

static int exit_status(struct session *s) {
    _cleanup_(rv_arena_free) struct rv_arena arena;
    const Reeve__V1__Agent__Response *response;
    ProtobufCMessage *m;
    int status;

    rv_arena_init(&arena);
    if (!s->wait.done || s->wait.status != 200 ||
        rv_wire_decode(&reeve__v1__agent__response__descriptor, RV_ENC_PROTOBUF,
                       rv_buf_str(&s->wait.body), &rv_cli_limits, &arena, &m, NULL))
        return rv_cli_fail(s->config->cli, "the command ended, its exit status is not known");
    response = (const void *)m;
    if (!response->wait_nested_container || !response->wait_nested_container->has_exit_status)
        return rv_cli_fail(s->config->cli, "the command ended, its exit status is not known");
    status = response->wait_nested_container->exit_status;
    return WIFEXITED(status) ? WEXITSTATUS(status) : BY_SIGNAL + WTERMSIG(status);
}

/* ---- the loop ---- */

static void on_output_ok(struct session *s) {
    if (s->config->command || s->config->input)
        open_input(s);
    if (s->config->command)
        open_wait(s);
}

static void open_output(struct session *s) {
    static const char accept[] =
        "Accept: application/recordio\r\nMessage-Accept: application/x-protobuf\r\n";
    Reeve__V1__Agent__Call call = REEVE__V1__AGENT__CALL__INIT;
    Reeve__V1__Agent__Call__LaunchNestedContainerSession launch =
        REEVE__V1__AGENT__CALL__LAUNCH_NESTED_CONTAINER_SESSION__INIT;
    Reeve__V1__Agent__Call__AttachContainerOutput attach =
        REEVE__V1__AGENT__CALL__ATTACH_CONTAINER_OUTPUT__INIT;
    Reeve__V1__TTYInfo__WindowSize window = REEVE__V1__TTYINFO__WINDOW_SIZE__INIT;
    Reeve__V1__ContainerInfo container = REEVE__V1__CONTAINER_INFO__INIT;
    Reeve__V1__TTYInfo tty = REEVE__V1__TTYINFO__INIT;
    struct rv_error err;

    if (conn_open(s, &s->output, &err)) {
        fail(s, "%s", err.message);
        return;
    }
    s->output.on_ok = on_output_ok;
    if (!s->config->command) {
        attach.container_id = s->config->container_id;
        call.attach_container_output = &attach;
        post(&s->output, &s->config->agent, accept,
             REEVE__V1__AGENT__CALL__TYPE__ATTACH_CONTAINER_OUTPUT, &call);
        return;
    }
    launch.container_id = s->config->container_id;
    launch.command = s->config->command;
    container.type = REEVE__V1__CONTAINER_INFO__TYPE__MESOS;
    container.tty_info = &tty;
    if (window_size(&window))
        tty.window_size = &window;
    if (s->config->tty)
        launch.container = &container;
    call.launch_nested_container_session = &launch;
    post(&s->output, &s->config->agent, accept,
         REEVE__V1__AGENT__CALL__TYPE__LAUNCH_NESTED_CONTAINER_SESSION, &call);
}

static struct pollfd poll_of(const struct conn *c) {
    return (struct pollfd){.fd = c->fd, .events = (short)(POLLIN | (c->out.n ? POLLOUT : 0))};
}

static void serve(struct conn *c, short events) {
    if (c->fd >= 0 && (events & POLLOUT))
        conn_write(c);
    if (c->fd >= 0 && (events & (POLLIN | POLLHUP | POLLERR)))
        conn_read(c);
}

/* A signal that ends us, 0 for others. */
static int take_signal(struct session *s) {
    struct signalfd_siginfo info;

    if (read(s->signals, &info, sizeof info) != sizeof info)
        return 0;
    if (info.ssi_signo != SIGWINCH)
        return (int)info.ssi_signo;
    if (s->config->tty)
        send_control(s, true);
    return 0;
}

static bool wants_input(const struct session *s) {
    return s->config->input && s->input.fd >= 0 && !s->input_ended && s->input.out.n < QUEUE_MAX;
}

static struct rv_str trimmed(const struct rv_buf *text) {
    struct rv_str s = rv_buf_str(text);

    while (s.n && s.s[s.n - 1] == '\n')
        s.n--;
    return s;
}

/* One round; the number of the signal that ends us, or 0. */
static int round_once(struct session *s, int timeout_ms) {
    bool reads = wants_input(s);
    struct pollfd p[] = {poll_of(&s->output),
                         poll_of(&s->input),
                         poll_of(&s->wait),
                         {.fd = s->signals, .events = POLLIN},
                         {.fd = reads ? STDIN_FILENO : -1, .events = POLLIN}};
    int signal = 0;

    if (poll(p, RV_COUNT(p), timeout_ms) < 0)
        return 0;
    if (p[3].revents)
        signal = take_signal(s);
    if (p[4].revents)
        read_input(s);
    serve(&s->output, p[0].revents);
    serve(&s->input, p[1].revents);
    serve(&s->wait, p[2].revents);
    if (s->input.status == 404) /* it has ended already: the others tell how */
        conn_close(&s->input);
    else if (s->input.status >= 400) {
        struct rv_str text = trimmed(&s->input.body);
        fail(s, "input: %.*s", (int)text.n, text.n ? text.s : "");
        conn_close(&s->input);
    }
    if (now_ms() - s->beat_ms >= HEARTBEAT_MS) {
        s->beat_ms = now_ms();
        send_control(s, false);
    }
    return signal;
}

static int loop(struct session *s) {
    int signal = 0;

    while (!signal && !s->failure && !s->stdout_failed && s->output.fd >= 0)
        signal = round_once(s, HEARTBEAT_MS);
    for (int64_t until = now_ms() + LAST_WAIT_MS;
         !signal && !s->failure && s->wait.fd >= 0 && now_ms() < until;)
        signal = round_once(s, LAST_WAIT_MS / 10);
    return signal;
}

/* Only while it is ours: a background job that touches its terminal is stopped. */
static void make_raw(struct session *s) {
    struct termios raw;

    if (!s->config->tty || !s->config->input || tcgetattr(STDIN_FILENO, &s->before) != 0)
        return;
    raw = s->before;
    cfmakeraw(&raw);
    s->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static int open_signals(void) {
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGWINCH);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGQUIT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int result(struct session *s, int signal) {
    const struct rv_cli *cli = s->config->cli;
    struct rv_str text = trimmed(&s->output.body);

    if (signal)
        return BY_SIGNAL + signal;
    if (s->failure)
        return rv_cli_fail(cli, "%s", s->failure);
    if (s->stdout_failed)
        return RV_CLI_ERROR;
    if (s->output.status && s->output.status != 200)
        return rv_cli_fail(cli, "%.*s", (int)text.n, text.n ? text.s : "");
    if (!s->output.done)
        return rv_cli_fail(cli, "lost the agent");
    return s->config->command ? exit_status(s) : RV_CLI_OK;
}

static int run(const struct rv_cli_session *session) {
    struct session s = {.config = session, .beat_ms = now_ms()};
    int signal, status;

    s.output.fd = s.input.fd = s.wait.fd = -1;
    rv_recordio_init(&s.records, MAX_RECORD);
    s.signals = open_signals();
    open_output(&s);
    make_raw(&s);
    signal = loop(&s);
    if (s.raw)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &s.before);
    status = result(&s, signal);
    conn_free(&s.output);
    conn_free(&s.input);
    conn_free(&s.wait);
    rv_recordio_free(&s.records);
    if (s.signals >= 0)
        close(s.signals);
    free(s.failure);
    return status;
}

/* The container in which a task runs, on the agent that it runs on. */
static int find(const struct rv_cli_cluster *c, const char *task, struct rv_cli_session *out,
                struct rv_error *err) {
    const struct rv_cli_task *found;
    int r = rv_cli_task_find(c, task, true, &found, err);

    if (!r)
        r = rv_cli_task_address(c, found, &out->agent, err);
    if (r)
        return r;
    for (size_t i = found->task->n_statuses; i-- > 0 && !out->container_id;) {
        const Reeve__V1__ContainerStatus *s = found->task->statuses[i]->container_status;
        if (s && s->container_id)
            out->container_id = s->container_id;
    }
    if (!out->container_id)
        return rv_error_set(err, RV_ERR_NOT_FOUND, "task %s does not run yet",
                            found->task->task_id->value);
    return 0;
}

static int with_cluster(struct rv_cli_session *session, const struct rv_cli_cluster *c,
                        const char *child) {
    Reeve__V1__ContainerID id = REEVE__V1__CONTAINER_ID__INIT;
    struct rv_error err;

    if (find(c, session->cli->operands[0], session, &err))
        return rv_cli_fail(session->cli, "%s", err.message);
    if (child) {
        id.value = (char *)(uintptr_t)child;
        id.parent = session->container_id;
        session->container_id = &id;
    }
    return run(session);
}

int rv_cli_session_verb(const struct rv_cli_verb *verb, void *values,
                        const struct rv_cli_session_options *options,
                        int (*prepare)(struct rv_cli_session *session, const void *values,
                                       const char **child),
                        int argc, char **argv) {
    struct rv_cli cli;
    struct rv_cli_session session = {.cli = &cli};
    struct rv_cli_cluster c = {0};
    const char *child = NULL;
    struct rv_error err;
    int status;

    if (rv_cli_begin(&cli, verb, values, argc, argv, &status)) {
        session.input = options->input;
        session.tty = options->tty;
        status = prepare(&session, values, &child);
        if (!status && rv_cli_cluster_get(&cli, &c, &err))
            status = rv_cli_fail(&cli, "%s", err.message);
        else if (!status)
            status = with_cluster(&session, &c, child);
        rv_cli_cluster_free(&c);
    }
    rv_cli_end(&cli);
    return status;
}
