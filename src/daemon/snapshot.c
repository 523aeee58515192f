/*
 * Forked answers and events. A few children at once, the rest waits in order. The end of a child is
 * seen as the end of a pipe that it alone holds open; its status says whether the file is whole.
 */
#include "daemon/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "io/handle.h"

#define MODULE "snapshot"
#define MAX_CHILDREN 2
#define MAX_WAITING 100
#define BREATH ((size_t)1 << 20)

struct snapshot {
    struct rv_list link;
    struct rv_snapshots *owner;
    struct rv_http_request *req; /* that is answered; NULL: an event of a stream */
    uint64_t number;             /* by which the shell keeps the request or stream */
    bool abandoned;              /* nobody waits for it any more */
    const char *content_type;
    rv_snapshot_writer writer;
    void *what;
    pid_t pid; /* 0: waits for its turn */
    int file;
    int pipe;
    uv_poll_t *poll;
};

struct rv_snapshots {
    struct rv_shell *shell;
    struct rv_list waiting, running;
    unsigned n_waiting, n_running;
};

/* --- the sink --- */

static void write_all(struct rv_sink *s) {
    for (size_t at = 0; at < s->buf.n && !s->failed;) {
        ssize_t n = write(s->fd, s->buf.data + at, s->buf.n - at);
        if (n >= 0)
            at += (size_t)n;
        else if (errno != EINTR)
            s->failed = true;
    }
    s->flushed += s->buf.n;
    rv_buf_clear(&s->buf);
}

void rv_sink_breathe(struct rv_sink *s) {
    if (s->fd >= 0 && s->buf.n >= BREATH)
        write_all(s);
}

void rv_sink_patch(struct rv_sink *s, uint64_t at, const void *bytes, size_t n) {
    const char *p = bytes;

    for (; n && at < s->flushed; n--, at++, p++)
        if (pwrite(s->fd, p, 1, (off_t)at) != 1)
            s->failed = true;
    if (n)
        memcpy(s->buf.data + (at - s->flushed), p, n);
}

/* --- the answer --- */

/* A file that is being sent. To free hundreds of megabytes of it takes tens of milliseconds, which
 * is done in the thread pool. */
struct sent_file {
    uv_work_t work; /* data: this */
    uv_loop_t *loop;
    void *bytes;
    size_t size;
    int fd;
};

static void release_file(uv_work_t *work) {
    struct sent_file *file = work->data;

    munmap(file->bytes, file->size);
    close(file->fd);
}

static void file_released(uv_work_t *work, int status) {
    (void)status;
    free(work->data);
}

static void file_sent(void *ctx) {
    struct sent_file *file = ctx;

    file->work.data = file;
    if (uv_queue_work(file->loop, &file->work, release_file, file_released)) {
        release_file(&file->work);
        free(file);
    }
}

/* NULL: there is nothing to send, and the file is still the snapshot's. */
static struct sent_file *take_file(struct snapshot *one) {
    off_t size = lseek(one->file, 0, SEEK_END);
    void *bytes =
        size > 0 ? mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, one->file, 0) : MAP_FAILED;
    struct sent_file *file;

    if (bytes == MAP_FAILED)
        return NULL;
    file = rv_calloc(1, sizeof *file);
    *file = (struct sent_file){
        .loop = one->owner->shell->loop, .bytes = bytes, .size = (size_t)size, .fd = one->file};
    one->file = -1;
    return file;
}

static void answer(struct snapshot *one, bool ok) {
    struct rv_http_request *req = rv_shell_unpark(one->owner->shell, one->number);
    struct sent_file *file;

    if (!req)
        return;
    file = ok ? take_file(one) : NULL;
    if (file)
        rv_http_reply_borrowed(req, 200, one->content_type, rv_strn(file->bytes, file->size), NULL,
                               file_sent, file);
    else
        rv_http_reply_text(req, 500, "The answer could not be made.\n");
}

static void end_stream(struct rv_shell *shell, uint64_t stream) {
    rv_shell_close_stream(shell, stream);
    shell->on_stream_closed(shell->ctx, stream);
}

static void send_event(struct snapshot *one, bool ok) {
    struct rv_shell *shell = one->owner->shell;
    struct sent_file *file = ok ? take_file(one) : NULL;

    if (file)
        rv_shell_release_stream(shell, one->number, rv_strn(file->bytes, file->size), file_sent,
                                file);
    else if (rv_shell_stream_is_open(shell, one->number))
        end_stream(shell, one->number);
}

/* --- children --- */

static void snapshot_free(struct snapshot *one) {
    rv_handle_close(one->poll);
    if (one->pipe >= 0)
        close(one->pipe);
    if (one->file >= 0)
        close(one->file);
    free(one->what);
    free(one);
}

/* In the child: only the file and the pipe stay open, so that connections end when the parent ends
 * them; signals stay blocked, for their handlers write into the parent's loop. */
_Noreturn static void child_run(const struct snapshot *one, int pipe_end) {
    struct rv_sink sink = {0};
    int file = fcntl(one->file, F_DUPFD, 5), end = fcntl(pipe_end, F_DUPFD, 5);

    if (file < 0 || end < 0 || dup2(file, 3) != 3 || dup2(end, 4) != 4)
        _exit(1);
    (void)close_range(5, ~0U, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)!nice(5); /* offers go first */
    sink.fd = 3;
    one->writer(one->what, &sink);
    write_all(&sink);
    _exit(sink.failed ? 1 : 0);
}

static void start_waiting(struct rv_snapshots *s);

static void finish(struct snapshot *one, bool ok) {
    struct rv_snapshots *s = one->owner;

    if (one->req)
        answer(one, ok);
    else
        send_event(one, ok);
    rv_list_remove(&one->link);
    s->n_running--;
    snapshot_free(one);
    start_waiting(s);
}

