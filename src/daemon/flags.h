/*
 * Flags: one table a daemon, from which come the struct, parsing, --help, the reference in docs/
 * and what GET_FLAGS answers. A value comes from the command line (--name=value, --name value,
 * --name and --no-name for booleans), else from the environment (REEVE_NAME), else from the file
 * that --flags_file names (lines of name=value, # comments), else it is the default.
 */
#ifndef RV_DAEMON_FLAGS_H
#define RV_DAEMON_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum rv_flag_type {
    RV_FLAG_STRING,   /* char *, NULL where there is no default */
    RV_FLAG_INT,      /* int64_t */
    RV_FLAG_BOOL,     /* bool */
    RV_FLAG_DURATION, /* int64_t, nanoseconds; "10secs" */
    RV_FLAG_BYTES,    /* int64_t; "8MB" */
    RV_FLAG_DOUBLE,   /* double */
};

struct rv_flag {
    const char *name;
    enum rv_flag_type type;
    const char *fallback; /* the default as text; NULL: none */
    const char *help;     /* one line */
    size_t offset;
};

/* X(TYPE, name, default, help) */
#define RV_COMMON_FLAGS(X)                                                                         \
    X(STRING, ip, "127.0.0.1", "Address to listen on. Loopback unless told otherwise.")            \
    X(STRING, hostname, NULL,                                                                      \
      "Name under which others reach this machine; by default the address "                        \
      "listened on.")                                                                              \
    X(STRING, log_level, "info", "error, warning, info, debug or trace.")                          \
    X(STRING, cors_origins, NULL,                                                                  \
      "Origins, separated by commas, whose pages may read the API; * "                             \
      "for all.")                                                                                  \
    X(BYTES, max_body, "8MB", "Largest request body.")                                             \
    X(INT, max_depth, "100", "Deepest nesting of a request's message.")                            \
    X(INT, max_fields, "1000000", "Most fields in a request's message.")                           \
    X(BYTES, max_header, "29KB", "Largest request head.")                                          \
    X(BYTES, max_stream_backlog, "64MB",                                                           \
      "What may wait for a slow reader of an event stream "                                        \
      "before it is cut off.")                                                                     \
    X(DURATION, receive_timeout, "60secs", "In which a request must have arrived whole.")          \
    X(DURATION, idle_timeout, "60secs", "After which an idle connection is closed.")               \
    X(DURATION, heartbeat_interval, "15secs", "Between heartbeats on event streams.")

