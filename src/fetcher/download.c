/*
 * Content into an open file: from this machine's files by copying, over HTTP with libcurl. And
 * SHA-256, with nettle. A transfer that ends early, stalls or outgrows the budget fails; nothing is
 * tried again, since the framework decides that.
 */
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "fetcher/fetcher.h"

enum { BLOCK = 1 << 17, MAX_REDIRECTS = 10, PROGRESS_S = 5 };

/* --- SHA-256 --- */

static void finish_sha256(struct sha256_ctx *ctx, char out[RV_SHA256_TEXT]) {
    uint8_t digest[SHA256_DIGEST_SIZE];

    sha256_digest(ctx, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

void rv_sha256_text(const char *text, char out[RV_SHA256_TEXT]) {
    struct sha256_ctx ctx;

    sha256_init(&ctx);
    sha256_update(&ctx, strlen(text), (const uint8_t *)text);
    finish_sha256(&ctx, out);
}

int rv_sha256_file(int fd, char out[RV_SHA256_TEXT], struct rv_error *err) {
    _cleanup_free_ uint8_t *block = rv_malloc(BLOCK);
    struct sha256_ctx ctx;
    off_t at = 0;
    ssize_t n;

    sha256_init(&ctx);
    while ((n = pread(fd, block, BLOCK, at)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return rv_error_set(err, RV_ERR_IO, "cannot read it again: %s", strerror(errno));
        sha256_update(&ctx, (size_t)n, block);
        at += n;
    }
    finish_sha256(&ctx, out);
    return 0;
}

/* --- files of this machine --- */

static int copy_by_hand(int from, int to, off_t at, struct rv_budget *budget,
                        struct rv_error *err) {
    _cleanup_free_ char *block = rv_malloc(BLOCK);
    ssize_t n;
    int r = 0;

    while (!r && (n = pread(from, block, BLOCK, at)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return rv_error_set(err, RV_ERR_IO, "cannot read: %s", strerror(errno));
        r = rv_budget_take(budget, (uint64_t)n, 0, err);
        if (!r)
            r = rv_write_all(to, block, (size_t)n, err);
        at += n;
    }
    return r;
}

int rv_copy(int from, int to, struct rv_budget *budget, struct rv_error *err) {
    off_t at = 0;
    ssize_t n;

    while ((n = copy_file_range(from, &at, to, NULL, 1 << 26, 0)) > 0) {
        int r = rv_budget_take(budget, (uint64_t)n, 0, err);
        if (r)
            return r;
    }
    /* Not on every file system, nor for files of /proc, which have no size. */
    return copy_by_hand(from, to, at, budget, err);
}

static int copy_local(const struct rv_download *d, struct rv_error *err) {
    int from = open(d->uri->location, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    int r = 0;

    if (from < 0 || fstat(from, &st) != 0)
        r = rv_error_set(err, RV_ERR_IO, "%s", strerror(errno));
    else if (!S_ISREG(st.st_mode))
        r = rv_error_set(err, RV_ERR_INVALID,
                         S_ISDIR(st.st_mode) ? "it is a folder" : "it is no regular file");
    if (!r)
        r = rv_copy(from, d->to, d->budget, err);
    if (from >= 0)
        close(from);
    return r;
}

/* --- HTTP --- */

struct transfer {
    const struct rv_download *d;
    struct rv_error *err;
    int failed;       /* of our own doing: err says why */
    char status[100]; /* "404 Not Found", of the last answer */
    uint64_t done;
    time_t next_line;
};

static time_t now_s(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static size_t on_data(char *data, size_t size, size_t n, void *ctx) {
    struct transfer *t = ctx;

    (void)size; /* always 1 */
    t->failed = rv_budget_take(t->d->budget, n, 0, t->err);
    if (!t->failed)
        t->failed = rv_write_all(t->d->to, data, n, t->err);
    t->done += n;
    return t->failed ? 0 : n;
}

static size_t on_header(char *data, size_t size, size_t n, void *ctx) {
    struct transfer *t = ctx;
    const char *space = n > 5 && !memcmp(data, "HTTP/", 5) ? memchr(data, ' ', n) : NULL;

    (void)size;
    if (space) {
        size_t left = n - (size_t)(space + 1 - data);
        while (left && isspace((unsigned char)space[left]))
            left--;
        snprintf(t->status, sizeof t->status, "%.*s", (int)left, space + 1);
        for (char *s = t->status; *s; s++)
            if (!isprint((unsigned char)*s))
                *s = '?';
    }
    return n;
}

static int on_progress(void *ctx, curl_off_t total, curl_off_t done, curl_off_t up_total,
                       curl_off_t up_done) {
    struct transfer *t = ctx;

    (void)up_total, (void)up_done;
    if (now_s() >= t->next_line) {
        if (total > 0)
            dprintf(t->d->log, "reeve-fetcher: %s: %lld of %lld bytes\n", t->d->uri->shown,
                    (long long)done, (long long)total);
        else
            dprintf(t->d->log, "reeve-fetcher: %s: %lld bytes\n", t->d->uri->shown,
                    (long long)done);
        t->next_line = now_s() + PROGRESS_S;
    }
    return 0;
}

/* A file too large is known before its first byte where the server tells its size. */
static void set_options(CURL *curl, struct transfer *t, char *message) {
    const struct rv_download *d = t->d;
    long stall_s = (long)RV_MAX((d->stall_ms + 999) / 1000, UINT64_C(1));

    curl_easy_setopt(curl, CURLOPT_URL, d->uri->location);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, stall_s);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, stall_s);
    curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE,
                     (curl_off_t)RV_MIN(d->budget->bytes, (uint64_t)INT64_MAX));
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "reeve-fetcher");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
}

static int explain(const struct transfer *t, CURLcode code, const char *message,
                   struct rv_error *err) {
    if (t->failed)
        return t->failed; /* err is filled */
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_HTTP_RETURNED_ERROR:
        return rv_error_set(err, RV_ERR_NOT_FOUND, "%s", t->status);
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
        return rv_error_set(err, RV_ERR_CLOSED, "the server closed the connection after %llu bytes",
                            (unsigned long long)t->done);
    case CURLE_OPERATION_TIMEDOUT:
        return rv_error_set(err, RV_ERR_TIMEOUT, "no progress for %llu s, after %llu bytes",
                            (unsigned long long)(t->d->stall_ms + 999) / 1000,
                            (unsigned long long)t->done);
    case CURLE_TOO_MANY_REDIRECTS:
        return rv_error_set(err, RV_ERR_LIMIT, "more than %d redirects", MAX_REDIRECTS);
    case CURLE_FILESIZE_EXCEEDED:
        return rv_error_set(err, RV_ERR_LIMIT, "more than the limit of %llu bytes",
                            (unsigned long long)t->d->budget->max_bytes);
    default:
        return rv_error_set(err, RV_ERR_IO, "%s", *message ? message : curl_easy_strerror(code));
    }
}

static int download_http(const struct rv_download *d, struct rv_error *err) {
    struct transfer t = {.d = d, .err = err, .next_line = now_s() + PROGRESS_S};
    char message[CURL_ERROR_SIZE] = "";

    if (curl_global_init(CURL_GLOBAL_DEFAULT))
        return rv_error_set(err, RV_ERR_INTERNAL, "libcurl does not start");
    CURL *curl = curl_easy_init();
    if (!curl)
        return rv_error_set(err, RV_ERR_INTERNAL, "libcurl does not start");
    set_options(curl, &t, message);
    CURLcode code = curl_easy_perform(curl);
    int r = explain(&t, code, message, err);
    curl_easy_cleanup(curl);
    curl_global_cleanup();
    return r;
}

int rv_download(const struct rv_download *d, struct rv_error *err) {
    return d->uri->source == RV_URI_LOCAL ? copy_local(d, err) : download_http(d, err);
}
