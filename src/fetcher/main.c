/*
 * reeve-fetcher: puts what a command's URIs name into its sandbox. One Request of fetch.proto on
 * standard input; exit status 0, or 1 and one line on standard output that says what failed.
 *
 * One process for the cache and one worker at a time, see fetcher.h. Both die with whoever started
 * them. URIs are fetched one after the other, in order; the first failure ends it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/str.h"
#include "fetcher/fetcher.h"

enum { MAX_REQUEST = 1 << 26, MAX_GROUPS = 256 };

struct user {
    bool differs; /* from whoever we are */
    uid_t uid;
    gid_t gid;
    gid_t groups[MAX_GROUPS];
    int n_groups;
};

struct fetcher {
    const Reeve__V1__Fetch__Request *request;
    struct user user;
    int sandbox;
    struct rv_cache cache;
    bool has_cache;
    struct rv_budget budget;
};

/* One worker's task. content: what to deliver, or -1: download first. fresh: into which to download
 * (then nothing is delivered), or -1: into the sandbox. */
struct work {
    const Reeve__V1__Fetch__Uri *asked;
    const struct rv_uri *uri;
    int content, fresh;
};

/* --- the worker --- */

/* What it tells its parent. */
struct report {
    int result;
    struct rv_budget budget;
    struct rv_error err;
};

static int become(const struct user *user, struct rv_error *err) {
    if (user->differs && (setgroups((size_t)user->n_groups, user->groups) != 0 ||
                          setgid(user->gid) != 0 || setuid(user->uid) != 0))
        return rv_error_set(err, RV_ERR_PERMISSION, "cannot become the task's user: %s",
                            strerror(errno));
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* again: changing users forgets it */
    return 0;
}

/* Other processes of the user must not change what a worker does. */
static int open_log(int sandbox) {
    int log = openat(sandbox, "stderr",
                     O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644);

    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return log < 0 ? STDERR_FILENO : log;
}

static enum rv_archive_kind kind_of(const struct work *w) {
    bool extract = w->asked->extract && !w->asked->executable;

    return extract ? rv_archive_kind(w->uri->output) : RV_ARCHIVE_NONE;
}

static int unpack(struct fetcher *f, const struct work *w, int archive, int log,
                  struct rv_error *err) {
    enum rv_archive_kind kind = kind_of(w);
    const char *name = w->uri->output;
    _cleanup_free_ char *without = rv_strndup(name, RV_MAX(strlen(name), (size_t)3) - 3);

    if (kind == RV_ARCHIVE_NONE)
        return 0;
    dprintf(log, "reeve-fetcher: unpacking %s\n", name);
    int r = rv_extract(archive, kind, f->sandbox, without, &f->budget, log, err);
    if (r)
        rv_error_prefix(err, "unpacking");
    return r;
}

static int check_content(const struct rv_uri *uri, int fd, struct rv_error *err) {
    char sum[RV_SHA256_TEXT];
    int r = *uri->checksum ? rv_sha256_file(fd, sum, err) : 0;

    if (!r && *uri->checksum && strcmp(sum, uri->checksum) != 0)
        r = rv_error_set(err, RV_ERR_CORRUPT, "its content has sha256 %s", sum);
    return r;
}