#define RV_MASTER_FLAGS(X)                                                                         \
    X(INT, port, "5050", "Port to listen on; 0 picks a free one.")                                 \
    RV_COMMON_FLAGS(X)                                                                             \
    X(STRING, work_dir, NULL,                                                                      \
      "Folder of the registry. Without it the registry is kept in memory "                         \
      "and forgotten at the end.")                                                                 \
    X(STRING, zk, NULL,                                                                            \
      "Where several masters elect their leader and keep the registry, as "                        \
      "zk://user:password@host:port,host:port/path, the part before @ being optional; or "         \
      "file:///path of a file that has this in its first line.")                                   \
    X(DURATION, zk_session_timeout, "10secs",                                                      \
      "After which ZooKeeper gives up a master that is not heard of.")                             \
    X(STRING, advertise_ip, NULL,                                                                  \
      "Address at which others reach this master, where it is not the one listened on.")           \
    X(STRING, cluster, NULL, "Name of the cluster, shown to people.")                              \
    X(DURATION, allocation_interval, "1secs", "Between allocations of everything that is free.")   \
    X(DURATION, offer_timeout, "5mins",                                                            \
      "After which an offer that is held is rescinded; 0: never.")                                 \
    X(DURATION, agent_ping_timeout, "15secs", "Between pings of an agent.")                        \
    X(INT, max_agent_ping_timeouts, "5", "Missed pings that make an agent unreachable.")           \
    X(DURATION, agent_reregister_timeout, "10mins", "For agents to come back after a failover.")   \
    X(STRING, agent_removal_rate_limit, NULL,                                                      \
      "Most agents that become unreachable, as number/duration: 1/10mins; by default any number.") \
    X(STRING, recovery_agent_removal_limit, "100%",                                                \
      "If more of the agents do not come back after a failover, the master stops instead of "      \
      "marking them unreachable.")                                                                 \
    X(INT, registry_max_agent_count, "102400",                                                     \
      "Most agents that are remembered as unreachable, and as gone; the oldest are forgotten.")    \
    X(DURATION, registry_max_agent_age, "2weeks",                                                  \
      "After which agents that are unreachable or gone are forgotten.")                            \
    X(DURATION, registry_gc_interval, "15mins", "How often such agents are looked for.")           \
    X(STRING, quota_recovery_agents, "80%",                                                        \
      "Of the agents that the registry knows, those that must be back before a new leader makes "  \
      "offers, if a role has quota.")                                                              \
    X(DURATION, quota_recovery_timeout, "10mins",                                                  \
      "After which it makes offers though fewer are back; 0: at once.")                            \
    X(STRING, allocator, "drf", "Allocation policy.")                                              \
    X(STRING, min_allocatable_resources, "cpus:0.01|mem:32",                                       \
      "Alternatives, separated by |, of "                                                          \
      "what makes an offer worth having.")                                                         \
    X(STRING, fair_sharing_excluded_resource_names, NULL,                                          \
      "Resources, separated by commas, that "                                                      \
      "do not count for fairness.")                                                                \
    X(STRING, weights, NULL, "role=weight, separated by commas.")                                  \
    X(STRING, roles, NULL, "The only roles that frameworks may use; any by default.")              \
    X(INT, max_completed_frameworks, "50", "Frameworks that are remembered after their end.")      \
    X(INT, max_completed_tasks_per_framework, "1000", "Ended tasks that are remembered.")          \
    X(INT, max_unreachable_tasks_per_framework, "1000", "Unreachable tasks that are remembered.")  \
    X(BOOL, publish_per_framework_metrics, "true", "Metrics of each framework by itself, too.")    \
    X(INT, max_frameworks, "100000", "Most frameworks at once.")                                   \
    X(INT, max_agents, "100000", "Most agents.")

#define RV_FETCHER_FLAGS(X)                                                                        \
    X(BYTES, fetcher_cache_size, "2GB",                                                            \
      "Most that the cache of fetched files takes; 0: nothing is cached.")                         \
    X(STRING, fetcher_cache_dir, NULL,                                                             \
      "Folder of the cache of fetched files; by default one in work_dir.")                         \
    X(BYTES, fetcher_max_size, "10GB",                                                             \
      "Most that the URIs of one command take in its sandbox, unpacked.")                          \
    X(DURATION, fetcher_stall_timeout, "1mins",                                                    \
      "Without progress, after which fetching a URI is given up.")

#define RV_ISOLATION_FLAGS(X)                                                                      \
    X(STRING, bounding_capabilities, NULL,                                                         \
      "Capabilities that a container may have at most, as "                                        \
      "{\"capabilities\": [\"NET_RAW\"]}; by default those of effective_capabilities' default.")   \
    X(STRING, effective_capabilities, NULL,                                                        \
      "Capabilities of a container that asks for none, whatever its user; by default root has "    \
      "CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, "     \
      "SYS_CHROOT, AUDIT_WRITE and SETFCAP, others have none.")                                    \
    X(STRING, secrets_dir, NULL,                                                                   \
      "Folder of the secrets that tasks may refer to by name: DIR/NAME or DIR/NAME/KEY.")          \
    X(BOOL, disallow_sharing_agent_pid_namespace, "true",                                          \
      "Refuse containers that ask to see the machine's processes.")                                \
    X(BOOL, disallow_sharing_agent_ipc_namespace, "true",                                          \
      "Refuse containers that ask for the machine's IPC and /dev/shm.")                            \
    X(BOOL, allow_unconfined_seccomp, "false",                                                     \
      "Let containers do without the profile of system calls, if they ask to.")                    \
    X(BYTES, default_container_shm_size, "64MB", "Of /dev/shm in a container.")                    \
    X(BOOL, cgroups_enable_cfs, "false",                                                           \
      "A container gets no more cpu time than it asked for, if it names no limit.")

