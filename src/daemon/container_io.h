/*
 * The input and output of one container that people are attached to: pipes or a terminal whose
 * other ends are the agent's, or, for a container whose output goes to files, those files as they
 * grow. Output goes to any number of streams of ProcessIO records, and to the sandbox's files;
 * input comes from one request at a time. Knows nothing of containers but their sandbox.
 */
#ifndef RV_DAEMON_CONTAINER_IO_H
#define RV_DAEMON_CONTAINER_IO_H

#include <uv.h>

#include "containerizer/terminal.h"
#include "daemon/shell.h"
#include "reeve/v1/agent.pb-c.h"

struct rv_container_io;

struct rv_container_io_config {
    uv_loop_t *loop;
    uint64_t heartbeat_ms; /* between two heartbeats on each stream; 0: none */
    bool tty;
    /* The first stream, whose client the container lives for, was closed by the client. */
    void (*on_owner_gone)(void *ctx);
    /* The last stream of a follower is closed: it may be freed. */
    void (*on_unused)(void *ctx);
    void *ctx;
};

/* Opens pipes, if it is to have no terminal. stdio: the container's ends, for its launch; they stay
 * ours. */
RV_MUST_USE int rv_container_io_new(const struct rv_container_io_config *config, int stdio[3],
                                    struct rv_container_io **out, struct rv_error *err);
/* Follows stdout and stderr of a sandbox from their ends on; takes no input. */
struct rv_container_io *rv_container_io_follow(const struct rv_container_io_config *config,
                                               const char *directory);
/* The container runs: its ends are closed here, what it writes is read, and kept in the sandbox,
 * in the files that the containerizer rotates. terminal: taken over, given up when it has no users
 * any more. */
void rv_container_io_start(struct rv_container_io *io, const char *directory,
                           struct rv_terminal terminal);
/* The size that somebody asks for; 80 by 24 if nobody does. */
RV_MUST_USE int rv_container_io_size(const Reeve__V1__TTYInfo *info, unsigned short *rows,
                                     unsigned short *columns, struct rv_error *err);
/* Nothing of the container is left: what it wrote goes out, then streams end and input is
 * refused. */
void rv_container_io_finish(struct rv_container_io *io);
/* Ends everything at once; memory follows from the loop. NULL is fine. */
struct rv_container_io *rv_container_io_free(struct rv_container_io *io);

/* --- output --- */

/* How a stream of records is encoded: Accept is application/recordio and Message-Accept tells, or
 * Accept tells alone. false: 406 was answered. */
struct rv_container_framing {
    enum rv_encoding encoding;
    bool recordio; /* the media type is application/recordio */
};
bool rv_container_io_framing(struct rv_shell *shell, struct rv_http_request *req,
                             struct rv_container_framing *out);
/* Answers with a stream. owner: the container lives no longer than it. -RV_ERR_LIMIT if there are
 * too many; nothing was answered then. */
RV_MUST_USE int rv_container_io_attach(struct rv_container_io *io, struct rv_http_request *req,
                                       const struct rv_container_framing *framing, bool owner,
                                       struct rv_error *err);

/* --- input --- */

struct rv_container_input {
    void (*on_room)(void *ctx);  /* there is room again after rv_container_io_is_full() */
    void (*on_ended)(void *ctx); /* the container has ended, or takes no input any more */
    void *ctx;
};
/* -RV_ERR_CONFLICT: another one is attached; -RV_ERR_INVALID: it takes none. Copies the struct. */
RV_MUST_USE int rv_container_io_attach_input(struct rv_container_io *io,
                                             const struct rv_container_input *input,
                                             struct rv_error *err);
void rv_container_io_detach_input(struct rv_container_io *io);
bool rv_container_io_is_full(const struct rv_container_io *io);
/* Data is queued, empty data is the end of input (of a terminal: nothing), a terminal's size is
 * set, a heartbeat is nothing. -RV_ERR_INVALID names what is wrong. */
RV_MUST_USE int rv_container_io_input(struct rv_container_io *io,
                                      const Reeve__V1__Agent__ProcessIO *m, struct rv_error *err);

#endif
