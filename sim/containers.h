/*
 * Containers and the executors in them: simulated processes on an agent's machine that speak the
 * executor API with the real codec. A command executor runs one task and ends; a custom or default
 * one takes tasks until it is told to end. With checkpointing they outlive the agent's process and
 * come back to the next one; without they end when the agent does.
 *
 * A container lives in its agent's list until the run ends; `alive` says whether its process does.
 */
#ifndef SIM_CONTAINERS_H
#define SIM_CONTAINERS_H

#include "agent/agent.h"
#include "network.h"
#include "reeve/v1/executor.pb-c.h"
#include "wire/recordio.h"

struct sim_agent;

struct sim_update {
    struct rv_blob *packed; /* TaskStatus */
    char *task_id;
    uint8_t uuid[16];
    enum rv_task_state state;
};

struct sim_run {
    char *task_id;
    struct rv_blob *packed; /* TaskInfo */
    bool done;              /* a terminal update was made */
    bool acknowledged;      /* any of its updates was */
    uint64_t number;
};

struct sim_container {
    struct sim_party party;
    struct sim_agent *agent;
    char *id, *framework_id, *executor_id, *directory;
    enum rv_executor_type type;
    bool checkpoint, killing_state; /* the framework has TASK_KILLING_STATE */
    bool alive, doomed, ending, connected;
    struct sim_conn *stream, *calls;
    struct rv_recordio records;
    enum rv_encoding encoding;
    RV_VEC(struct rv_blob *) queue; /* encoded calls; the first is under way if calls_busy */
    bool calls_busy;
    RV_VEC(struct sim_update) pending; /* not acknowledged */
    size_t told;                       /* so many of them are in the last SUBSCRIBE */
    RV_VEC(struct sim_run *) runs;
    uint64_t last_message; /* of its framework, as the auditor numbers them */
    int64_t lost_ms;       /* since when there is no agent; 0: never was connected or is */
    struct rv_arena arena;
    int32_t exit_status;
    enum rv_reason exit_reason;
};

/* What LAUNCH_CONTAINER asks for. Answers CONTAINER_LAUNCHED to the agent later. */
void sim_container_launch(struct sim_agent *a, const struct rv_launch *launch);
void sim_container_destroy(struct sim_agent *a, const char *id);
/* Its process ends now, with all in it; the agent, if there, hears of it. */
void sim_container_kill(struct sim_container *c, int32_t status, enum rv_reason reason);
struct sim_container *sim_container_find(struct sim_agent *a, const char *id);
/* The agent's process ended; the machine with it: all containers end unseen. */
void sim_containers_agent_down(struct sim_agent *a, bool machine);
void sim_container_free(struct sim_container *c);

#endif
