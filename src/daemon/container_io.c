/*
 * Input and output of a container that people are attached to, see container_io.h.
 *
 * Holds: a channel's descriptor is open exactly while its handle is. Output is encoded once for
 * each encoding, whatever the number of streams. The stream that a container lives for slows its
 * container down where it is not read; others that fall behind are cut off by the server (INV-50).
 * At most QUEUE_MAX bytes of input and one record, and one piece of output wait here.
 *
 * Costs: 32 KiB read at a time; a container that is silent costs nothing but its descriptors.
 */
#include "daemon/container_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/list.h"
#include "wire/recordio.h"

enum {
    PIECE = 32 * 1024,
    QUEUE_MAX = 64 * 1024,        /* of input: over it no more is taken from the request */
    OWNER_BACKLOG = 1024 * 1024,  /* over it nothing is read from the container */
    PAUSE_MS = 5,                 /* between two looks whether the owner has read */
    FOLLOW_MS = 100,              /* between two looks at the files */
    LAST_WORDS = 4 * 1024 * 1024, /* read at most when the container has ended */
    MAX_STREAMS = 64,
    MAX_CELLS = 65535, /* of a terminal's row or column: unsigned short */
};

enum channel_kind { CHANNEL_IN, CHANNEL_OUT, CHANNEL_ERR, CHANNEL_MAX };

struct channel {
    struct rv_container_io *io;
    int fd;          /* ours; -1: closed */
    int theirs;      /* the container's end, until it runs */
    int log;         /* the sandbox's file; -1: none */
    int lifeline;    /* of a terminal, see rv_terminal; or -1 */
    uint64_t offset; /* of a followed file */
    uv_poll_t poll;
    bool polled; /* the handle is initialised */
};

struct output {
    struct rv_list link;
    struct rv_container_io *io;
    struct rv_http_stream *http;
    enum rv_encoding encoding;
    bool owner;
};

struct rv_container_io {
    struct rv_container_io_config config;
    struct channel channels[CHANNEL_MAX]; /* of a terminal only CHANNEL_OUT, for both ways */
    struct rv_list outputs;
    size_t n_outputs;
    char *follow;        /* the sandbox that is followed */
    struct rv_buf queue; /* of input */
    bool input_ends;     /* after what is queued */
    bool input_closed;
    bool attached; /* input */
    struct rv_container_input input;
    uv_timer_t heartbeat, pause; /* pause: also for following */
    bool paused, finished, freed;
    unsigned handles;
    char bytes[PIECE];
};

/* ---- memory ---- */

static void on_closed(uv_handle_t *handle) {
    struct rv_container_io *io = handle->data;

    if (--io->handles || !io->freed)
        return;
    rv_buf_free(&io->queue);
    free(io->follow);
    free(io);
}

static void close_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* libuv lets go of the descriptor at once, so that it may be closed here. A handle that closes
 * knows the io, one that is open its channel. */
static void close_channel(struct channel *c) {
    if (c->polled) {
        c->polled = false;
        c->poll.data = c->io;
        uv_close((uv_handle_t *)&c->poll, on_closed);
    }
    close_fd(&c->fd);
    close_fd(&c->theirs);
    close_fd(&c->log);
    close_fd(&c->lifeline); /* last: what was read is written */
}

static struct rv_container_io *make(const struct rv_container_io_config *config) {
    struct rv_container_io *io = rv_calloc(1, sizeof *io);

    io->config = *config;
    for (int i = 0; i < CHANNEL_MAX; i++)
        io->channels[i] =
            (struct channel){.io = io, .fd = -1, .theirs = -1, .log = -1, .lifeline = -1};
    rv_list_init(&io->outputs);
    uv_timer_init(config->loop, &io->heartbeat);
    uv_timer_init(config->loop, &io->pause);
    io->heartbeat.data = io->pause.data = io;
    io->handles = 2;
    return io;
}

/* ---- streams ---- */

static struct rv_blob *record_of(const Reeve__V1__Agent__ProcessIO *m, enum rv_encoding encoding) {
    _cleanup_(rv_buf_free) struct rv_buf message = {0}, record = {0};

    rv_wire_encode(&m->base, encoding, &message);
    rv_recordio_put(&record, rv_buf_str(&message));
    return rv_blob_new(record.data, record.n);
}

static void send_all(struct rv_container_io *io, const Reeve__V1__Agent__ProcessIO *m) {
    struct rv_blob *records[2] = {NULL};

    RV_LIST_EACH (&io->outputs, node, tmp) {
        struct output *o = RV_LIST_ENTRY(node, struct output, link);
        if (!records[o->encoding])
            records[o->encoding] = record_of(m, o->encoding);
        /* Over its backlog the stream is closed, and on_stream_closed is called from the loop. */
        (void)rv_http_stream_send(o->http, records[o->encoding]);
    }
    rv_blob_unref(records[0]);
    rv_blob_unref(records[1]);
}