static int deliver(struct fetcher *f, const struct work *w, int log, struct rv_error *err) {
    int fd = -1, r = 0;

    dprintf(log, "reeve-fetcher: %s: from the cache, as %s\n", w->uri->shown, w->uri->output);
    if (kind_of(w) == RV_ARCHIVE_NONE) {
        r = rv_place_create(f->sandbox, w->uri->output, &fd, err);
        if (!r)
            r = rv_copy(w->content, fd, &f->budget, err);
        if (!r && w->asked->executable && fchmod(fd, 0755) != 0)
            r = rv_error_set(err, RV_ERR_IO, "chmod: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return r;
    }
    return unpack(f, w, w->content, log, err);
}

static int download(struct fetcher *f, const struct work *w, int log, struct rv_error *err) {
    struct rv_download d = {w->uri, w->fresh, log, f->request->stall_timeout_ms, &f->budget};
    struct stat st;
    int r = 0;

    dprintf(log, "reeve-fetcher: fetching %s as %s\n", w->uri->shown, w->uri->output);
    if (w->fresh < 0)
        r = rv_place_create(f->sandbox, w->uri->output, &d.to, err);
    if (!r)
        r = rv_download(&d, err);
    if (!r)
        r = check_content(w->uri, d.to, err);
    if (!r && fstat(d.to, &st) == 0)
        dprintf(log, "reeve-fetcher: fetched %s: %lld bytes\n", w->uri->shown,
                (long long)st.st_size);
    if (!r && w->fresh < 0 && w->asked->executable && fchmod(d.to, 0755) != 0)
        r = rv_error_set(err, RV_ERR_IO, "chmod: %s", strerror(errno));
    if (!r && w->fresh < 0)
        r = unpack(f, w, d.to, log, err);
    if (w->fresh < 0 && d.to >= 0)
        close(d.to);
    return r;
}

static _Noreturn void worker(struct fetcher *f, const struct work *w, int pipe_fd) {
    struct report report = {.result = 0};

    report.result = become(&f->user, &report.err);
    if (!report.result) {
        int log = open_log(f->sandbox);
        report.result =
            w->content >= 0 ? deliver(f, w, log, &report.err) : download(f, w, log, &report.err);
        if (report.result)
            dprintf(log, "reeve-fetcher: Failed to fetch %s: %s\n", w->uri->shown,
                    report.err.message);
    }
    report.budget = f->budget;
    _exit(rv_write_all(pipe_fd, &report, sizeof report, NULL) ? 1 : 0);
}

static int run_worker(struct fetcher *f, const struct work *w, struct rv_error *err) {
    struct report report = {.result = 0};
    int fds[2], status = 0;
    ssize_t n;

    if (pipe2(fds, O_CLOEXEC) != 0)
        return rv_error_set(err, RV_ERR_IO, "pipe: %s", strerror(errno));
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        if (getppid() != parent)
            _exit(1);
        worker(f, w, fds[1]);
    }
    close(fds[1]);
    do
        n = pid < 0 ? 0 : read(fds[0], &report, sizeof report);
    while (n < 0 && errno == EINTR);
    close(fds[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (n != sizeof report)
        return rv_error_set(err, RV_ERR_INTERNAL, "the fetcher's worker ended: %s",
                            WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "no report");
    f->budget = report.budget;
    report.err.message[sizeof report.err.message - 1] = '\0';
    return report.result ? rv_error_set(err, RV_ERR_IO, "%s", report.err.message) : 0;
}

/* --- the main process --- */

/* Fills the cache from the URI and returns the content, opened. */
static int fill(struct fetcher *f, struct rv_cache_slot *s, const struct work *asked, int *content,
                struct rv_error *err) {
    struct work w = *asked;
    char sum[RV_SHA256_TEXT];
    int r = rv_cache_create(&f->cache, s, err);

    if (r)
        return r;
    w.fresh = s->fresh;
    uint64_t before = f->budget.bytes;
    r = run_worker(f, &w, err);
    /* What it took lies in the cache. It counts when it comes to the sandbox. */
    f->budget.bytes = before;
    if (!r)
        r = rv_sha256_file(s->fresh, sum, err);
    if (!r)
        r = rv_cache_keep(&f->cache, s, sum, err);
    if (!r) {
        *content = fcntl(s->fresh, F_DUPFD_CLOEXEC, 3);
        if (*content < 0 || lseek(*content, 0, SEEK_SET) != 0)
            r = rv_error_set(err, RV_ERR_IO, "the cache: %s", strerror(errno));
    }
    return r;
}

static int fetch_cached(struct fetcher *f, struct work *w, struct rv_error *err) {
    struct rv_cache_slot slot;
    int r = rv_cache_begin(&f->cache, w->uri->location, &slot, err);

    if (r)
        return r;
    w->content = rv_cache_find(&f->cache, &slot, w->uri->checksum);
    if (w->content < 0)
        r = fill(f, &slot, w, &w->content, err);
    rv_cache_end(&f->cache, &slot);
    if (!r)
        r = run_worker(f, w, err);
    if (w->content >= 0)
        close(w->content);
    return r;
}

static int fetch(struct fetcher *f, const Reeve__V1__Fetch__Uri *asked, struct rv_error *err) {
    struct rv_uri uri;
    struct work w = {asked, &uri, -1, -1};
    int r = rv_uri_parse(asked, &uri, err);

    if (!r)
        r = rv_budget_take(&f->budget, 0, 1, err);
    /* What is on this machine already would be there twice. */
    if (!r && asked->cache && f->has_cache && uri.source == RV_URI_HTTP)
        r = fetch_cached(f, &w, err);
    else if (!r)
        r = run_worker(f, &w, err);
    if (r) {
        struct rv_error why = *err;
        rv_error_set(err, why.code, "Failed to fetch %.200s: %.290s", uri.shown, why.message);
    }
    rv_uri_free(&uri);
    return r;
}

static int find_user(const char *name, struct user *out, struct rv_error *err) {
    const struct passwd *p = name && geteuid() == 0 ? getpwnam(name) : NULL;

    *out = (struct user){.n_groups = MAX_GROUPS};
    if (!name || geteuid() != 0)
        return 0;
    if (!p)
        return rv_error_set(err, RV_ERR_NOT_FOUND, "There is no user '%s'", name);
    out->uid = p->pw_uid;
    out->gid = p->pw_gid;
    out->differs = out->uid != geteuid();
    if (getgrouplist(name, out->gid, out->groups, &out->n_groups) < 0)
        return rv_error_set(err, RV_ERR_LIMIT, "The user '%s' is in too many groups", name);
    return 0;
}

static int open_sandbox(const char *path, const struct user *user, int *out, struct rv_error *err) {
    int fd = rv_folder_make(path, 0700, err);

    if (fd < 0)
        return fd;
    if (user->differs && fchown(fd, user->uid, user->gid) != 0) {
        rv_error_set(err, RV_ERR_IO, "chown %s: %s", path, strerror(errno));
        close(fd);
        return -RV_ERR_IO;
    }
    *out = fd;
    return 0;
}

static int serve(const Reeve__V1__Fetch__Request *request, struct rv_error *err) {
    struct fetcher f = {
        .request = request,
        .sandbox = -1,
        .cache = {-1, -1, -1, -1, -1, 0},
        .budget = {request->max_bytes, request->max_entries, request->max_bytes,
                   request->max_entries},
    };
    int r = find_user(request->user, &f.user, err);

    if (!r)
        r = open_sandbox(request->directory, &f.user, &f.sandbox, err);
    if (!r && request->cache_dir && request->cache_size) {
        r = rv_cache_open(request->cache_dir, request->cache_size, &f.cache, err);
        f.has_cache = !r;
    }
    for (size_t i = 0; i < request->n_uris && !r; i++)
        r = fetch(&f, request->uris[i], err);
    if (f.sandbox >= 0)
        close(f.sandbox);
    rv_cache_close(&f.cache);
    return r;
}

static Reeve__V1__Fetch__Request *read_request(struct rv_error *err) {
    Reeve__V1__Fetch__Request *request = NULL;
    struct rv_buf all = {0};
    ssize_t n = 1;

    while (n > 0 && all.n < MAX_REQUEST) {
        rv_buf_reserve(&all, 1 << 16);
        n = read(STDIN_FILENO, all.data + all.n, 1 << 16);
        all.n += n > 0 ? (size_t)n : 0;
    }
    if (n == 0)
        request = reeve__v1__fetch__request__unpack(NULL, all.n,
                                                    (const uint8_t *)(all.n ? all.data : ""));
    if (!request)
        rv_error_set(err, RV_ERR_INVALID, "standard input: not a Request of reeve.v1.fetch");
    rv_buf_free(&all);
    return request;
}

int main(int argc, char **argv) {
    struct rv_error err = {0};

    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (argc == 3 && strcmp(argv[1], "probe") == 0)
        return rv_probe(argv[2]);
    signal(SIGPIPE, SIG_IGN);
    umask(022);
    Reeve__V1__Fetch__Request *request = read_request(&err);
    int r = request ? serve(request, &err) : -RV_ERR_INVALID;
    if (request)
        reeve__v1__fetch__request__free_unpacked(request, NULL);
    for (char *s = err.message; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 127)
            *s = '?';
    if (r)
        printf("%s\n", err.message);
    return r ? 1 : 0;
}
