/*
 * The auditor: keeps books of its own from what it sees on the wire and on the disks, and compares
 * them with what is promised. It asks the cores nothing. Where it cannot know, its books show less
 * in use than there is, so that what it reports is wrong for certain.
 *
 * Each failure begins with the line of the spec that is broken.
 */
#ifndef SIM_AUDITOR_H
#define SIM_AUDITOR_H

#include "agent/agent.h"
#include "base/map.h"
#include "disk.h"
#include "model/channel.h"
#include "model/scheduler.h"
#include "reeve/v1/scheduler.pb-c.h"
#include "world.h"

struct sim_agent;
struct sim_conn;
struct sim_container;
struct sim_master;
struct sim_message;
struct sim_scheduler;
struct sim_zk_txn;

struct sim_audit_stream {
    uint64_t number;
    bool open;
    char stream_id[40];
    char *framework_id, *agent_id; /* one of them once it is known */
    int64_t last_ms;               /* the last event on it */
    int64_t heartbeat_ms;          /* the last HEARTBEAT; 0: none yet */
};

struct sim_audit_framework {
    char *id;
    uint32_t capabilities;
    char **roles, **suppressed;
    size_t n_roles, n_suppressed;
    struct sim_audit_stream *stream; /* NULL: not connected */
    bool removed;
    bool checkpoint;
    bool recorded;       /* it is in the registry */
    int64_t failover_ms; /* as the registry has it */
    int64_t away_ms;     /* when its last stream ended */
    unsigned writing;    /* so many writes about it are under way */
    int64_t written_ms;  /* when the last one of them ended */
    int64_t answered_ms; /* until then the tasks that it has named may wait for their answers */
};

enum sim_audit_place { SIM_RECOVERED, SIM_REGISTERED, SIM_UNREACHABLE, SIM_GONE };

struct sim_audit_agent {
    char *id;
    enum sim_audit_place place;
    bool connected;
    struct sim_audit_stream *stream;
    struct rv_resources total;
    struct rv_map used;       /* "framework task" or "framework/executor" -> rv_resources */
    struct rv_map waiting;    /* "framework task": it has ended, and that is not acknowledged */
    struct rv_map operations; /* uuids of those that it has not said to be over */
    char machine[RV_MACHINE_KEY_MAX];
    bool told_to_end;  /* on this connection */
    unsigned leaving;  /* so many writes of its end are under way */
    int64_t stayed_ms; /* when the last one of them failed */
    int64_t alive_ms;  /* when it last registered or answered a ping */
    bool was_away;     /* it has been unreachable */
};

struct sim_audit_offer {
    char *id, *framework_id, *agent_id, *role;
    struct rv_resources resources;
    int64_t made_ms;
    bool open;
    bool has_away; /* what it tells of maintenance */
    struct rv_unavailability away;
};

struct sim_audit_inverse {
    char *id, *framework_id, *agent_id;
    struct rv_unavailability away;
    int64_t made_ms;
};

struct sim_audit_filter {
    char *framework_id, *agent_id, *role;
    struct rv_resources resources;
    int64_t until_ms;
};

/* What was last said of a task, by an agent or to a framework. */
struct sim_audit_task {
    enum rv_task_state state;
    bool sticky;
    bool waits; /* the update is not acknowledged */
    bool by_executor;
    uint8_t uuid[16];
    struct rv_map uuids; /* seen by the framework */
};

/* A call whose fate the effects of its step tell. */
struct sim_audit_call {
    uint64_t request, stream;
    char stream_id[40];
    const struct rv_scheduler_call *call; /* NULL: none */
    bool accepted;                        /* its offers were all valid */
    const char *agent_id;                 /* of the offers */
    bool ordered;                         /* an agent was told what it asks for */
    struct rv_resources pool;
    struct rv_map expected; /* RECONCILE: task id -> 1 + expected state of a ghost */
};