static void send_data(struct rv_container_io *io, enum channel_kind kind, const void *bytes,
                      size_t n) {
    Reeve__V1__Agent__ProcessIO__Data data = REEVE__V1__AGENT__PROCESS_IO__DATA__INIT;
    Reeve__V1__Agent__ProcessIO m = REEVE__V1__AGENT__PROCESS_IO__INIT;

    if (!io->n_outputs)
        return;
    m.has_type = true;
    m.type = REEVE__V1__AGENT__PROCESS_IO__TYPE__DATA;
    m.data = &data;
    data.has_type = data.has_data = true;
    data.type = kind == CHANNEL_ERR ? REEVE__V1__AGENT__PROCESS_IO__DATA__TYPE__STDERR
                                    : REEVE__V1__AGENT__PROCESS_IO__DATA__TYPE__STDOUT;
    data.data.data = (uint8_t *)(uintptr_t)bytes;
    data.data.len = n;
    send_all(io, &m);
}

static void on_heartbeat(uv_timer_t *timer) {
    struct rv_container_io *io = timer->data;
    Reeve__V1__DurationInfo interval = REEVE__V1__DURATION_INFO__INIT;
    Reeve__V1__Agent__ProcessIO__Control__Heartbeat beat =
        REEVE__V1__AGENT__PROCESS_IO__CONTROL__HEARTBEAT__INIT;
    Reeve__V1__Agent__ProcessIO__Control control = REEVE__V1__AGENT__PROCESS_IO__CONTROL__INIT;
    Reeve__V1__Agent__ProcessIO m = REEVE__V1__AGENT__PROCESS_IO__INIT;

    interval.nanoseconds = (int64_t)io->config.heartbeat_ms * 1000000;
    beat.interval = &interval;
    control.has_type = true;
    control.type = REEVE__V1__AGENT__PROCESS_IO__CONTROL__TYPE__HEARTBEAT;
    control.heartbeat = &beat;
    m.has_type = true;
    m.type = REEVE__V1__AGENT__PROCESS_IO__TYPE__CONTROL;
    m.control = &control;
    send_all(io, &m);
}

static void on_follow(uv_timer_t *timer);

static void on_stream_closed(void *ctx) {
    struct output *o = ctx;
    struct rv_container_io *io = o->io;
    bool owner = o->owner;

    rv_list_remove(&o->link);
    free(o);
    if (--io->n_outputs == 0)
        uv_timer_stop(&io->heartbeat);
    if (owner && io->config.on_owner_gone)
        io->config.on_owner_gone(io->config.ctx);
    else if (io->follow && !io->n_outputs)
        io->config.on_unused(io->config.ctx);
}

/* Whether a header names a media type; no weights, a stream has one. */
static bool names(const char *header, const char *type) {
    return header && strcasestr(header, type);
}

bool rv_container_io_framing(struct rv_shell *shell, struct rv_http_request *req,
                             struct rv_container_framing *out) {
    const char *message = rv_http_header(req, "Message-Accept");

    out->recordio = names(rv_http_header(req, "Accept"), "application/recordio");
    if (!out->recordio)
        return rv_shell_accept_encoding(shell, req, &out->encoding);
    if (!message || names(message, "application/json") || names(message, "*/*"))
        return out->encoding = RV_ENC_JSON, true;
    if (names(message, "application/x-protobuf"))
        return out->encoding = RV_ENC_PROTOBUF, true;
    shell->bad_requests++;
    rv_http_reply_text(req, 406,
                       "Expecting 'Message-Accept' to allow application/json or "
                       "application/x-protobuf.\n");
    return false;
}

int rv_container_io_attach(struct rv_container_io *io, struct rv_http_request *req,
                           const struct rv_container_framing *framing, bool owner,
                           struct rv_error *err) {
    const char *media = rv_encoding_media_type(framing->encoding);
    const char *headers[] = {"Message-Content-Type", media, NULL};
    struct output *o;

    if (io->n_outputs >= MAX_STREAMS)
        return rv_error_set(err, RV_ERR_LIMIT, "%d are attached to this container already",
                            MAX_STREAMS);
    o = rv_calloc(1, sizeof *o);
    *o = (struct output){.io = io, .encoding = framing->encoding, .owner = owner};
    if (io->n_outputs++ == 0 && io->config.heartbeat_ms)
        uv_timer_start(&io->heartbeat, on_heartbeat, io->config.heartbeat_ms,
                       io->config.heartbeat_ms);
    rv_list_append(&io->outputs, &o->link);
    o->http = rv_http_stream_start(req, 200, framing->recordio ? "application/recordio" : media,
                                   framing->recordio ? headers : NULL, on_stream_closed, o);
    return 0;
}

