/*
 * ATTACH_CONTAINER_INPUT: a request whose body is a stream of Calls, the first of which names a
 * container, the others what to do with its input. Taken as it comes; where the container does not
 * read, the client is held back.
 *
 * Holds: a session is attached to at most one container's input, which forgets it before it ends.
 * Costs: at most one incomplete record, bounded by max_body, and what waits in container_io.
 */
#include <stdlib.h>
#include <strings.h>

#include "daemon/agent_containers_internal.h"
#include "daemon/common.h"
#include "wire/recordio.h"

struct attach {
    struct rv_agent_daemon *d;
    struct rv_http_request *req;
    struct rv_recordio records;
    enum rv_encoding encoding;
    bool bad_type; /* of the messages */
    bool identified;
    struct rv_container_io *io; /* while it is attached */
    struct rv_error err;        /* of a record */
};

static struct attach *free_attach(struct attach *a) {
    if (a->io)
        rv_container_io_detach_input(a->io);
    rv_recordio_free(&a->records);
    free(a);
    return NULL;
}

static bool is_type(const char *header, const char *type) {
    size_t n = strlen(type);

    return header && strncasecmp(header, type, n) == 0 && (!header[n] || strchr("; \t", header[n]));
}

static void on_gone(void *data, struct rv_http_request *req) {
    (void)req;
    free_attach(data);
}

static bool wants(void *ctx, struct rv_http_request *req) {
    const char *path = rv_http_path(req), *type = rv_http_header(req, "Message-Content-Type");
    struct rv_agent_daemon *d = ctx;
    struct attach *a;

    if (!rv_streq(rv_http_method(req), "POST") || !rv_ends_with(path, "/api/v1") ||
        !is_type(rv_http_header(req, "Content-Type"), "application/recordio"))
        return false;
    a = rv_calloc(1, sizeof *a);
    a->d = d;
    a->req = req;
    rv_recordio_init(&a->records, d->shell.limits.max_body);
    if (is_type(type, "application/x-protobuf"))
        a->encoding = RV_ENC_PROTOBUF;
    else if (is_type(type, "application/json"))
        a->encoding = RV_ENC_JSON;
    else
        a->bad_type = true;
    rv_http_set_data(req, a, on_gone);
    return true;
}

static void on_room(void *ctx) {
    struct attach *a = ctx;

    rv_http_body_more(a->req);
}

/* The container has ended: so has its input. */
static void on_ended(void *ctx) {
    struct attach *a = ctx;

    a->io = NULL;
    rv_http_reply(a->req, 200, NULL, rv_strn(NULL, 0), NULL);
    free_attach(a);
}

static int identify(struct attach *a, const Reeve__V1__Agent__Call__AttachContainerInput *m,
                    struct rv_arena *arena) {
    const struct rv_container_input input = {on_room, on_ended, a};
    struct rv_container_io *io;

    if (m->type != REEVE__V1__AGENT__CALL__ATTACH_CONTAINER_INPUT__TYPE__CONTAINER_ID ||
        !m->container_id)
        return rv_error_set(&a->err, RV_ERR_INVALID,
                            "attach_container_input: expecting CONTAINER_ID first");
    const char *id = rv_api_id_of(m->container_id, arena, &a->err);
    int rc = id ? rv_api_containers_io(a->d->api, id, false, &io, &a->err) : -RV_ERR_INVALID;
    if (!rc)
        rc = rv_container_io_attach_input(io, &input, &a->err);
    if (rc)
        return rc;
    a->io = io;
    a->identified = true;
    return 0;
}

static int on_record(void *ctx, struct rv_str record) {
    struct attach *a = ctx;
    _cleanup_(rv_arena_free) struct rv_arena arena;
    const Reeve__V1__Agent__Call__AttachContainerInput *m;
    const Reeve__V1__Agent__Call *call;
    ProtobufCMessage *decoded;

    rv_arena_init(&arena);
    int rc = rv_wire_decode(&reeve__v1__agent__call__descriptor, a->encoding, record,
                            &a->d->shell.limits, &arena, &decoded, &a->err);
    if (rc)
        return rc;
    call = (const void *)decoded;
    m = call->attach_container_input;
    if (call->type != REEVE__V1__AGENT__CALL__TYPE__ATTACH_CONTAINER_INPUT || !m)
        return rv_error_set(&a->err, RV_ERR_INVALID,
                            "type: expecting ATTACH_CONTAINER_INPUT in a stream of records");
    if (!a->identified)
        return identify(a, m, &arena);
    if (m->type != REEVE__V1__AGENT__CALL__ATTACH_CONTAINER_INPUT__TYPE__PROCESS_IO ||
        !m->process_io)
        return rv_error_set(&a->err, RV_ERR_INVALID,
                            "attach_container_input: expecting PROCESS_IO after the first");
    return rv_container_io_input(a->io, m->process_io, &a->err);
}

static void refuse(struct attach *a, const struct rv_error *err) {
    if (a->bad_type) {
        a->d->shell.bad_requests++;
        rv_http_reply_text(a->req, 415,
                           "Expecting 'Message-Content-Type' of application/json or "
                           "application/x-protobuf.\n");
    } else
        rv_common_refuse(&a->d->shell, a->req, err);
    free_attach(a);
}

static size_t on_data(void *ctx, struct rv_http_request *req, struct rv_str piece) {
    struct attach *a = rv_http_data(req);
    struct rv_error err = {0};
    int rc = 0;

    (void)ctx;
    if (a->io && rv_container_io_is_full(a->io))
        return 0;
    if (!a->bad_type)
        rc = rv_recordio_feed(&a->records, piece, on_record, a, &err);
    if (rc || a->bad_type)
        refuse(a, a->err.code ? &a->err : &err);
    return piece.n;
}

static void on_end(void *ctx, struct rv_http_request *req) {
    struct attach *a = rv_http_data(req);
    struct rv_error err;

    (void)ctx;
    if (!a->identified) {
        rv_error_set(&err, RV_ERR_INVALID, "attach_container_input: no call has come");
        refuse(a, &err);
        return;
    }
    rv_http_reply(req, 200, NULL, rv_strn(NULL, 0), NULL);
    free_attach(a);
}

void rv_api_take_input(struct rv_agent_daemon *d) {
    static const struct rv_http_body_stream taker = {wants, on_data, on_end};

    rv_http_server_set_body_stream(d->shell.server, &taker, d);
}
