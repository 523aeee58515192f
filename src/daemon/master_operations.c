/*
 * Operations on resources that operators ask for, by POST /api/v1 and by the endpoints from before
 * it. A request becomes one operation as a framework would send it, and the core judges it, as it
 * does those of frameworks. Trees live in the daemon's arena.
 */
#include "daemon/master_endpoints.h"
#include "wire/codec.h"
#include "wire/form.h"

#define MAKE_PART(arena, Type, part)                                                               \
    RV_WIRE_MAKE(arena, Offer__Operation__##Type, offer__operation__##part)

static Reeve__V1__Offer__Operation *operation_new(enum rv_operation_type type,
                                                  struct rv_arena *arena) {
    Reeve__V1__Offer__Operation *m = RV_WIRE_MAKE(arena, Offer__Operation, offer__operation);

    m->has_type = true;
    m->type = (Reeve__V1__Offer__Operation__Type)type;
    return m;
}

/* Operators take what is free, not what is allocated to a role. */
static bool is_allocated(const struct rv_resources *r) {
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i].kind->allocation_role)
            return true;
    return false;
}

/* The call of the core, which answers the request. */
static void operate(struct rv_master_daemon *d, struct rv_http_request *req, char *agent_id,
                    const Reeve__V1__Offer__Operation *m) {
    static char allocated[] = "'allocation_info' must not be set: an operator's operation is on "
                              "resources that are not allocated";
    struct rv_operation op;
    struct rv_operator_call call = {
        .type = RV_OPERATOR_OPERATE, .agent_id = {agent_id}, .operation = &op};

    rv_wire_operation_from(m, true, &d->arena, &op);
    if (!op.problem && (is_allocated(&op.resources) || is_allocated(&op.source)))
        op.problem = allocated;
    rv_master_operate(d, req, &call);
    rv_wire_operation_release(&op);
}

/* --- calls of /api/v1 --- */

void rv_master_reserve(struct rv_master_daemon *d, struct rv_http_request *req,
                       const Reeve__V1__Master__Call__ReserveResources *asked) {
    Reeve__V1__Offer__Operation *m = operation_new(RV_OP_RESERVE, &d->arena);

    m->reserve = MAKE_PART(&d->arena, Reserve, reserve);
    m->reserve->resources = asked->resources;
    m->reserve->n_resources = asked->n_resources;
    m->reserve->source = asked->source;
    m->reserve->n_source = asked->n_source;
    operate(d, req, asked->agent_id->value, m);
}

void rv_master_unreserve(struct rv_master_daemon *d, struct rv_http_request *req,
                         const Reeve__V1__Master__Call__UnreserveResources *asked) {
    Reeve__V1__Offer__Operation *m = operation_new(RV_OP_UNRESERVE, &d->arena);

    m->unreserve = MAKE_PART(&d->arena, Unreserve, unreserve);
    m->unreserve->resources = asked->resources;
    m->unreserve->n_resources = asked->n_resources;
    operate(d, req, asked->agent_id->value, m);
}

void rv_master_create_volumes(struct rv_master_daemon *d, struct rv_http_request *req,
                              const Reeve__V1__Master__Call__CreateVolumes *asked) {
    Reeve__V1__Offer__Operation *m = operation_new(RV_OP_CREATE, &d->arena);

    m->create = MAKE_PART(&d->arena, Create, create);
    m->create->volumes = asked->volumes;
    m->create->n_volumes = asked->n_volumes;
    operate(d, req, asked->agent_id->value, m);
}

void rv_master_destroy_volumes(struct rv_master_daemon *d, struct rv_http_request *req,
                               const Reeve__V1__Master__Call__DestroyVolumes *asked) {
    Reeve__V1__Offer__Operation *m = operation_new(RV_OP_DESTROY, &d->arena);

    m->destroy = MAKE_PART(&d->arena, Destroy, destroy);
    m->destroy->volumes = asked->volumes;
    m->destroy->n_volumes = asked->n_volumes;
    operate(d, req, asked->agent_id->value, m);
}

/* Only volumes on agents' own disks can be resized. */
static bool has_agent(struct rv_master_daemon *d, struct rv_http_request *req,
                      const Reeve__V1__AgentID *id) {
    if (!id)
        rv_common_bad_request(&d->shell, req, "Expecting 'agent_id' to be present.");
    return id != NULL;
}

void rv_master_grow_volume(struct rv_master_daemon *d, struct rv_http_request *req,
                           const Reeve__V1__Master__Call__GrowVolume *asked) {
    Reeve__V1__Offer__Operation *m = operation_new(RV_OP_GROW_VOLUME, &d->arena);

    if (!has_agent(d, req, asked->agent_id))
        return;
    m->grow_volume = MAKE_PART(&d->arena, GrowVolume, grow_volume);
    m->grow_volume->volume = asked->volume;
    m->grow_volume->addition = asked->addition;
    operate(d, req, asked->agent_id->value, m);
}