/* ---- output ---- */

static void write_log(struct channel *c, const char *bytes, size_t n) {
    while (c->log >= 0 && n) {
        ssize_t w = write(c->log, bytes, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0) { /* a full disk: the streams still get it */
            close_fd(&c->log);
            return;
        }
        bytes += w;
        n -= (size_t)w;
    }
}

static bool owner_lags(const struct rv_container_io *io) {
    RV_LIST_EACH (&io->outputs, node, tmp) {
        const struct output *o = RV_LIST_ENTRY(node, struct output, link);
        if (o->owner)
            return rv_http_stream_backlog(o->http) > OWNER_BACKLOG;
    }
    return false;
}

/* One piece; false if there is none now, or none any more, then the channel is closed. */
static bool read_piece(struct channel *c) {
    struct rv_container_io *io = c->io;
    ssize_t n = c->fd < 0 ? 0 : read(c->fd, io->bytes, sizeof io->bytes);

    if (n > 0) {
        write_log(c, io->bytes, (size_t)n);
        send_data(io, (enum channel_kind)(c - io->channels), io->bytes, (size_t)n);
        return true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    close_channel(c); /* a terminal without users says EIO */
    return false;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct channel *c) {
    struct rv_container_io *io = c->io;
    bool reads = c != &io->channels[CHANNEL_IN] && !io->paused;
    bool writes = (c == &io->channels[CHANNEL_IN] || io->config.tty) && io->queue.n;
    int events = (reads ? UV_READABLE : 0) | (writes ? UV_WRITABLE : 0);

    if (!c->polled)
        return;
    if (events)
        uv_poll_start(&c->poll, events, on_poll);
    else
        uv_poll_stop(&c->poll);
}

static void on_pause(uv_timer_t *timer) {
    struct rv_container_io *io = timer->data;

    if (owner_lags(io))
        return;
    io->paused = false;
    uv_timer_stop(&io->pause);
    watch(&io->channels[CHANNEL_OUT]);
    watch(&io->channels[CHANNEL_ERR]);
}

static void pause_if_lagging(struct rv_container_io *io) {
    if (io->paused || !owner_lags(io))
        return;
    io->paused = true;
    watch(&io->channels[CHANNEL_OUT]);
    watch(&io->channels[CHANNEL_ERR]);
    uv_timer_start(&io->pause, on_pause, PAUSE_MS, PAUSE_MS);
}

/* ---- input ---- */

static struct channel *input_channel(struct rv_container_io *io) {
    return &io->channels[io->config.tty ? CHANNEL_OUT : CHANNEL_IN];
}

static void input_is_over(struct rv_container_io *io) {
    void (*on_ended)(void *) = io->attached ? io->input.on_ended : NULL;

    io->attached = false;
    if (on_ended)
        on_ended(io->input.ctx);
}

static void write_input(struct rv_container_io *io) {
    struct channel *c = input_channel(io);
    bool was_full = rv_container_io_is_full(io);

    while (io->queue.n && c->fd >= 0) {
        ssize_t n = write(c->fd, io->queue.data, io->queue.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) { /* nobody reads it any more: what comes is thrown away */
            rv_buf_clear(&io->queue);
            io->input_closed = true;
            break;
        }
        rv_buf_consume(&io->queue, (size_t)n);
    }
    if (io->input_ends && !io->queue.n)
        io->input_closed = true;
    if (io->input_closed && !io->config.tty)
        close_channel(c);
    else
        watch(c);
    if (was_full && !rv_container_io_is_full(io) && io->attached)
        io->input.on_room(io->input.ctx);
}

int rv_container_io_attach_input(struct rv_container_io *io, const struct rv_container_input *input,
                                 struct rv_error *err) {
    if (io->follow)
        return rv_error_set(err, RV_ERR_INVALID,
                            "This container has neither a terminal nor a session: it takes no "
                            "input");
    if (io->attached)
        return rv_error_set(err, RV_ERR_CONFLICT,
                            "The input of this container is attached already");
    io->attached = true;
    io->input = *input;
    return 0;
}

void rv_container_io_detach_input(struct rv_container_io *io) {
    io->attached = false;
}

bool rv_container_io_is_full(const struct rv_container_io *io) {
    return io->queue.n >= QUEUE_MAX;
}

int rv_container_io_size(const Reeve__V1__TTYInfo *info, unsigned short *rows,
                         unsigned short *columns, struct rv_error *err) {
    const Reeve__V1__TTYInfo__WindowSize *size = info ? info->window_size : NULL;

    if (size && (size->rows > MAX_CELLS || size->columns > MAX_CELLS))
        return rv_error_set(err, RV_ERR_INVALID, "tty_info.window_size: over %d", MAX_CELLS);
    *rows = size ? (unsigned short)size->rows : 24;
    *columns = size ? (unsigned short)size->columns : 80;
    return 0;
}

static int resize(struct rv_container_io *io, const Reeve__V1__TTYInfo *info,
                  struct rv_error *err) {
    struct winsize w = {0};
    int rc;

    if (!io->config.tty)
        return rv_error_set(err, RV_ERR_INVALID, "tty_info: this container has no terminal");
    rc = rv_container_io_size(info, &w.ws_row, &w.ws_col, err);
    if (rc)
        return rc;
    if (io->channels[CHANNEL_OUT].fd >= 0 &&
        ioctl(io->channels[CHANNEL_OUT].fd, TIOCSWINSZ, &w) != 0)
        return rv_error_set(err, RV_ERR_IO, "TIOCSWINSZ: %s", strerror(errno));
    return 0;
}

static int control(struct rv_container_io *io, const Reeve__V1__Agent__ProcessIO__Control *m,
                   struct rv_error *err) {
    if (m && m->type == REEVE__V1__AGENT__PROCESS_IO__CONTROL__TYPE__HEARTBEAT)
        return 0;
    if (m && m->type == REEVE__V1__AGENT__PROCESS_IO__CONTROL__TYPE__TTY_INFO && m->tty_info)
        return resize(io, m->tty_info, err);
    return rv_error_set(err, RV_ERR_INVALID,
                        "process_io.control: expecting TTY_INFO with tty_info, or HEARTBEAT");
}

int rv_container_io_input(struct rv_container_io *io, const Reeve__V1__Agent__ProcessIO *m,
                          struct rv_error *err) {
    const Reeve__V1__Agent__ProcessIO__Data *data = m->data;

    if (m->type == REEVE__V1__AGENT__PROCESS_IO__TYPE__CONTROL)
        return control(io, m->control, err);
    if (m->type != REEVE__V1__AGENT__PROCESS_IO__TYPE__DATA || !data)
        return rv_error_set(err, RV_ERR_INVALID, "process_io: expecting DATA or CONTROL");
    if (data->type != REEVE__V1__AGENT__PROCESS_IO__DATA__TYPE__STDIN)
        return rv_error_set(err, RV_ERR_INVALID, "process_io.data.type: expecting STDIN");
    if (data->data.len)
        rv_buf_append(&io->queue, data->data.data, data->data.len);
    else if (!io->config.tty)
        io->input_ends = true;
    if (io->input_closed)
        rv_buf_clear(&io->queue);
    write_input(io);
    return 0;
}

/* ---- both ways ---- */

static void on_poll(uv_poll_t *poll, int status, int events) {
    struct channel *c = poll->data;
    struct rv_container_io *io = c->io;

    if (status < 0)
        events = UV_READABLE | UV_WRITABLE; /* the call says why */
    if ((events & UV_WRITABLE) && c == input_channel(io))
        write_input(io);
    if ((events & UV_READABLE) && c != &io->channels[CHANNEL_IN] && c->polled) {
        (void)read_piece(c);
        pause_if_lagging(io);
    }
}

/* ---- opening ---- */

static int set_nonblocking(int fd) {
    return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static int open_pipe(struct channel *c, bool input, struct rv_error *err) {
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) != 0)
        return rv_error_set(err, RV_ERR_IO, "pipe2: %s", strerror(errno));
    c->fd = fds[input];
    c->theirs = fds[!input];
    if (set_nonblocking(c->fd) != 0)
        return rv_error_set(err, RV_ERR_IO, "fcntl: %s", strerror(errno));
    return 0;
}

