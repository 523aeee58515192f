/*
 * A tree to protobuf, in one pass: the length of a message is put before it when it is known, which
 * moves the bytes of messages over 127 bytes once per level. Fields come in the order of their
 * numbers, then the unknown ones. A required field that is NULL is left out.
 */
#include "base/assert.h"
#include "wire/tree.h"

#define VARINT_MAX 10

static size_t write_varint(char *out, uint64_t v) {
    size_t n = 0;
    while (v >= 0x80) {
        out[n++] = (char)(v | 0x80);
        v >>= 7;
    }
    out[n++] = (char)v;
    return n;
}

static void put_varint(struct rv_buf *b, uint64_t v) {
    b->n += write_varint(rv_wire_room(b, VARINT_MAX), v);
}

static void put_fixed(struct rv_buf *b, uint64_t v, unsigned n) {
    char *w = rv_wire_room(b, n);
    for (unsigned i = 0; i < n; i++) {
        w[i] = (char)(v >> (8 * i));
    }
    b->n += n;
}

static void put_tag(struct rv_buf *b, uint32_t id, unsigned wire_type) {
    put_varint(b, (uint64_t)id << 3 | wire_type);
}

/* Puts the length of what follows `from` before it. */
static void put_length_at(struct rv_buf *b, size_t from) {
    char length[VARINT_MAX];
    size_t n = b->n - from, size = write_varint(length, n);
    rv_wire_room(b, size);
    memmove(b->data + from + size, b->data + from, n);
    memcpy(b->data + from, length, size);
    b->n += size;
}

static void put_message(struct rv_buf *b, const ProtobufCMessage *m);

static void put_submessage(struct rv_buf *b, const ProtobufCMessage *m) {
    const struct rv_wire_node *node = m ? rv_wire_node_of(m) : NULL;
    if (!m || (node && !node->head)) {
        struct rv_str bytes = node ? node->bytes : (struct rv_str){NULL, 0};
        put_varint(b, bytes.n);
        rv_wire_put(b, bytes.s, bytes.n);
        return;
    }
    /* Most messages are under 128 bytes: their length fits the byte left for it. */
    *rv_wire_room(b, 1) = 0;
    size_t at = b->n++;
    put_message(b, m);
    if (b->n - at - 1 < 0x80) {
        b->data[at] = (char)(b->n - at - 1);
        return;
    }
    size_t n = b->n - at - 1;
    char length[VARINT_MAX];
    size_t size = write_varint(length, n);
    rv_wire_room(b, size);
    memmove(b->data + at + size, b->data + at + 1, n);
    memcpy(b->data + at, length, size);
    b->n += size - 1;
}

static void put_number(struct rv_buf *b, ProtobufCType type, const void *p) {
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM:
        put_varint(b, (uint64_t)(int64_t) * (const int32_t *)p);
        return;
    case PROTOBUF_C_TYPE_SINT32: {
        uint32_t v = *(const uint32_t *)p;
        put_varint(b, v << 1 ^ -(v >> 31));
        return;
    }
    case PROTOBUF_C_TYPE_UINT32:
        put_varint(b, *(const uint32_t *)p);
        return;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        put_varint(b, *(const uint64_t *)p);
        return;
    case PROTOBUF_C_TYPE_SINT64: {
        uint64_t v = *(const uint64_t *)p;
        put_varint(b, v << 1 ^ -(v >> 63));
        return;
    }
    case PROTOBUF_C_TYPE_BOOL:
        put_varint(b, *(const protobuf_c_boolean *)p != 0);
        return;
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        put_fixed(b, *(const uint32_t *)p, 4);
        return;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        put_fixed(b, *(const uint64_t *)p, 8);
        return;
    default:
        RV_UNREACHABLE();
    }
}

static void put_value(struct rv_buf *b, const ProtobufCFieldDescriptor *f, const void *p) {
    put_tag(b, f->id, rv_wire_type_of(f->type));
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        put_submessage(b, *(ProtobufCMessage *const *)p);
    } else if (f->type == PROTOBUF_C_TYPE_STRING) {
        const char *s = *(char *const *)p;
        size_t n = s ? strlen(s) : 0;
        put_varint(b, n);
        rv_wire_put(b, s, n);
    } else if (f->type == PROTOBUF_C_TYPE_BYTES) {
        const ProtobufCBinaryData *bytes = (const ProtobufCBinaryData *)p;
        put_varint(b, bytes->len);
        rv_wire_put(b, bytes->data, bytes->len);
    } else {
        put_number(b, f->type, p);
    }
}

static void put_repeated(struct rv_buf *b, const ProtobufCFieldDescriptor *f, const char *items,
                         size_t n) {
    size_t size = rv_wire_element_size(f->type);
    if (!(f->flags & PROTOBUF_C_FIELD_FLAG_PACKED)) {
        for (size_t i = 0; i < n; i++) {
            put_value(b, f, items + i * size);
        }
        return;
    }
    put_tag(b, f->id, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED);
    size_t from = b->n;
    for (size_t i = 0; i < n; i++) {
        put_number(b, f->type, items + i * size);
    }
    put_length_at(b, from);
}

static void put_message(struct rv_buf *b, const ProtobufCMessage *m) {
    const struct rv_wire_node *node = rv_wire_node_of(m);
    if (node) {
        if (node->head) {
            put_message(b, node->head);
        }
        rv_wire_put(b, node->bytes.s, node->bytes.n);
        return;
    }
    const ProtobufCMessageDescriptor *type = m->descriptor;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &type->fields[i];
        const void *p = rv_wire_member(m, f->offset);
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n = *rv_wire_count_of(m, f);
            if (n > 0) {
                put_repeated(b, f, *(const char *const *)p, n);
            }
        } else if (rv_wire_has(m, f)) {
            put_value(b, f, p);
        }
    }
    for (unsigned i = 0; i < m->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *u = &m->unknown_fields[i];
        put_tag(b, u->tag, u->wire_type);
        rv_wire_put(b, u->data, u->len);
    }
}

void rv_wire_pb_out(const ProtobufCMessage *m, struct rv_buf *out) {
    put_message(out, m);
    *rv_wire_room(out, 0) = '\0';
}
