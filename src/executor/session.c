/* Sessions that check, see session.h. Holds: one call at a time; a step that the agent does not
 * answer is the last. What is not removed then goes with the task. */
#include "executor/session.h"

#include <stdlib.h>

#include "executor/nested.h"
#include "wire/recordio.h"

enum { MAX_RECORD = 1024 * 1024, MAX_TEXT = 512 };

static Reeve__V1__ContainerID *new_id(const char *name, const Reeve__V1__ContainerID *parent) {
    Reeve__V1__ContainerID id = REEVE__V1__CONTAINER_ID__INIT;
    uint8_t *bytes;
    Reeve__V1__ContainerID *copy;
    size_t n;

    id.value = (char *)(uintptr_t)name;
    id.parent = (Reeve__V1__ContainerID *)(uintptr_t)parent;
    n = reeve__v1__container_id__get_packed_size(&id);
    bytes = rv_malloc(n);
    reeve__v1__container_id__pack(&id, bytes);
    copy = reeve__v1__container_id__unpack(NULL, n, bytes);
    free(bytes);
    return copy;
}

static void post(struct rv_session *s, const struct rv_endpoint *agent, int step,
                 Reeve__V1__Agent__Call *message) {
    struct rv_str bytes = rv_nested_pack(message);

    s->step = step;
    if (!rv_call_post(&s->call, agent, "/api/v1", bytes, step != RV_SESSION_WAIT && !s->keeps))
        s->state = RV_SESSION_LOST;
    free((void *)(uintptr_t)bytes.s);
}

void rv_session_start(struct rv_session *s, const struct rv_endpoint *agent, const char *name,
                      const Reeve__V1__ContainerID *parent, const Reeve__V1__CommandInfo *command,
                      bool keeps) {
    Reeve__V1__Agent__Call call = REEVE__V1__AGENT__CALL__INIT;
    Reeve__V1__Agent__Call__LaunchNestedContainerSession l =
        REEVE__V1__AGENT__CALL__LAUNCH_NESTED_CONTAINER_SESSION__INIT;

    *s = (struct rv_session){.state = RV_SESSION_RUNS, .id = new_id(name, parent), .keeps = keeps};
    rv_call_init(&s->call);
    l.container_id = s->id;
    l.command = (Reeve__V1__CommandInfo *)(uintptr_t)command;
    call.type = REEVE__V1__AGENT__CALL__TYPE__LAUNCH_NESTED_CONTAINER_SESSION;
    call.launch_nested_container_session = &l;
    post(s, agent, RV_SESSION_LAUNCH, &call);
}

static void wait_for(struct rv_session *s, const struct rv_endpoint *agent) {
    Reeve__V1__Agent__Call call = REEVE__V1__AGENT__CALL__INIT;
    Reeve__V1__Agent__Call__WaitNestedContainer w =
        REEVE__V1__AGENT__CALL__WAIT_NESTED_CONTAINER__INIT;

    w.container_id = s->id;
    call.type = REEVE__V1__AGENT__CALL__TYPE__WAIT_NESTED_CONTAINER;
    call.wait_nested_container = &w;
    post(s, agent, RV_SESSION_WAIT, &call);
}

static void remove_it(struct rv_session *s, const struct rv_endpoint *agent) {
    Reeve__V1__Agent__Call call = REEVE__V1__AGENT__CALL__INIT;
    Reeve__V1__Agent__Call__RemoveNestedContainer r =
        REEVE__V1__AGENT__CALL__REMOVE_NESTED_CONTAINER__INIT;

    r.container_id = s->id;
    call.type = REEVE__V1__AGENT__CALL__TYPE__REMOVE_NESTED_CONTAINER;
    call.remove_nested_container = &r;
    post(s, agent, RV_SESSION_REMOVE, &call);
}

void rv_session_stop(struct rv_session *s, const struct rv_endpoint *agent) {
    if (s->state == RV_SESSION_RUNS && s->step == RV_SESSION_LAUNCH) {
        rv_http_close(&s->call.http);
        wait_for(s, agent);
    }
}

/* The answer to a WAIT; false: it tells nothing. */
static bool take_status(struct rv_session *s) {
    Reeve__V1__Agent__Response *r = reeve__v1__agent__response__unpack(
        NULL, s->call.body.n, (const uint8_t *)s->call.body.data);
    bool known = r && r->wait_nested_container && r->wait_nested_container->has_exit_status;

    if (known)
        s->wait_status = r->wait_nested_container->exit_status;
    if (r)
        reeve__v1__agent__response__free_unpacked(r, NULL);
    return known;
}

/* One ProcessIO of the stream. */
static int take_output(void *ctx, struct rv_str record) {
    struct rv_session *s = ctx;
    Reeve__V1__Agent__ProcessIO *io =
        reeve__v1__agent__process_io__unpack(NULL, record.n, (const uint8_t *)record.s);

    if (io && io->data && io->data->type == REEVE__V1__AGENT__PROCESS_IO__DATA__TYPE__STDOUT)
        rv_buf_append(&s->text, (const char *)io->data->data.data,
                      RV_MIN(io->data->data.len, MAX_TEXT - RV_MIN(s->text.n, (size_t)MAX_TEXT)));
    if (io)
        reeve__v1__agent__process_io__free_unpacked(io, NULL);
    return 0;
}

/* Of a stream that is cut short what there is is told. */
static void keep_output(struct rv_session *s) {
    struct rv_recordio records;

    rv_recordio_init(&records, MAX_RECORD);
    if (rv_recordio_feed(&records, rv_buf_str(&s->call.body), take_output, s, NULL))
        rv_buf_clear(&s->text);
    rv_recordio_free(&records);
}

static void answered(struct rv_session *s, const struct rv_endpoint *agent) {
    int status = s->call.status;

    switch (s->step) {
    case RV_SESSION_LAUNCH:
        if (status == 200) {
            if (s->keeps)
                keep_output(s);
            wait_for(s, agent);
        } else {
            s->state = status == 400 ? RV_SESSION_REFUSED : RV_SESSION_LOST;
            rv_buf_append(&s->text, s->call.body.data ? s->call.body.data : "", s->call.body.n);
        }
        break;
    case RV_SESSION_WAIT:
        s->state = status == 200 && take_status(s) ? RV_SESSION_ENDED : RV_SESSION_LOST;
        if (status == 200) {
            enum rv_session_state state = s->state;
            remove_it(s, agent);
            s->state = state;
        }
        break;
    case RV_SESSION_REMOVE:
    default:
        s->state = RV_SESSION_GONE;
        break;
    }
}

void rv_session_io(struct rv_session *s, const struct rv_endpoint *agent, short revents) {
    switch (rv_call_io(&s->call, agent, revents)) {
    case RV_CALL_DONE:
        answered(s, agent);
        break;
    case RV_CALL_LOST:
        s->state = s->step == RV_SESSION_REMOVE ? RV_SESSION_GONE : RV_SESSION_LOST;
        break;
    case RV_CALL_MORE:
    default:
        break;
    }
}

void rv_session_free(struct rv_session *s) {
    rv_call_free(&s->call);
    rv_buf_free(&s->text);
    if (s->id)
        reeve__v1__container_id__free_unpacked(s->id, NULL);
    s->id = NULL;
}