#define RV_AGENT_FLAGS(X)                                                                          \
    X(INT, port, "5051", "Port to listen on; 0 picks a free one.")                                 \
    RV_COMMON_FLAGS(X)                                                                             \
    X(STRING, master, NULL,                                                                        \
      "The masters: host:port, several with commas between; or zk://... as theirs; or "            \
      "file:///path of a file that has this in its first line, and is read when it changes.")      \
    X(DURATION, zk_session_timeout, "10secs",                                                      \
      "Without ZooKeeper for so long, no master is known to lead.")                                \
    X(STRING, advertise_ip, NULL,                                                                  \
      "Address at which others reach this agent, where it is not the one listened on.")            \
    X(STRING, work_dir, NULL, "Folder of sandboxes and checkpoints.")                              \
    X(STRING, runtime_dir, NULL,                                                                   \
      "Folder of what is of use until the next boot only: which containers run; each agent has "   \
      "a folder of its own in there. By default /run/reeve for root, else it is in work_dir.")     \
    X(STRING, resources, NULL,                                                                     \
      "What the agent has, as cpus:4;mem:1024;ports:[31000-32000] or "                             \
      "JSON; what is not named is detected.")                                                      \
    X(STRING, attributes, NULL, "What schedulers choose by, as rack:r1;zone:a.")                   \
    X(STRING, default_role, "*", "Role of resources that name none.")                              \
    X(STRING, domain, NULL, "Fault domain, as region/zone.")                                       \
    X(STRING, containerizer, NULL,                                                                 \
      "What runs containers: linux, which isolates them, or process, which does not; by default "  \
      "linux where the agent can (as root, with control groups), else process; a restarted agent " \
      "goes on with the one it had.")                                                              \
    X(BOOL, switch_user, "true", "Run tasks as the user their framework names; needs root.")       \
    X(DURATION, registration_backoff_factor, "1secs", "First wait before registering again.")      \
    X(DURATION, registration_backoff_max, "1mins", "Limit of the growth of that wait.")            \
    X(DURATION, executor_registration_timeout, "1mins", "For an executor to subscribe.")           \
    X(DURATION, executor_reregistration_timeout, "2secs",                                          \
      "For executors to come back after the "                                                      \
      "agent was away.")                                                                           \
    X(DURATION, executor_shutdown_grace_period, "5secs", "For an executor to end by itself.")      \
    X(STRING, recover, "reconnect",                                                                \
      "What to do with what an earlier agent left: reconnect takes it up; cleanup ends it, then "  \
      "the agent, so that the next one begins anew.")                                              \
    X(BOOL, strict, "true",                                                                        \
      "Refuse to start on a checkpoint that is damaged or does not fit; else go on without it.")   \
    X(STRING, reconfiguration_policy, "equal",                                                     \
      "How the agent may differ from what it was: equal: not at all; additive: it may have more.") \
    X(DURATION, recovery_timeout, "15mins", "After which an executor without its agent ends.")     \
    X(DURATION, status_update_retry_interval_min, "10secs",                                        \
      "First wait before an update that was not acknowledged is sent again.")                      \
    X(DURATION, status_update_retry_interval_max, "10mins", "Limit of the growth of that wait.")   \
    X(DURATION, gc_delay, "1weeks", "For which a sandbox is kept after its end, at most.")         \
    X(DOUBLE, gc_disk_headroom, "0.1",                                                             \
      "Part of the disk that is to stay free: a sandbox is kept for gc_delay * max(0, 1 - "        \
      "gc_disk_headroom - usage of the disk).")                                                    \
    X(DURATION, disk_watch_interval, "1mins", "Between looks at how full the disk is.")            \
    X(INT, container_pids_max, "4096",                                                             \
      "Most processes and threads of a container, under the linux containerizer.")                 \
    X(DURATION, container_disk_watch_interval, "15secs",                                           \
      "Between looks at how much disk each container uses.")                                       \
    X(BOOL, enforce_container_disk_quota, "true",                                                  \
      "End containers that use more disk than they asked for; those that asked for none may use "  \
      "any.")                                                                                      \
    X(STRING, project_quota_range, "[5000-10000]",                                                 \
      "Numbers of project quotas that sandboxes get where the file system has these turned on; "   \
      "empty: none.")                                                                              \
    X(DURATION, container_ports_watch_interval, "30secs",                                          \
      "Between looks at the ports that containers listen on.")                                     \
    X(BOOL, enforce_container_ports, "false",                                                      \
      "End containers that listen on TCP ports that they have not got; needs the linux "           \
      "containerizer.")                                                                            \
    X(BOOL, check_agent_port_range_only, "false",                                                  \
      "Let containers listen on any port that is not among the agent's resources.")                \
    X(STRING, container_ports_isolated_range, NULL,                                                \
      "The only ports that are watched, as [0-35000]; not with check_agent_port_range_only.")      \
    X(BYTES, log_max_size, "10MB", "At which stdout and stderr of a task are rotated.")            \
    X(INT, log_keep, "1", "Rotated files that are kept.")                                          \
    RV_FETCHER_FLAGS(X)                                                                            \
    RV_ISOLATION_FLAGS(X)                                                                          \
    X(INT, max_completed_executors_per_framework, "150", "Ended executors that are remembered.")   \
    X(STRING, executor_environment_variables, NULL, "JSON object of variables for every executor.")