static void on_end(uv_poll_t *poll, int status, int events) {
    struct snapshot *one = poll->data;
    int result = 0;
    pid_t pid;

    (void)status;
    (void)events;
    uv_poll_stop(poll);
    do
        pid = waitpid(one->pid, &result, 0);
    while (pid < 0 && errno == EINTR);
    bool ok = pid == one->pid && WIFEXITED(result) && WEXITSTATUS(result) == 0;
    if (!ok && !one->abandoned)
        RV_WARN(MODULE, "a snapshot failed status=%d", result);
    finish(one, ok);
}

/* false: no child could be made. */
static bool start(struct snapshot *one) {
    int ends[2];
    sigset_t all, before;

    one->file = memfd_create("reeve-snapshot", MFD_CLOEXEC);
    if (one->file < 0 || pipe2(ends, O_CLOEXEC))
        return false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    one->pid = fork();
    if (one->pid == 0)
        child_run(one, ends[1]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    one->pipe = ends[0];
    if (one->pid < 0)
        return false;
    one->poll = rv_calloc(1, sizeof *one->poll);
    one->poll->data = one;
    uv_poll_init(one->owner->shell->loop, one->poll, one->pipe);
    uv_poll_start(one->poll, UV_READABLE | UV_DISCONNECT, on_end);
    return true;
}

static void start_waiting(struct rv_snapshots *s) {
    while (s->n_running < MAX_CHILDREN && !rv_list_empty(&s->waiting)) {
        struct snapshot *one = RV_LIST_ENTRY(s->waiting.next, struct snapshot, link);
        rv_list_remove(&one->link);
        s->n_waiting--;
        rv_list_append(&s->running, &one->link);
        s->n_running++;
        if (one->abandoned) {
            finish(one, false);
            return; /* it has gone on with the rest */
        }
        if (!one->req)
            rv_shell_hold_stream(s->shell, one->number);
        if (!start(one)) {
            RV_WARN(MODULE, "fork: %s", strerror(errno));
            finish(one, false);
            return;
        }
    }
}

static void abandon(struct snapshot *one) {
    one->abandoned = true;
    if (one->pid > 0)
        kill(one->pid, SIGKILL); /* it is reaped as any other */
}

static void on_abandoned(void *data, struct rv_http_request *req) {
    (void)req;
    abandon(data);
}

static void enqueue(struct rv_snapshots *s, struct snapshot *one, rv_snapshot_writer writer,
                    const void *what, size_t size) {
    one->owner = s;
    one->writer = writer;
    one->what = rv_memdup(what, size);
    one->file = one->pipe = -1;
    rv_list_append(&s->waiting, &one->link);
    s->n_waiting++;
    start_waiting(s);
}

/* --- the interface --- */

struct rv_snapshots *rv_snapshots_new(struct rv_shell *shell) {
    struct rv_snapshots *s = rv_calloc(1, sizeof *s);

    s->shell = shell;
    rv_list_init(&s->waiting);
    rv_list_init(&s->running);
    return s;
}

static void forget_request(struct snapshot *one) {
    if (one->req)
        rv_http_set_data(one->req, NULL, NULL);
}

struct rv_snapshots *rv_snapshots_free(struct rv_snapshots *s) {
    if (!s)
        return NULL;
    RV_LIST_EACH (&s->waiting, node, next) {
        struct snapshot *one = RV_LIST_ENTRY(node, struct snapshot, link);
        forget_request(one);
        snapshot_free(one);
    }
    RV_LIST_EACH (&s->running, other, tmp) {
        struct snapshot *one = RV_LIST_ENTRY(other, struct snapshot, link);
        forget_request(one);
        if (one->pid > 0) {
            kill(one->pid, SIGKILL);
            while (waitpid(one->pid, NULL, 0) < 0 && errno == EINTR)
                ;
        }
        snapshot_free(one);
    }
    free(s);
    return NULL;
}

void rv_snapshots_reply(struct rv_snapshots *s, struct rv_http_request *req, bool large,
                        const char *content_type, rv_snapshot_writer writer, const void *what,
                        size_t size) {
    if (!large) {
        struct rv_sink sink = {.fd = -1};
        writer(what, &sink);
        rv_http_reply_take(req, 200, content_type, &sink.buf, NULL);
        return;
    }
    if (s->n_waiting >= MAX_WAITING) {
        rv_http_reply_text(req, 503, "Too many ask for the whole state at once.\n");
        return;
    }
    struct snapshot *one = rv_calloc(1, sizeof *one);
    *one = (struct snapshot){
        .req = req, .number = rv_shell_park(s->shell, req), .content_type = content_type};
    rv_http_set_data(req, one, on_abandoned);
    enqueue(s, one, writer, what, size);
}

void rv_snapshots_send(struct rv_snapshots *s, uint64_t stream, rv_snapshot_writer writer,
                       const void *what, size_t size) {
    struct snapshot *one;

    if (s->n_waiting >= MAX_WAITING) {
        end_stream(s->shell, stream);
        return;
    }
    rv_shell_hold_stream(s->shell, stream);
    one = rv_calloc(1, sizeof *one);
    *one = (struct snapshot){.number = stream};
    enqueue(s, one, writer, what, size);
}

void rv_snapshots_stream_closed(struct rv_snapshots *s, uint64_t stream) {
    struct rv_list *lists[] = {&s->waiting, &s->running};

    for (size_t i = 0; i < RV_COUNT(lists); i++) {
        RV_LIST_EACH (lists[i], node, next) {
            struct snapshot *one = RV_LIST_ENTRY(node, struct snapshot, link);
            if (!one->req && one->number == stream)
                abandon(one);
        }
    }
}
