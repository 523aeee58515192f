/*
 * The fetcher's parts. The main process (the agent's own user) owns the cache and makes the
 * sandbox; whatever touches what others made (a server's answer, an archive, the sandbox) is done
 * by a worker, a child that has become the task's user.
 *
 * Always holds: nothing is written outside the sandbox and the cache. In the sandbox no symbolic
 * link is followed, and a file that is there is replaced, not written to.
 */
#ifndef RV_FETCHER_FETCHER_H
#define RV_FETCHER_FETCHER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "reeve/v1/fetch.pb-c.h"

#define RV_SHA256_TEXT 65 /* hexadecimal, with NUL */

/* --- probe.c: the other thing that this program does --- */

/* Mode `probe`: a GET as a check makes it, which follows redirects, believes every certificate and
 * uses no proxy. Prints the status of the response, or in one line why there is none. Of tcp://
 * address:port/ it prints 1 if a connection is accepted, else 0. The exit status of the process. */
int rv_probe(const char *url);

/* --- uri.c: what a URI says --- */

enum rv_uri_source { RV_URI_LOCAL, RV_URI_HTTP };

struct rv_uri {
    enum rv_uri_source source;
    char *location;                /* a URL without fragment, or an absolute path */
    char *shown;                   /* for people: the URI without a password */
    char *output;                  /* where it goes, relative to the sandbox */
    char checksum[RV_SHA256_TEXT]; /* that it must have; "" if any */
};

/* -RV_ERR_INVALID, -RV_ERR_UNSUPPORTED (the scheme); free it in any case. `shown` is set even
 * then. */
RV_MUST_USE int rv_uri_parse(const Reeve__V1__Fetch__Uri *uri, struct rv_uri *out,
                             struct rv_error *err);
void rv_uri_free(struct rv_uri *uri);

/* What is to be unpacked, by its name. */
enum rv_archive_kind { RV_ARCHIVE_NONE, RV_ARCHIVE_TREE, RV_ARCHIVE_GZIP };
enum rv_archive_kind rv_archive_kind(const char *name);

/* --- place.c: paths below the sandbox --- */

/* 0, or -RV_ERR_INVALID: empty, absolute, or with an element that is "..". */
RV_MUST_USE int rv_place_check(const char *path, struct rv_error *err);
/* Opens the folder that holds the path's last element, made where it is missing (0755), and gives
 * that element. Passes through no symbolic link. */
RV_MUST_USE int rv_place_parent(int root, const char *path, int *dir, char **name,
                                struct rv_error *err);
/* A new, empty file, in the place of whatever file has the name. */
RV_MUST_USE int rv_place_create(int root, const char *path, int *fd, struct rv_error *err);
/* Makes a folder and those above it; one that is there is fine. fd may be NULL. */
RV_MUST_USE int rv_place_folder(int root, const char *path, int *fd, struct rv_error *err);

/* --- budget: what one request may still take --- */

struct rv_budget {
    uint64_t bytes, entries;
    uint64_t max_bytes, max_entries; /* as asked for, to be told */
};
RV_MUST_USE int rv_budget_take(struct rv_budget *b, uint64_t bytes, uint64_t entries,
                               struct rv_error *err);
RV_MUST_USE int rv_write_all(int fd, const void *data, size_t n, struct rv_error *err);

/* --- download.c: to an open file --- */

struct rv_download {
    const struct rv_uri *uri;
    int to;
    int log; /* progress, as lines */
    uint64_t stall_ms;
    struct rv_budget *budget;
};
RV_MUST_USE int rv_download(const struct rv_download *d, struct rv_error *err);
/* From one open file to another, sharing blocks where the file system can. */
RV_MUST_USE int rv_copy(int from, int to, struct rv_budget *budget, struct rv_error *err);
/* Of the whole file, read from its start. */
RV_MUST_USE int rv_sha256_file(int fd, char out[RV_SHA256_TEXT], struct rv_error *err);
void rv_sha256_text(const char *text, char out[RV_SHA256_TEXT]);

/* --- extract.c --- */

/* An archive, read from its start, below the folder root. gzip: a single compressed file, to
 * `name`. What is no file, folder or link is left out and told to the log. */
RV_MUST_USE int rv_extract(int archive, enum rv_archive_kind kind, int root, const char *name,
                           struct rv_budget *budget, int log, struct rv_error *err);

/* --- cache.c: files by their content, found by their URI --- */

struct rv_cache {
    int dir, keys, objects, fresh, locks;
    uint64_t max_bytes;
};
RV_MUST_USE int rv_cache_open(const char *path, uint64_t max_bytes, struct rv_cache *out,
                              struct rv_error *err);
void rv_cache_close(struct rv_cache *c);

/* One URI's place in it, locked against all other fetchers from begin to end. */
struct rv_cache_slot {
    char key[RV_SHA256_TEXT];
    int lock;
    int fresh; /* being filled */
    char name[RV_SHA256_TEXT + 24];
};
/* Waits for whoever fetches the same URI. */
RV_MUST_USE int rv_cache_begin(struct rv_cache *c, const char *location, struct rv_cache_slot *s,
                               struct rv_error *err);
/* The content opened for reading, or -1. With a checksum, only that content. */
int rv_cache_find(struct rv_cache *c, const struct rv_cache_slot *s, const char *checksum);
/* An empty file to be filled: s->fresh. */
RV_MUST_USE int rv_cache_create(struct rv_cache *c, struct rv_cache_slot *s, struct rv_error *err);
/* Keeps it under that checksum, making room. A file larger than the cache is not kept. */
RV_MUST_USE int rv_cache_keep(struct rv_cache *c, struct rv_cache_slot *s, const char *checksum,
                              struct rv_error *err);
void rv_cache_end(struct rv_cache *c, struct rv_cache_slot *s);

#endif