int rv_container_io_new(const struct rv_container_io_config *config, int stdio[3],
                        struct rv_container_io **out, struct rv_error *err) {
    struct rv_container_io *io = make(config);
    int rc = 0;

    for (int i = 0; !config->tty && !rc && i < CHANNEL_MAX; i++)
        rc = open_pipe(&io->channels[i], i == CHANNEL_IN, err);
    if (rc) {
        rv_container_io_free(io);
        return rc;
    }
    for (int i = 0; i < 3; i++)
        stdio[i] = io->channels[i].theirs;
    *out = io;
    return 0;
}

/* In a sandbox that its task may have changed: follows no link, waits for nothing. */
static int open_in(const char *directory, const char *name, int flags) {
    int dir = rv_folder_open(directory, NULL), fd;
    struct stat s;

    if (dir < 0)
        return -1;
    fd = openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
    if (fd >= 0 && flags & O_CREAT && fstat(dir, &s) == 0 &&
        fchown(fd, s.st_uid, s.st_gid) != 0) /* not ours to give: it stays ours */
        errno = 0;
    close(dir);
    if (fd >= 0 && (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode)))
        close_fd(&fd);
    return fd;
}

void rv_container_io_start(struct rv_container_io *io, const char *directory,
                           struct rv_terminal terminal) {
    static const char *const files[CHANNEL_MAX] = {NULL, "stdout", "stderr"};

    if (terminal.fd >= 0) {
        io->channels[CHANNEL_OUT].fd = terminal.fd;
        io->channels[CHANNEL_OUT].lifeline = terminal.lifeline;
    }
    for (int i = 0; i < CHANNEL_MAX; i++) {
        struct channel *c = &io->channels[i];
        close_fd(&c->theirs);
        if (c->fd < 0)
            continue;
        if (files[i])
            c->log = open_in(directory, files[i], O_WRONLY | O_APPEND | O_CREAT);
        if (uv_poll_init(io->config.loop, &c->poll, c->fd) != 0) {
            close_channel(c);
            continue;
        }
        c->poll.data = c;
        c->polled = true;
        io->handles++;
        watch(c);
    }
    if (io->queue.n || io->input_ends)
        write_input(io);
}

