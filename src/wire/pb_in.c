/*
 * Protobuf to a tree, in one pass by descriptor. Messages that come in pieces are merged, packed
 * and unpacked arrays both read, what is unknown (fields, enum values) is kept in unknown_fields.
 *
 * Not protobuf_c_message_unpack: that one cannot say which field is wrong, has no limits, judges
 * required fields piece by piece and leaves unknown enum values in the tree.
 */
#include "base/assert.h"
#include "wire/tree.h"

struct piece {
    const uint8_t *p, *end;
};

static bool read_varint(struct piece *in, uint64_t *out) {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70 && in->p < in->end; shift += 7) {
        uint8_t byte = *in->p++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *out = v;
            return true;
        }
    }
    return false;
}

static uint64_t fixed(const uint8_t *p, unsigned n) {
    uint64_t v = 0;
    for (unsigned i = n; i-- > 0;) {
        v = v << 8 | p[i];
    }
    return v;
}

/* The extent of a value after its tag. `whole` has the length prefix, `body` has not. */
static bool read_extent(struct piece *in, unsigned wire_type, struct piece *whole,
                        struct piece *body, uint64_t *number) {
    size_t left = (size_t)(in->end - in->p);
    uint64_t n = 0;
    whole->p = in->p;
    body->p = in->p;
    *number = 0;
    switch (wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        if (!read_varint(in, number)) {
            return false;
        }
        break;
    case PROTOBUF_C_WIRE_TYPE_64BIT:
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        n = wire_type == PROTOBUF_C_WIRE_TYPE_64BIT ? 8 : 4;
        if (left < n) {
            return false;
        }
        *number = fixed(in->p, (unsigned)n);
        in->p += n;
        break;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        if (!read_varint(in, &n) || n > (size_t)(in->end - in->p)) {
            return false;
        }
        body->p = in->p;
        in->p += n;
        break;
    default:
        return false; /* groups: the v1 wire has none */
    }
    whole->end = body->end = in->p;
    return true;
}

/* The array doubles, as those of repeated fields do. */
static void keep_unknown(struct rv_wire_in *in, ProtobufCMessage *m, uint32_t tag,
                         unsigned wire_type, const void *data, size_t n) {
    unsigned count = m->n_unknown_fields;
    if ((count & (count - 1)) == 0) {
        ProtobufCMessageUnknownField *grown = (ProtobufCMessageUnknownField *)rv_arena_alloc(
            in->arena, (count ? (size_t)count * 2 : 1) * sizeof *grown);
        if (count > 0) {
            memcpy(grown, m->unknown_fields, count * sizeof *grown);
        }
        m->unknown_fields = grown;
    }
    m->unknown_fields[m->n_unknown_fields++] = (ProtobufCMessageUnknownField){
        tag, (ProtobufCWireType)wire_type, n, (uint8_t *)rv_arena_memdup(in->arena, data, n)};
}

/* A number of the wire as the field's type. */
static void set_number(ProtobufCType type, uint64_t number, union rv_wire_value *v) {
    uint32_t low = (uint32_t)number;
    switch (type) {
    case PROTOBUF_C_TYPE_BOOL:
        v->boolean = number != 0;
        return;
    case PROTOBUF_C_TYPE_SINT32:
        v->u32 = low >> 1 ^ -(low & 1);
        return;
    case PROTOBUF_C_TYPE_SINT64:
        v->u64 = number >> 1 ^ -(number & 1);
        return;
    default:
        if (rv_wire_element_size(type) == sizeof low) {
            v->u32 = low;
        } else {
            v->u64 = number;
        }
    }
}

static bool is_known(const ProtobufCFieldDescriptor *f, int value) {
    return protobuf_c_enum_descriptor_get_value((const ProtobufCEnumDescriptor *)f->descriptor,
                                                value) != NULL;
}

static void store(struct rv_wire_in *in, ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                  const union rv_wire_value *v) {
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        rv_wire_append(in, m, f, v);
    } else {
        rv_wire_set(m, f, v);
    }
}

static int read_number(struct rv_wire_in *in, ProtobufCMessage *m, const struct rv_wire_path *path,
                       uint64_t number, struct piece whole) {
    const ProtobufCFieldDescriptor *f = path->field;
    union rv_wire_value v;
    set_number(f->type, number, &v);
    if (f->type == PROTOBUF_C_TYPE_ENUM && !is_known(f, v.i32)) {
        if (f->label == PROTOBUF_C_LABEL_REQUIRED) {
            return rv_wire_fail(in, RV_ERR_INVALID, path, "unknown value %d", v.i32);
        }
        keep_unknown(in, m, f->id, PROTOBUF_C_WIRE_TYPE_VARINT, whole.p,
                     (size_t)(whole.end - whole.p));
        return 0;
    }
    store(in, m, f, &v);
    return 0;
}

static int read_packed(struct rv_wire_in *in, ProtobufCMessage *m, struct rv_wire_path *path,
                       struct piece body) {
    unsigned wire_type = rv_wire_type_of(path->field->type);
    while (body.p < body.end) {
        struct piece whole, element;
        uint64_t number;
        int r = rv_wire_count(in, path);
        if (r < 0) {
            return r;
        }
        if (!read_extent(&body, wire_type, &whole, &element, &number)) {
            return rv_wire_fail(in, RV_ERR_INVALID, path, "cut short");
        }
        if ((r = read_number(in, m, path, number, whole)) < 0) {
            return r;
        }
    }
    return 0;
}