struct sim_auditor {
    struct sim_world *world;
    struct sim_master *master; /* who leads, or was the last to */
    bool leading;              /* it does */
    struct rv_map records;     /* key -> rv_blob: what ZooKeeper has committed */
    struct rv_map writers;     /* ids of those who have ever written there */
    char *writer;              /* the last one */
    int64_t began_ms;          /* when it began to lead */
    size_t n_loaded;           /* records that a new leader has read */
    struct rv_map streams;     /* 8-byte number */
    struct rv_map frameworks;  /* id */
    struct rv_map agents;      /* id */
    struct rv_map offers;      /* id; all that there ever were */
    RV_VEC(struct sim_audit_offer *) open;
    RV_VEC(struct sim_audit_filter) filters;
    struct rv_map running;       /* "framework task" -> container id */
    struct rv_map agent_tasks;   /* "agent framework task" -> sim_audit_task */
    struct rv_map told;          /* "framework task" -> sim_audit_task */
    struct rv_map excused;       /* "framework task": launched twice on purpose */
    struct rv_map over;          /* "framework task": an agent has said that it ended */
    struct rv_map said;          /* stream -> what a SUBSCRIBE says: sim_audit_framework */
    struct rv_map deactivated;   /* agent id -> rv_deactivation, as the registry has it */
    struct rv_map machines;      /* rv_machine_key -> rv_machine, likewise */
    struct rv_map inverse;       /* id -> sim_audit_inverse: those that wait for an answer */
    size_t n_recovered;          /* agents that this master found in the registry */
    int64_t marked_ms;           /* when it last marked one unreachable; 0: not yet */
    struct rv_map registrations; /* stream -> the agent's call, as books: sim_audit_agent */
    struct rv_map lives;         /* name of an agent -> sim_audit_life */
    struct rv_map delivered;     /* "framework task": an executor was given it */
    struct rv_map undelivered;   /* "framework task": an agent has said that it never was */
    struct rv_map links;         /* name of an agent -> sim_audit_link */
    struct rv_map pipes;         /* stream, or stream id -> sim_audit_pipe */
    struct rv_map messages;      /* "framework data" -> its number; "framework agent executor" and
                                    "framework" -> the last one heard of that */
    uint64_t n_messages;         /* that schedulers have sent to executors */
    struct rv_map asked;         /* requests that the master has not answered -> how many calls */
    struct rv_map readers;       /* stream -> sim_audit_reader: what its scheduler has heard */
    struct rv_map told_of;       /* a uuid or "framework/executor": an agent has just said so */
    struct rv_map lost;          /* "agent framework": it was told that the agent is lost */
    struct rv_map newest;        /* "framework task" -> sim_audit_newest */
    char *returning;             /* the agent that the registry has back in this step, or NULL */
    struct rv_map back; /* "framework task": its agent has come back with it in this step */
    bool stale_call;    /* the call of this step is of a stream that is over */
    struct {
        int64_t share; /* of the backoff, that was waited for, in thousandths */
        uint64_t n;
        bool varies;
    } jitter;
    struct rv_map kept;         /* uuid of an update that an agent took -> sim_audit_kept */
    struct rv_map said_updates; /* uuids that agents have told of */
    struct rv_map ended_there;  /* "agent framework": the agent was told that it is over */
    struct sim_audit_call call;
    struct rv_map quotas;   /* role -> rv_quota, as the registry has it */
    struct rv_map changing; /* likewise, as it has been asked to have it */
    struct rv_map returned; /* ids of agents that this master has heard of */
    int64_t hold_until_ms;  /* until then it offers nothing, unless most are back; 0: it may */
    struct {                /* a change of quotas that waits for its answer; request 0: none */
        uint64_t request;
        size_t n;
        bool beyond; /* what is known to be used is more than a limit, and it is not forced */
    } quota_call;
    struct rv_map applied;         /* uuids of operations that agents were sent */
    struct rv_map told_operations; /* "framework operation" -> 1 + its end */
    struct rv_map volumes;         /* "agent role id" -> uuid of the CREATE that made it */
    struct rv_map written_volumes; /* uuids of those that a container has had */
    uint64_t checks;
};

void sim_auditor_init(struct sim_auditor *a, struct sim_world *w, struct sim_master *m);
void sim_auditor_free(struct sim_auditor *a);

/* --- at the master --- */
void sim_audit_scheduler_call(struct sim_auditor *a, uint64_t request, uint64_t stream,
                              const char *stream_id, const struct rv_scheduler_call *call);
void sim_audit_agent_call(struct sim_auditor *a, uint64_t stream, const struct rv_agent_call *call);
void sim_audit_reply(struct sim_auditor *a, uint64_t request, int status);
/* What all agents that are connected have, and nobody has reserved. */
void sim_audit_all(const struct sim_auditor *a, struct rv_quantities *out);
/* NULL, or a guarantee that is not met, though there is so much. */
const char *sim_audit_not_guaranteed(const struct sim_auditor *a);
/* The operator asks for quotas. */
void sim_audit_quota_asked(struct sim_auditor *a, uint64_t request,
                           const struct rv_operator_call *call);
void sim_audit_opened(struct sim_auditor *a, uint64_t stream, const char *stream_id);
void sim_audit_closed(struct sim_auditor *a, uint64_t stream);
void sim_audit_to_scheduler(struct sim_auditor *a, uint64_t stream,
                            const struct rv_scheduler_event *e);
void sim_audit_to_agent(struct sim_auditor *a, uint64_t stream, const struct rv_agent_event *e);
/* A write is asked for; it has happened, or failed. */
void sim_audit_registry_asked(struct sim_auditor *a, const struct rv_registry_op *op);
void sim_audit_registry(struct sim_auditor *a, const struct rv_registry_op *op, bool ok);
void sim_audit_master_stops(struct sim_auditor *a); /* because too many agents are missing */
void sim_audit_master_stepped(struct sim_auditor *a);

