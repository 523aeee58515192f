/* See secrets.h. The tree is changed while it is packed, and is then as it was. */
#include "wire/secrets.h"

#include "base/vec.h"
#include "reeve/v1/v1.pb-c.h"
#include "wire/codec.h"

struct found {
    RV_VEC(Reeve__V1__Secret *) v;
};

static void look(ProtobufCMessage *m, struct found *out);

static void look_at_field(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                          struct found *out) {
    char *at = (char *)m + f->offset;
    const char *quantifier = (const char *)m + f->quantifier_offset;

    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        ProtobufCMessage **v = *(ProtobufCMessage ***)(void *)at;
        size_t n = *(const size_t *)(const void *)quantifier;
        for (size_t i = 0; i < n; i++)
            look(v[i], out);
        return;
    }
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
        *(const uint32_t *)(const void *)quantifier != f->id)
        return;
    ProtobufCMessage *one = *(ProtobufCMessage **)(void *)at;
    if (one)
        look(one, out);
}

static void look(ProtobufCMessage *m, struct found *out) {
    const ProtobufCMessageDescriptor *type = m->descriptor;

    if (type == &reeve__v1__secret__descriptor) {
        Reeve__V1__Secret *secret = (Reeve__V1__Secret *)(void *)m;
        if (secret->value)
            rv_vec_push(&out->v, secret);
        return;
    }
    for (unsigned i = 0; i < type->n_fields; i++)
        if (type->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
            look_at_field(m, &type->fields[i], out);
}

struct rv_blob *rv_wire_pack_open(const ProtobufCMessage *m, struct rv_blob **whole) {
    struct found found = {{0}};
    Reeve__V1__Secret__Value **values;
    struct rv_blob *open;

    *whole = NULL;
    look((ProtobufCMessage *)(uintptr_t)m, &found);
    if (!found.v.n)
        return rv_wire_pack(m);
    *whole = rv_wire_pack(m);
    values = rv_calloc(found.v.n, sizeof *values);
    for (size_t i = 0; i < found.v.n; i++) {
        values[i] = found.v.v[i]->value;
        found.v.v[i]->value = NULL;
    }
    open = rv_wire_pack(m);
    for (size_t i = 0; i < found.v.n; i++)
        found.v.v[i]->value = values[i];
    free(values);
    rv_vec_free(&found.v);
    return open;
}