static int read_text(struct rv_wire_in *in, ProtobufCMessage *m, const struct rv_wire_path *path,
                     struct piece body) {
    union rv_wire_value v;
    size_t n = (size_t)(body.end - body.p);
    if (path->field->type == PROTOBUF_C_TYPE_BYTES) {
        v.bytes = (ProtobufCBinaryData){n, (uint8_t *)rv_arena_memdup(in->arena, body.p, n)};
    } else {
        if (memchr(body.p, 0, n)) {
            return rv_wire_fail(in, RV_ERR_INVALID, path, "holds a NUL");
        }
        if (!rv_wire_utf8_valid((const char *)body.p, n)) {
            return rv_wire_fail(in, RV_ERR_INVALID, path, "malformed UTF-8");
        }
        v.string = rv_arena_strndup(in->arena, (const char *)body.p, n);
    }
    store(in, m, path->field, &v);
    return 0;
}

static int read_piece(struct rv_wire_in *in, ProtobufCMessage *m, struct piece piece,
                      const struct rv_wire_path *up, unsigned depth);

static int read_submessage(struct rv_wire_in *in, ProtobufCMessage *m,
                           const struct rv_wire_path *path, struct piece body, unsigned depth) {
    const ProtobufCFieldDescriptor *f = path->field;
    union rv_wire_value v = {.message = NULL};
    if (f->label != PROTOBUF_C_LABEL_REPEATED && rv_wire_has(m, f)) {
        v.message = *(ProtobufCMessage **)rv_wire_member(m, f->offset);
    } else {
        v.message = rv_wire_new(in, (const ProtobufCMessageDescriptor *)f->descriptor);
        store(in, m, f, &v);
        in->maps = in->maps || rv_wire_is_map(f);
    }
    return read_piece(in, v.message, body, path, depth + 1);
}

/* One field after its tag. */
static int read_field(struct rv_wire_in *in, ProtobufCMessage *m, struct rv_wire_path *path,
                      struct piece *rest, unsigned wire_type, unsigned depth) {
    const ProtobufCFieldDescriptor *f = path->field;
    bool repeated = f->label == PROTOBUF_C_LABEL_REPEATED;
    unsigned expected = rv_wire_type_of(f->type);
    struct piece whole, body;
    uint64_t number;
    if (repeated) {
        path->index = *rv_wire_count_of(m, f);
    }
    if (!read_extent(rest, wire_type, &whole, &body, &number)) {
        return rv_wire_fail(in, RV_ERR_INVALID, path, "cut short");
    }
    if (wire_type != expected) {
        return repeated && wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED
                   ? read_packed(in, m, path, body)
                   : rv_wire_fail(in, RV_ERR_INVALID, path, "wrong wire type %u", wire_type);
    }
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        return read_submessage(in, m, path, body, depth);
    }
    if (expected == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) {
        return read_text(in, m, path, body);
    }
    return read_number(in, m, path, number, whole);
}

static int read_piece(struct rv_wire_in *in, ProtobufCMessage *m, struct piece piece,
                      const struct rv_wire_path *up, unsigned depth) {
    const ProtobufCMessageDescriptor *type = m->descriptor;
    if (depth > in->limits->max_depth) {
        return rv_wire_fail(in, RV_ERR_LIMIT, up, "nested deeper than %u", in->limits->max_depth);
    }
    const ProtobufCFieldDescriptor *f = NULL;
    while (piece.p < piece.end) {
        uint64_t tag;
        int r = rv_wire_count(in, up);
        if (r < 0) {
            return r;
        }
        if (!read_varint(&piece, &tag) || tag >> 3 == 0 || tag > UINT32_MAX) {
            return rv_wire_fail(in, RV_ERR_INVALID, up, "bad tag");
        }
        uint32_t id = (uint32_t)tag >> 3;
        unsigned wire_type = (unsigned)tag & 7;
        if (!f || f->id != id) {
            f = protobuf_c_message_descriptor_get_field(type, id);
        }
        if (f) {
            struct rv_wire_path path = {up, f, RV_WIRE_NO_INDEX};
            if ((r = read_field(in, m, &path, &piece, wire_type, depth)) < 0) {
                return r;
            }
            continue;
        }
        struct piece whole, body;
        uint64_t number;
        if (!read_extent(&piece, wire_type, &whole, &body, &number)) {
            return rv_wire_fail(in, RV_ERR_INVALID, up, "unknown field %u: cut short", id);
        }
        keep_unknown(in, m, id, wire_type, whole.p, (size_t)(whole.end - whole.p));
    }
    rv_wire_piece_done(in, m);
    return 0;
}

int rv_wire_pb_in(struct rv_wire_in *in, const ProtobufCMessageDescriptor *type,
                  struct rv_str bytes, ProtobufCMessage **out) {
    static const uint8_t nothing[1];
    const uint8_t *p = bytes.n > 0 ? (const uint8_t *)bytes.s : nothing;
    ProtobufCMessage *m = rv_wire_new(in, type);
    int r = read_piece(in, m, (struct piece){p, p + bytes.n}, NULL, 1);
    if (r == 0) {
        r = rv_wire_finish(in, m);
    }
    if (r == 0) {
        *out = m;
    }
    return r;
}