/* --- masters, and what they share --- */
/* One is to step: does it lead? */
void sim_audit_master_acts(struct sim_auditor *a, const struct sim_master *m);
/* Who does not lead sends to who does, or says that it knows nobody, and nothing else (INV-2). */
void sim_audit_master_says(struct sim_auditor *a, const struct sim_master *m,
                           const struct sim_message *said);
void sim_audit_master_started(struct sim_auditor *a, struct sim_master *m,
                              const struct rv_registry_snapshot *s);
void sim_audit_master_ended(struct sim_auditor *a, const struct sim_master *m);
void sim_audit_committed(struct sim_auditor *a, const struct sim_zk_txn *t);
/* What a new leader reads of the registry. */
void sim_audit_loaded(struct sim_auditor *a, const struct sim_master *m, const char *key,
                      struct rv_str value);
void sim_audit_loaded_all(struct sim_auditor *a, const struct sim_master *m);

/* --- at an agent --- */
void sim_audit_agent_says(struct sim_auditor *a, const struct sim_agent *agent,
                          const struct rv_agent_call *call);
void sim_audit_agent_heard(struct sim_auditor *a, const struct sim_agent *agent,
                           const struct rv_agent_event *e);
void sim_audit_agent_crashed(struct sim_auditor *a, const struct sim_agent *agent);
void sim_audit_agent_started(struct sim_auditor *a, const struct sim_agent *agent);
void sim_audit_agent_registers(struct sim_auditor *a, const struct sim_agent *agent,
                               const struct rv_agent_call *call);
void sim_audit_agent_destroys(struct sim_auditor *a, const struct sim_agent *agent,
                              const char *container_id);
void sim_audit_task_started(struct sim_auditor *a, const char *framework_id, const char *task_id,
                            const char *container_id);
void sim_audit_task_ended(struct sim_auditor *a, const char *framework_id, const char *task_id,
                          const char *container_id);
/* --- between agent and master: INV-21, INV-34 --- */
/* Before the input is given to the core. */
void sim_audit_link_input(struct sim_auditor *a, const struct sim_agent *agent,
                          const struct rv_agent_input *in);
void sim_audit_link_tries(struct sim_auditor *a, const struct sim_agent *agent);
/* The agent itself has ended the connection. */
void sim_audit_link_ended(struct sim_auditor *a, const struct sim_agent *agent);
/* To an agent: on the stream, as bytes; and as they are read there. */
void sim_audit_link_sent(struct sim_auditor *a, uint64_t stream, struct rv_str event);
void sim_audit_link_heard(struct sim_auditor *a, const struct sim_agent *agent, uint64_t stream,
                          struct rv_str event);
/* To a master, likewise. */
void sim_audit_link_said(struct sim_auditor *a, const char *stream_id, struct rv_str call);
void sim_audit_link_read(struct sim_auditor *a, const char *stream_id,
                         const struct rv_agent_call *call, struct rv_str bytes);
/* --- between master and scheduler: INV-34 --- */
/* A request of a scheduler, on this connection; as it arrives. */
void sim_audit_request_said(struct sim_auditor *a, uint64_t connection, struct rv_str body);
void sim_audit_request_read(struct sim_auditor *a, uint64_t connection, struct rv_str body);
/* The master is to answer this call; it does. */
void sim_audit_asked(struct sim_auditor *a, uint64_t request);
void sim_audit_request_answered(struct sim_auditor *a, uint64_t request);
/* An event as its scheduler reads it. */
void sim_audit_stream_heard(struct sim_auditor *a, const struct sim_scheduler *s,
                            struct rv_str event, const Reeve__V1__Scheduler__Event *e);
/* A framework's message to an executor is to be sent; it is with its executor; its answer is with
 * the framework. */
void sim_audit_message_said(struct sim_auditor *a, const char *framework_id, struct rv_str data);
void sim_audit_message_got(struct sim_auditor *a, struct sim_container *c, struct rv_str data);
void sim_audit_message_back(struct sim_auditor *a, const char *framework_id, const char *agent_id,
                            const char *executor_id, struct rv_str data);

/* --- agents without a master: INV-6 --- */
void sim_audit_alone_tells(struct sim_auditor *a, const struct sim_agent *agent,
                           const struct sim_conn *conn, const struct rv_executor_event *e);
/* The executor was told that its update is kept. */
void sim_audit_alone_took(struct sim_auditor *a, const struct sim_container *c, const char *task_id,
                          const uint8_t uuid[16], enum rv_task_state state);

/* --- volumes on an agent's disk: INV-32 --- */
/* A container has the volume, whose folder lies at the path; the folder goes. */
void sim_audit_volume_used(struct sim_auditor *a, struct sim_agent *agent, const struct rv_kind *k,
                           const char *path);
void sim_audit_volume_removed(struct sim_auditor *a, struct sim_agent *agent, const char *path);

/* The task id is used twice on purpose: what is said of it does not count. */
void sim_audit_excuse(struct sim_auditor *a, const char *framework_id, const char *task_id);
/* INV-26, INV-27: nothing in use or offered. */
void sim_audit_idle(struct sim_auditor *a);

#endif
