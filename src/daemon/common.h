/*
 * What the endpoints of master and agent share: answers about the daemon itself (version, flags,
 * metrics, logging level, files), and the manners of the endpoints from before the v1 API: GET,
 * HEAD and POST alike, `jsonp=`, with and without ".json".
 */
#ifndef RV_DAEMON_COMMON_H
#define RV_DAEMON_COMMON_H

#include "daemon/files.h"
#include "daemon/flags.h"
#include "daemon/metrics.h"
#include "daemon/snapshot.h"
#include "reeve/v1/v1.pb-c.h"

/* A daemon as these answers see it. Borrowed; may stand on the stack. */
struct rv_common {
    struct rv_shell *shell;
    const struct rv_flag_table *table;
    const void *flags;            /* the struct of the table */
    const struct rv_files *files; /* NULL: none are served */
    /* Appends what it can measure; the list is sorted afterwards. */
    void (*measure)(void *ctx, struct rv_metrics *m);
    void *ctx;
    bool many_metrics; /* so many that a child of `snapshots` lists them */
    struct rv_snapshots *snapshots;
};

/* --- parts of v1 answers, in the arena --- */
/* Digits and dots in `version`, ours in git_tag. */
Reeve__V1__VersionInfo *rv_common_version(struct rv_arena *arena);
void rv_common_flags(const struct rv_common *c, struct rv_arena *arena, Reeve__V1__Flag ***v,
                     size_t *n);
/* All metrics as Prometheus reads them; appended. */
#define RV_COMMON_PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"
void rv_common_prometheus(const struct rv_common *c, struct rv_buf *out);
void rv_common_metrics(const struct rv_common *c, struct rv_arena *arena, Reeve__V1__Metric ***v,
                       size_t *n);
/* Verbosity: 0 is info (and all that says less), 1 debug, 2 trace; more is kept as a number. */
uint32_t rv_common_logging_level(void);
/* -RV_ERR_INVALID: a duration that is negative, a level over 1,000. */
RV_MUST_USE int rv_common_set_logging_level(const struct rv_common *c, uint32_t level,
                                            int64_t duration_ns, struct rv_error *err);
RV_MUST_USE int rv_common_list_files(const struct rv_common *c, const char *path,
                                     struct rv_arena *arena, Reeve__V1__FileInfo ***v, size_t *n,
                                     struct rv_error *err);
/* has_length false: as much as one answer takes. *data is in the arena. */
RV_MUST_USE int rv_common_read_file(const struct rv_common *c, const char *path, uint64_t offset,
                                    bool has_length, uint64_t length, struct rv_arena *arena,
                                    uint64_t *size, ProtobufCBinaryData *data,
                                    struct rv_error *err);

/* --- answers --- */
/* The status that fits: 404 NOT_FOUND, 501 UNSUPPORTED, 409 CONFLICT, 413 LIMIT, 500 IO, INTERNAL
 * and CORRUPT, else 400; the message as text. */
void rv_common_refuse(struct rv_shell *s, struct rv_http_request *req, const struct rv_error *err);
/* 400 with the text; counted. */
void rv_common_bad_request(struct rv_shell *s, struct rv_http_request *req, const char *text);

/* The beginning and the end of a JSON answer, with the callback that `jsonp=` names around it.
 * begin answers 400 and returns false where that is no name. end takes the buffer over. */
bool rv_common_json_begin(struct rv_shell *s, struct rv_http_request *req, struct rv_buf *out);
void rv_common_json_end(struct rv_http_request *req, struct rv_buf *out);

/* GET, HEAD or POST; else answers 405 and returns false. */
bool rv_common_is_read(struct rv_shell *s, struct rv_http_request *req);
/* path is `name`, or `name` and ".json". */
bool rv_common_path_is(const char *path, const char *name);
/* A number in the query; fallback if it is not there. false: 400 was answered. */
bool rv_common_query_int(struct rv_shell *s, struct rv_http_request *req, const char *name,
                         int64_t fallback, int64_t *out);

/* /health /version /flags /metrics/snapshot /metrics /logging/toggle /system/stats.json /files/...
 * Answers and returns true, or false: not one of these. */
bool rv_common_handle(const struct rv_common *c, struct rv_http_request *req, const char *path);

/* Writes the flags as an object {"name":"value"}, unset ones left out. */
struct rv_json;
void rv_common_flags_json(const struct rv_common *c, struct rv_json *j, const char *key);
/* "version", "git_tag" of it, into the object that is open. */
void rv_common_version_members(struct rv_json *j);

#endif
