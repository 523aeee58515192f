/*
 * The whole state of a large cluster, read while the master goes on: 20,000 agents with ten tasks
 * each, told to the master's core as agents tell it at re-registration. A process of its own then
 * reads /state, GET_STATE in JSON and protobuf, and the event SUBSCRIBED; meanwhile the master's
 * loop is asked every millisecond how late it is, which is how long an offer would have waited.
 *
 * state [agents] [tasks an agent]
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/master_daemon.h"
#include "emulator.h"
#include "io/http_client.h"
#include "wire/convert.h"

struct stall {
    uv_timer_t timer;
    double last, worst;
};

static void on_tick(uv_timer_t *timer) {
    struct stall *s = timer->data;
    double now = now_seconds();

    if (s->last > 0 && now - s->last - 0.001 > s->worst)
        s->worst = now - s->last - 0.001;
    s->last = now;
}

/* --- filling --- */

static struct rv_blob *packed_task(const char *id, const char *agent) {
    Reeve__V1__TaskInfo t = REEVE__V1__TASK_INFO__INIT;
    Reeve__V1__TaskID task_id = REEVE__V1__TASK_ID__INIT;
    Reeve__V1__AgentID agent_id = REEVE__V1__AGENT_ID__INIT;
    Reeve__V1__CommandInfo command = REEVE__V1__COMMAND_INFO__INIT;

    task_id.value = (char *)(uintptr_t)id;
    agent_id.value = (char *)(uintptr_t)agent;
    command.value = (char *)(uintptr_t) "sleep 1000";
    t.name = (char *)(uintptr_t) "a-task";
    t.task_id = &task_id;
    t.agent_id = &agent_id;
    t.command = &command;
    return rv_wire_pack(&t.base);
}

static struct rv_blob *packed_framework(void) {
    Reeve__V1__FrameworkInfo f = REEVE__V1__FRAMEWORK_INFO__INIT;

    f.user = (char *)(uintptr_t) "root";
    f.name = (char *)(uintptr_t) "bench";
    return rv_wire_pack(&f.base);
}

static void fill(struct rv_master_daemon *d, unsigned agents, unsigned tasks) {
    struct rv_framework_info framework = {.id = {"bench-0001"},
                                          .user = (char *)(uintptr_t) "root",
                                          .name = (char *)(uintptr_t) "bench",
                                          .failover_timeout_ms = 3600000,
                                          .packed = packed_framework()};
    char *role = (char *)(uintptr_t) "*";
    struct rv_resources total = {0}, used = {0};
    struct rv_task_info *infos = rv_calloc(tasks, sizeof *infos);
    struct rv_task_view *views = rv_calloc(tasks, sizeof *views);
    struct rv_task_status *statuses = rv_calloc(tasks, sizeof *statuses);

    framework.roles = &role;
    framework.n_roles = 1;
    if (rv_resources_parse("cpus:16;mem:65536;disk:1000000;ports:[31000-32000]", "*", &total,
                           NULL) ||
        rv_resources_parse("cpus:0.5;mem:512", "*", &used, NULL))
        exit(1);
    rv_resources_allocate(&used, "*");
    for (unsigned i = 0; i < agents; i++) {
        _cleanup_free_ char *id = rv_asprintf("agent-S%u", i);
        _cleanup_free_ char *host = rv_asprintf("host-%u.example", i);
        struct rv_agent_info info = {.id = {id},
                                     .hostname = host,
                                     .ip = (char *)(uintptr_t) "127.0.0.1",
                                     .port = 5051,
                                     .version = (char *)(uintptr_t) "1.12.0",
                                     .resources = total};
        for (unsigned k = 0; k < tasks; k++) {
            char *task = rv_asprintf("task-%u-%u", i, k);
            infos[k] = (struct rv_task_info){.id = {task},
                                             .name = (char *)(uintptr_t) "a-task",
                                             .agent_id = {id},
                                             .resources = used,
                                             .kill_grace_ms = -1,
                                             .max_completion_ms = -1,
                                             .packed = packed_task(task, id)};
            statuses[k] = (struct rv_task_status){.task_id = {task},
                                                  .state = RV_TASK_RUNNING,
                                                  .source = RV_SOURCE_EXECUTOR,
                                                  .has_source = true,
                                                  .reason = RV_REASON_NONE,
                                                  .agent_id = {id},
                                                  .timestamp_ns = rv_wall_ns(),
                                                  .healthy = -1};
            views[k] = (struct rv_task_view){.framework_id = framework.id,
                                             .executor_id = {task},
                                             .command = true,
                                             .info = &infos[k],
                                             .state = RV_TASK_RUNNING,
                                             .status = &statuses[k],
                                             .update_state = RV_TASK_RUNNING};
        }
        struct rv_agent_call call = {.type = RV_AGENT_CALL_REREGISTER, .agent_id = {id}};
        call.registration.info = &info;
        call.registration.boot_id = "boot";
        call.registration.tasks = views;
        call.registration.n_tasks = tasks;
        call.registration.frameworks = &framework;
        call.registration.n_frameworks = 1;
        struct rv_master_event event = {.kind = RV_MASTER_AGENT_CALL,
                                        .request = rv_shell_number(&d->shell),
                                        .stream = rv_shell_number(&d->shell),
                                        .agent = &call};
        rv_master_daemon_step(d, &event);
        for (unsigned k = 0; k < tasks; k++) {
            rv_blob_unref(infos[k].packed);
            free((void *)(uintptr_t)infos[k].id.v);
        }
    }
    free(infos);
    free(views);
    free(statuses);
    rv_resources_free(&total);
    rv_resources_free(&used);
    rv_blob_unref(framework.packed);
}