#define RV_LOCAL_FLAGS(X)                                                                          \
    X(INT, port, "5050", "Port of the master; agents take those after it. 0 picks free ones.")     \
    RV_COMMON_FLAGS(X)                                                                             \
    X(INT, agents, "1", "How many agents.")                                                        \
    X(STRING, work_dir, NULL,                                                                      \
      "Folder of all that is kept; by default one below /tmp, removed at "                         \
      "the end.")                                                                                  \
    X(STRING, resources, NULL,                                                                     \
      "What each agent has; by default the machine is divided among them.")                        \
    X(STRING, attributes, NULL, "What each agent has as attributes.")                              \
    X(STRING, containerizer, NULL,                                                                 \
      "What runs containers: linux, which isolates them, or process, which does not; by default "  \
      "linux where the agent can (as root, with control groups), else process; a restarted agent " \
      "goes on with the one it had.")                                                              \
    X(BOOL, switch_user, "true", "Run tasks as the user their framework names; needs root.")       \
    RV_FETCHER_FLAGS(X)                                                                            \
    RV_ISOLATION_FLAGS(X)                                                                          \
    X(DURATION, allocation_interval, "1secs", "Between allocations of everything that is free.")   \
    X(DURATION, offer_timeout, "5mins", "After which an offer that is held is rescinded; 0: never.")

#define RV_FLAG_FIELD_STRING char *
#define RV_FLAG_FIELD_INT int64_t
#define RV_FLAG_FIELD_BOOL bool
#define RV_FLAG_FIELD_DURATION int64_t
#define RV_FLAG_FIELD_BYTES int64_t
#define RV_FLAG_FIELD_DOUBLE double
#define RV_FLAG_FIELD(type, name, fallback, help) RV_FLAG_FIELD_##type name;

struct rv_master_flags {
    RV_MASTER_FLAGS(RV_FLAG_FIELD)
};
struct rv_agent_flags {
    RV_AGENT_FLAGS(RV_FLAG_FIELD)
};
struct rv_local_flags {
    RV_LOCAL_FLAGS(RV_FLAG_FIELD)
};

struct rv_flag_table {
    const char *verb;  /* "master" */
    const char *about; /* one line */
    const struct rv_flag *flags;
    size_t n;
};
extern const struct rv_flag_table rv_master_flag_table, rv_agent_flag_table, rv_local_flag_table;

/* Fills `flags` (a zeroed struct of the table) from all sources. argv without the verb. An unknown
 * name, a value that does not parse or an operand is -RV_ERR_INVALID, and says which and from
 * where. environ_: NULL-terminated as environ. */
RV_MUST_USE int rv_flags_parse(const struct rv_flag_table *table, void *flags, int argc,
                               char *const *argv, char *const *environ_, struct rv_error *err);
/* Frees the strings. */
void rv_flags_free(const struct rv_flag_table *table, void *flags);
/* The value of a flag as text, to be shown: without the password of a zk://. NULL where a string is
 * unset. The caller frees. */
char *rv_flag_text(const struct rv_flag *flag, const void *flags);
/* --help. */
void rv_flags_help(const struct rv_flag_table *table, struct rv_buf *out);
/* The reference: a table in Markdown. */
void rv_flags_markdown(const struct rv_flag_table *table, struct rv_buf *out);

#endif