/* ---- following files ---- */

static void follow_file(struct rv_container_io *io, enum channel_kind kind, bool to_end) {
    struct channel *c = &io->channels[kind];
    int fd = open_in(io->follow, kind == CHANNEL_ERR ? "stderr" : "stdout", O_RDONLY);
    struct stat s;
    ssize_t n;

    if (fd < 0 || fstat(fd, &s) != 0) {
        close_fd(&fd);
        return;
    }
    if (to_end)
        c->offset = (uint64_t)s.st_size;
    else if ((uint64_t)s.st_size < c->offset)
        c->offset = 0; /* was rotated */
    for (size_t total = 0; total < LAST_WORDS; total += (size_t)n) {
        n = pread(fd, io->bytes, sizeof io->bytes, (off_t)c->offset);
        if (n <= 0)
            break;
        c->offset += (uint64_t)n;
        send_data(io, kind, io->bytes, (size_t)n);
    }
    close(fd);
}

static void on_follow(uv_timer_t *timer) {
    struct rv_container_io *io = timer->data;

    follow_file(io, CHANNEL_OUT, false);
    follow_file(io, CHANNEL_ERR, false);
}

struct rv_container_io *rv_container_io_follow(const struct rv_container_io_config *config,
                                               const char *directory) {
    struct rv_container_io *io = make(config);

    io->follow = rv_strdup(directory);
    follow_file(io, CHANNEL_OUT, true);
    follow_file(io, CHANNEL_ERR, true);
    uv_timer_start(&io->pause, on_follow, FOLLOW_MS, FOLLOW_MS);
    return io;
}

/* ---- the end ---- */

static void end_streams(struct rv_container_io *io) {
    RV_LIST_EACH (&io->outputs, node, tmp) {
        struct output *o = RV_LIST_ENTRY(node, struct output, link);
        rv_list_remove(&o->link);
        rv_http_stream_end(o->http);
        free(o);
    }
    io->n_outputs = 0;
}

void rv_container_io_finish(struct rv_container_io *io) {
    size_t left = LAST_WORDS / PIECE;

    if (io->finished)
        return;
    io->finished = true;
    if (io->follow)
        on_follow(&io->pause);
    for (int i = CHANNEL_OUT; i < CHANNEL_MAX; i++)
        while (left && read_piece(&io->channels[i]))
            left--;
    for (int i = 0; i < CHANNEL_MAX; i++)
        close_channel(&io->channels[i]);
    uv_timer_stop(&io->heartbeat);
    uv_timer_stop(&io->pause);
    end_streams(io);
    input_is_over(io);
}

struct rv_container_io *rv_container_io_free(struct rv_container_io *io) {
    if (!io)
        return NULL;
    io->finished = io->freed = true;
    for (int i = 0; i < CHANNEL_MAX; i++)
        close_channel(&io->channels[i]);
    end_streams(io);
    input_is_over(io);
    uv_close((uv_handle_t *)&io->heartbeat, on_closed);
    uv_close((uv_handle_t *)&io->pause, on_closed);
    return NULL;
}
