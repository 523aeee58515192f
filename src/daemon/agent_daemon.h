/*
 * The agent's shell: HTTP, the link to the master, the containerizer and the checkpoints, turned
 * into inputs of the core, and its effects into what they say.
 */
#ifndef RV_DAEMON_AGENT_DAEMON_H
#define RV_DAEMON_AGENT_DAEMON_H

#include "agent/agent.h"
#include "agent/records.h"
#include "containerizer/containerizer.h"
#include "containerizer/watch.h"
#include "daemon/agent_link.h"
#include "daemon/flags.h"
#include "daemon/isolation.h"
#include "daemon/runtime.h"
#include "daemon/shell.h"
#include "io/detector.h"
#include "io/journal.h"
#include "store/checkpoint_codec.h"

struct rv_agent_detected {
    const char *v[4]; /* names of resources that no flag names */
    size_t n;
};

struct rv_agent_daemon {
    uv_loop_t *loop;
    struct rv_shell shell;
    const struct rv_agent_flags *flags;
    struct rv_agent *core;
    struct rv_agent_effects effects;
    struct rv_arena arena, scratch;
    struct rv_buf encoded;
    struct rv_detector *detector;
    struct rv_agent_link_io *link; /* to the master that leads */
    bool has_master;               /* one is known to lead */
    struct rv_containerizer *containerizer;
    struct rv_isolation_policy isolation; /* what the operator allows containers */
    struct rv_api_containers *api;        /* those that the API made: agent_containers.h */
    struct rv_disk_watch *disk;           /* agent_disk.h */
    struct rv_remover *remover;           /* folders.h */
    struct rv_watch *watch;               /* of disk and ports */
    struct rv_snapshots *snapshots;       /* answers that take long */
    struct rv_journal *journal;
    uint64_t compact_at;     /* bytes of the journal */
    struct rv_map launching; /* container id -> struct rv_agent_launching, of launch.c */
    struct rv_map waiting;   /* the same, of those that could be launched: one each turn */
    uv_idle_t *turn;
    uint64_t volumes_removed; /* to give each folder that goes a name of its own */
    struct rv_map volumes;    /* container id -> what of them it sees: agent_volumes.c */
    struct rv_map pending;    /* 8-byte request number -> encoding of a stream to be */
    RV_VEC(struct rv_agent_deferred *) deferred; /* inputs that came up within a step */
    uv_timer_t *timer;
    char *work_dir; /* absolute */
    struct rv_runtime runtime;
    char *hostname, *ip, *boot_id;
    char *secrets_dir;   /* absolute, or NULL */
    char *executor_path; /* of our executor's program, written at start */
    char *fetcher_path;  /* likewise */
    char *fetcher_cache_dir;
    uint64_t fetches_succeeded, fetches_failed; /* of all URIs of a command */
    struct {
        uint64_t bytes, after; /* as it was after so many fetches */
        bool known;
    } cache_used;
    struct rv_agent_info info; /* as detected and flagged, without id */
    struct rv_agent_detected detected;
    uint16_t port;
    int64_t started_ns;
    bool stepping;
    /* Called once when the core ends the agent (told by the master, or stopped). */
    void (*on_exit)(void *ctx, int status, const char *why);
    void *exit_ctx;
};

RV_MUST_USE int rv_agent_daemon_start(uv_loop_t *loop, const struct rv_agent_flags *flags,
                                      void (*on_exit)(void *ctx, int status, const char *why),
                                      void *exit_ctx, struct rv_agent_daemon **out,
                                      struct rv_error *err);
uint16_t rv_agent_daemon_port(const struct rv_agent_daemon *d);
/* Asks the core to end in good order; on_exit follows. */
void rv_agent_daemon_shutdown(struct rv_agent_daemon *d);
/* Ends at once. */
struct rv_agent_daemon *rv_agent_daemon_stop(struct rv_agent_daemon *d);

/* --- between the files of the shell --- */
void rv_agent_daemon_step(struct rv_agent_daemon *d, struct rv_agent_input *input);

/* agent_master.c: which master leads, and the link to it. */
RV_MUST_USE int rv_agent_master_start(struct rv_agent_daemon *d, struct rv_error *err);
void rv_agent_master_stop(struct rv_agent_daemon *d);

/* launch.c: command line and environment of a container; what its URIs name is fetched first. */
void rv_agent_launch(struct rv_agent_daemon *d, const struct rv_launch *launch);
/* The message in the arena; NULL if there is none. */
void *rv_agent_unpack(const struct rv_blob *packed, const ProtobufCMessageDescriptor *type,
                      struct rv_arena *arena);
/* For a container whose URIs are being fetched; false: there is none. A cancelled one was not
 * launched, and whoever wanted it is told so. */
bool rv_agent_launch_cancel(struct rv_agent_daemon *d, const char *container_id);
bool rv_agent_launch_update(struct rv_agent_daemon *d, const struct rv_launch *launch);
void rv_agent_launches_init(struct rv_agent_daemon *d);
void rv_agent_launches_free(struct rv_agent_daemon *d);

/* detect.c: --resources and --attributes, completed by what the machine has. */
RV_MUST_USE int rv_agent_detect(const struct rv_agent_flags *flags, struct rv_agent_info *out,
                                struct rv_agent_detected *detected, struct rv_error *err);

/* agent_checkpoints.c: the journal of what the core writes down. */
struct rv_agent_recovery {
    struct rv_arena arena;
    RV_VEC(struct rv_checkpoint) records;
    bool lenient;  /* records that cannot be read are passed over, a damaged file is mended */
    size_t errors; /* how many that were */
    size_t n_read;
};
/* Opens it and reads what an earlier agent left. An error names file and offset (INV-19), unless
 * the flags say not to be strict. To be freed in any case. */
RV_MUST_USE int rv_agent_checkpoints_open(struct rv_agent_daemon *d, struct rv_agent_recovery *out,
                                          struct rv_error *err);
/* The same for the records of containers that the agent before has left. */
RV_MUST_USE int rv_agent_checkpoints_check_containers(struct rv_agent_daemon *d,
                                                      struct rv_agent_recovery *r,
                                                      struct rv_error *err);
void rv_agent_recovery_free(struct rv_agent_recovery *r);
/* Rewrites it without what is superseded, once it has grown to compact_at bytes; not while a batch
 * is being written. */
void rv_agent_checkpoints_compact(struct rv_agent_daemon *d);

/* agent_operator.c, agent_legacy.c */
void rv_agent_operator_handle(struct rv_agent_daemon *d, struct rv_http_request *req);
bool rv_agent_legacy_handle(struct rv_agent_daemon *d, struct rv_http_request *req,
                            const char *path);

#endif