/* --- reading, in a process of its own --- */

struct answer {
    int status;
    size_t bytes;
    size_t expected; /* of a stream, whose first event is all that is waited for */
    bool stream;
    bool done;
};

static bool on_head(void *ctx, int status, const struct rv_http1_header *headers, size_t n) {
    (void)headers;
    (void)n;
    ((struct answer *)ctx)->status = status;
    return true;
}

static void on_body(void *ctx, struct rv_str bytes) {
    struct answer *answer = ctx;

    /* A record says its length first. */
    if (answer->stream && !answer->bytes)
        answer->expected = strtoul(bytes.s, NULL, 10);
    answer->bytes += bytes.n;
    answer->done = answer->stream && answer->bytes >= answer->expected;
}

static void on_done(void *ctx, int result, int status, const struct rv_http1_header *headers,
                    size_t n, struct rv_str body, const struct rv_error *err) {
    (void)status;
    (void)headers;
    (void)n;
    (void)body;
    if (result)
        fprintf(stderr, "%s\n", err->message);
    ((struct answer *)ctx)->done = true;
}

/* call: its type, for a POST to the operator API; NULL: GET. */
static double read_once(uint16_t port, const char *path, const char *call, const char *accept) {
    static const struct rv_http_call_handler handler = {on_head, on_body, on_done};
    struct rv_http_client_config config = {
        .host = "127.0.0.1", .port = port, .connect_timeout_ms = 60000, .max_connections = 1};
    struct answer answer = {.stream = call && strcmp(call, "SUBSCRIBE") == 0};
    uv_loop_t loop;

    uv_loop_init(&loop);
    struct rv_http_client *client = rv_http_client_new(&loop, &config);
    _cleanup_free_ char *headers =
        rv_asprintf("Content-Type: application/json\r\nAccept: %s\r\n", accept);
    _cleanup_free_ char *body = rv_asprintf("{\"type\":\"%s\"}", call ? call : "");
    double start = now_seconds();
    rv_http_client_call(client, call ? "POST" : "GET", path, headers, rv_str(call ? body : ""),
                        true, &handler, &answer);
    while (!answer.done && uv_run(&loop, UV_RUN_ONCE))
        ;
    double elapsed = now_seconds() - start;
    rv_http_client_free(client);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    printf("%s %s (%s): %d, %.1f MB in %.3f s\n", path, call ? call : "", accept, answer.status,
           (double)answer.bytes / 1e6, elapsed);
    fflush(stdout);
    if (answer.status != 200 || answer.bytes < 1000000)
        exit(1);
    return elapsed;
}

static int reader(uint16_t port) {
    int pid = fork();

    if (pid)
        return pid;
    static const struct {
        const char *path, *call, *accept;
    } reads[] = {{"/state", NULL, "application/json"},
                 {"/api/v1", "GET_STATE", "application/json"},
                 {"/api/v1", "GET_STATE", "application/x-protobuf"},
                 {"/api/v1", "SUBSCRIBE", "application/json"}};
    double worst = 0;
    for (size_t i = 0; i < RV_COUNT(reads); i++) {
        double elapsed = read_once(port, reads[i].path, reads[i].call, reads[i].accept);
        worst = RV_MAX(worst, elapsed);
    }
    printf("figure state.time %.0f ms\n", worst * 1e3);
    fflush(stdout);
    _exit(0);
}

int main(int argc, char **argv) {
    unsigned agents = argc > 1 ? (unsigned)atoi(argv[1]) : 20000;
    unsigned tasks = argc > 2 ? (unsigned)atoi(argv[2]) : 10;
    char *arguments[] = {(char *)(uintptr_t) "--port=0"};
    struct rv_master_flags flags = {0};
    struct rv_master_daemon *d;
    struct stall stall = {0};
    struct rv_error err;
    uv_loop_t loop;
    int status = 0;

    signal(SIGPIPE, SIG_IGN);
    rv_log_set_level(RV_LOG_WARNING);
    uv_loop_init(&loop);
    if (rv_flags_parse(&rv_master_flag_table, &flags, 1, arguments, NULL, &err) ||
        rv_master_daemon_start(&loop, &flags, NULL, NULL, &d, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    fill(d, agents, tasks);
    for (int i = 0; i < 10; i++) /* what the filling has brought up */
        uv_run(&loop, UV_RUN_NOWAIT);
    printf("%zu agents, %u tasks; limits: 1000 ms, stall 50 ms\n", rv_map_count(&d->core->agents),
           agents * tasks);
    fflush(stdout);
    int pid = reader(rv_master_daemon_port(d));
    uv_timer_init(&loop, &stall.timer);
    stall.timer.data = &stall;
    uv_timer_start(&stall.timer, on_tick, 1, 1);
    while (waitpid(pid, &status, WNOHANG) == 0)
        uv_run(&loop, UV_RUN_ONCE);
    if (status)
        return 1;
    printf("figure state.stall %.1f ms\n", stall.worst * 1e3);
    uv_close((uv_handle_t *)&stall.timer, NULL);
    rv_master_daemon_stop(d);
    uv_run(&loop, UV_RUN_DEFAULT);
    return 0;
}