void rv_master_shrink_volume(struct rv_master_daemon *d, struct rv_http_request *req,
                             const Reeve__V1__Master__Call__ShrinkVolume *asked) {
    Reeve__V1__Offer__Operation *m = operation_new(RV_OP_SHRINK_VOLUME, &d->arena);

    if (!has_agent(d, req, asked->agent_id))
        return;
    m->shrink_volume = MAKE_PART(&d->arena, ShrinkVolume, shrink_volume);
    m->shrink_volume->volume = asked->volume;
    m->shrink_volume->subtract = asked->subtract;
    operate(d, req, asked->agent_id->value, m);
}

/* --- before v1: a form with the agent's id and lists in JSON --- */

/* {"NAME": LIST, ...} of those values of the form that are there. False after a 400. */
static bool lists_of(struct rv_master_daemon *d, struct rv_http_request *req,
                     const char *const *names, struct rv_buf *json) {
    struct rv_str body = rv_http_body(req);
    struct rv_error err;

    rv_buf_putc(json, '{');
    for (size_t i = 0; names[i]; i++) {
        char *value;

        if (rv_wire_form_value(body, names[i], &d->arena, &value, &err)) {
            rv_shell_bad_request(&d->shell, req, &err);
            return false;
        }
        if (value)
            rv_buf_printf(json, "%s\"%s\":%s", json->n > 1 ? "," : "", names[i], value);
        else if (i == 0) {
            rv_common_bad_request(&d->shell, req,
                                  rv_arena_printf(&d->arena,
                                                  "the form must have '%s', a list of "
                                                  "resources in JSON",
                                                  names[i]));
            return false;
        }
    }
    rv_buf_putc(json, '}');
    return true;
}

/* The part of an operation that a form describes; NULL after a 400. */
static void *part_of_form(struct rv_master_daemon *d, struct rv_http_request *req,
                          const char *const *names, const ProtobufCMessageDescriptor *type,
                          char **agent_id) {
    _cleanup_(rv_buf_free) struct rv_buf json = {0};
    ProtobufCMessage *tree;
    struct rv_error err;

    if (rv_wire_form_value(rv_http_body(req), "slaveId", &d->arena, agent_id, &err)) {
        rv_shell_bad_request(&d->shell, req, &err);
        return NULL;
    }
    if (!*agent_id) {
        rv_common_bad_request(&d->shell, req, "the form must have 'slaveId', an agent's id");
        return NULL;
    }
    if (!lists_of(d, req, names, &json))
        return NULL;
    if (rv_wire_decode(type, RV_ENC_JSON, rv_buf_str(&json), &d->shell.limits, &d->arena, &tree,
                       &err)) {
        rv_shell_bad_request(&d->shell, req, &err);
        return NULL;
    }
    return tree;
}

struct form {
    const char *path;
    enum rv_operation_type type;
    const char *names[3]; /* its lists: the first must be there */
    const ProtobufCMessageDescriptor *part;
};

static const struct form *form_of(const char *path) {
    static const struct form forms[] = {
        {"/reserve",
         RV_OP_RESERVE,
         {"resources", "source"},
         &reeve__v1__offer__operation__reserve__descriptor},
        {"/unreserve",
         RV_OP_UNRESERVE,
         {"resources"},
         &reeve__v1__offer__operation__unreserve__descriptor},
        {"/create-volumes",
         RV_OP_CREATE,
         {"volumes"},
         &reeve__v1__offer__operation__create__descriptor},
        {"/destroy-volumes",
         RV_OP_DESTROY,
         {"volumes"},
         &reeve__v1__offer__operation__destroy__descriptor},
    };

    for (size_t i = 0; i < RV_COUNT(forms); i++)
        if (rv_streq(path, forms[i].path))
            return &forms[i];
    return NULL;
}

bool rv_master_operations_handle(struct rv_master_daemon *d, struct rv_http_request *req,
                                 const char *path) {
    const struct form *form = form_of(path);
    Reeve__V1__Offer__Operation *m;
    char *agent_id;
    void *part;

    if (!form)
        return false;
    if (!rv_shell_is_post(&d->shell, req))
        return true;
    part = part_of_form(d, req, form->names, form->part, &agent_id);
    if (!part)
        return true;
    m = operation_new(form->type, &d->arena);
    if (form->type == RV_OP_RESERVE)
        m->reserve = part;
    else if (form->type == RV_OP_UNRESERVE)
        m->unreserve = part;
    else if (form->type == RV_OP_CREATE)
        m->create = part;
    else
        m->destroy = part;
    operate(d, req, agent_id, m);
    return true;
}
