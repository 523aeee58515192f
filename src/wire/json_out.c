/*
 * A tree to JSON, straight into the buffer: one line, ASCII only, fields in the order of their
 * numbers. Room is reserved once per piece, so that the writing itself is plain stores.
 *
 * Nothing is allocated but the buffer, and an arena while raw or merged nodes are decoded.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "wire/tree.h"

struct json_out {
    struct rv_buf *b;
    struct rv_arena scratch; /* of the raw node being written */
};

static void put_char(struct rv_buf *b, char c) {
    *rv_wire_room(b, 1) = c;
    b->n++;
}

static size_t put_hex4(char *out, uint32_t unit) {
    static const char hex[] = "0123456789abcdef";
    memcpy(out, "\\u", 2);
    for (int i = 0; i < 4; i++) {
        out[2 + i] = hex[unit >> (12 - 4 * i) & 15];
    }
    return 6;
}

/* The character at s as an escape; returns how many bytes of s that was. What is not UTF-8 becomes
 * U+FFFD byte by byte: trees of ours may hold it, the wire must not. */
static size_t put_escape(struct rv_buf *b, const char *s, size_t n) {
    char *w = rv_wire_room(b, 12);
    const char *name = *s ? strchr("\"\"\\\\\nn\rr\tt\bb\ff", *s) : NULL;
    if (name) {
        w[0] = '\\';
        w[1] = *s == '"' || *s == '\\' ? *s : name[1];
        b->n += 2;
        return 1;
    }
    uint32_t code;
    size_t size = rv_wire_utf8_next(s, n, &code);
    if (size == 0) {
        code = 0xfffd;
        size = 1;
    }
    if (code >= 0x10000) {
        code -= 0x10000;
        b->n += put_hex4(w, 0xd800 + (code >> 10));
        b->n += put_hex4(w + 6, 0xdc00 + (code & 0x3ff));
    } else {
        b->n += put_hex4(w, code);
    }
    return size;
}

/* Whether one of eight bytes is a control character, a quote, a backslash or not ASCII. */
static bool any_special(uint64_t eight) {
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones * 0x80;
    uint64_t quote = eight ^ ones * '"', backslash = eight ^ ones * '\\';
    uint64_t delete = eight ^ ones * 0x7f;
    return ((eight | (eight - ones * 0x20) | (quote - ones) | (backslash - ones) |
             (delete - ones)) &
            high) != 0;
}

static bool is_special(char c) {
    unsigned char u = (unsigned char)c;
    return u < 0x20 || u >= 0x7f || u == '"' || u == '\\';
}

static void put_string(struct rv_buf *b, const char *s, size_t n) {
    char *w = rv_wire_room(b, n + 2);
    *w++ = '"';
    size_t i = 0;
    for (;;) {
        uint64_t eight;
        while (n - i >= sizeof eight) {
            memcpy(&eight, s + i, sizeof eight);
            if (any_special(eight)) {
                break;
            }
            memcpy(w, &eight, sizeof eight);
            w += sizeof eight;
            i += sizeof eight;
        }
        while (i < n && !is_special(s[i])) {
            *w++ = s[i++];
        }
        b->n = (size_t)(w - b->data);
        if (i == n) {
            break;
        }
        i += put_escape(b, s + i, n - i);
        w = rv_wire_room(b, n - i + 1);
    }
    *w = '"';
    b->n++;
}

static void put_real(struct rv_buf *b, double d) {
    if (isnan(d)) {
        rv_wire_put(b, "\"NaN\"", 5);
    } else if (isinf(d)) {
        rv_buf_puts(b, d > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    } else {
        b->n += rv_wire_put_double(rv_wire_room(b, RV_WIRE_NUMBER_MAX), d);
    }
}

/* A float's own shortest decimal: 0.1f is "0.1", not 0.10000000149011612. */
static void put_float(struct rv_buf *b, float f) {
    double d = (double)f;
    if (isfinite(f)) {
        char text[RV_WIRE_NUMBER_MAX];
        for (int precision = 6; precision <= 9; precision++) {
            (void)snprintf(text, sizeof text, "%.*g", precision, d);
            if (strtof(text, NULL) == f) {
                d = strtod(text, NULL);
                break;
            }
        }
    }
    put_real(b, d);
}

static void put_bytes(struct rv_buf *b, const ProtobufCBinaryData *bytes) {
    size_t n = rv_base64_encoded_size(bytes->len);
    char *w = rv_wire_room(b, n + 2);
    w[0] = '"';
    rv_base64_encode(bytes->data, bytes->len, w + 1);
    w[n + 1] = '"';
    b->n += n + 2;
}

static void put_message(struct json_out *o, const ProtobufCMessage *m,
                        const ProtobufCMessageDescriptor *as);

static void put_value(struct json_out *o, const ProtobufCFieldDescriptor *f, const void *p) {
    struct rv_buf *b = o->b;
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        b->n += rv_wire_put_i64(rv_wire_room(b, RV_WIRE_NUMBER_MAX), *(const int32_t *)p);
        return;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        b->n += rv_wire_put_i64(rv_wire_room(b, RV_WIRE_NUMBER_MAX), *(const int64_t *)p);
        return;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        b->n += rv_put_u64(rv_wire_room(b, RV_WIRE_NUMBER_MAX), *(const uint32_t *)p);
        return;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        b->n += rv_put_u64(rv_wire_room(b, RV_WIRE_NUMBER_MAX), *(const uint64_t *)p);
        return;
    case PROTOBUF_C_TYPE_FLOAT:
        put_float(b, *(const float *)p);
        return;
    case PROTOBUF_C_TYPE_DOUBLE:
        put_real(b, *(const double *)p);
        return;
    case PROTOBUF_C_TYPE_BOOL:
        rv_buf_puts(b, *(const protobuf_c_boolean *)p ? "true" : "false");
        return;
    case PROTOBUF_C_TYPE_ENUM: {
        const char *name =
            rv_wire_enum_name((const ProtobufCEnumDescriptor *)f->descriptor, *(const int *)p);
        if (name) {
            put_string(b, name, strlen(name));
        } else {
            b->n += rv_wire_put_i64(rv_wire_room(b, RV_WIRE_NUMBER_MAX), *(const int *)p);
        }
        return;
    }
    case PROTOBUF_C_TYPE_STRING: {
        const char *s = *(char *const *)p;
        put_string(b, s ? s : "", s ? strlen(s) : 0);
        return;
    }
    case PROTOBUF_C_TYPE_BYTES:
        put_bytes(b, (const ProtobufCBinaryData *)p);
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        put_message(o, *(ProtobufCMessage *const *)p,
                    (const ProtobufCMessageDescriptor *)f->descriptor);
        return;
    }
    RV_UNREACHABLE();
}

static void put_array(struct json_out *o, const ProtobufCFieldDescriptor *f, const char *items,
                      size_t n) {
    size_t size = rv_wire_element_size(f->type);
    put_char(o->b, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            put_char(o->b, ',');
        }
        put_value(o, f, items + i * size);
    }
    put_char(o->b, ']');
}

/* A raw or merged node as a tree, in the scratch arena; NULL if it is none of the type. Decoded
 * trees hold no nodes, so the scratch arena is never needed twice. */
static const ProtobufCMessage *resolve(struct json_out *o, const ProtobufCMessage *m,
                                       const ProtobufCMessageDescriptor *as) {
    struct rv_buf packed _cleanup_(rv_buf_free) = {0};
    struct rv_str bytes = rv_wire_node_of(m)->bytes;
    ProtobufCMessage *tree;
    if (rv_wire_node_of(m)->head) {
        rv_wire_pb_out(m, &packed);
        bytes = rv_buf_str(&packed);
    }
    return as && rv_wire_pb_in_lax(as, bytes, &o->scratch, &tree) == 0 ? tree : NULL;
}

static void put_entry(struct json_out *o, const ProtobufCMessage *entry) {
    const ProtobufCFieldDescriptor *key = &entry->descriptor->fields[0], *value = key + 1;
    bool bare = key->type != PROTOBUF_C_TYPE_STRING;
    if (bare) {
        put_char(o->b, '"');
    }
    put_value(o, key, rv_wire_member(entry, key->offset));
    rv_buf_puts(o->b, bare ? "\":" : ":");
    put_value(o, value, rv_wire_member(entry, value->offset));
}

static void put_map(struct json_out *o, const ProtobufCFieldDescriptor *f,
                    const ProtobufCMessage *const *entries, size_t n) {
    char before = '{';
    for (size_t i = 0; i < n; i++) {
        bool node = rv_wire_node_of(entries[i]) != NULL;
        const ProtobufCMessage *entry =
            node ? resolve(o, entries[i], (const ProtobufCMessageDescriptor *)f->descriptor)
                 : entries[i];
        if (entry) {
            put_char(o->b, before);
            before = ',';
            put_entry(o, entry);
        }
        if (node) {
            rv_arena_reset(&o->scratch);
        }
    }
    if (before == '{') {
        put_char(o->b, '{');
    }
    put_char(o->b, '}');
}

static void put_message(struct json_out *o, const ProtobufCMessage *m,
                        const ProtobufCMessageDescriptor *as) {
    struct rv_buf *b = o->b;
    bool node = m && rv_wire_node_of(m);
    if (node) {
        m = resolve(o, m, as);
    }
    if (!m) {
        rv_wire_put(b, "{}", 2);
        return;
    }
    const ProtobufCMessageDescriptor *type = m->descriptor;
    char before = '{';
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &type->fields[i];
        bool repeated = f->label == PROTOBUF_C_LABEL_REPEATED;
        size_t n = repeated ? *rv_wire_count_of(m, f) : rv_wire_has(m, f);
        if (n == 0) {
            continue;
        }
        size_t length = strlen(f->name);
        char *w = rv_wire_room(b, length + 4);
        w[0] = before;
        w[1] = '"';
        memcpy(w + 2, f->name, length);
        memcpy(w + 2 + length, "\":", 2);
        b->n += length + 4;
        before = ',';
        const void *p = rv_wire_member(m, f->offset);
        if (!repeated) {
            put_value(o, f, p);
        } else if (rv_wire_is_map(f)) {
            put_map(o, f, *(const ProtobufCMessage *const *const *)p, n);
        } else {
            put_array(o, f, *(const char *const *)p, n);
        }
    }
    if (before == '{') {
        put_char(b, '{');
    }
    put_char(b, '}');
    if (node) {
        rv_arena_reset(&o->scratch);
    }
}

void rv_wire_json_out(const ProtobufCMessage *m, struct rv_buf *out) {
    struct json_out o = {.b = out};
    rv_arena_init(&o.scratch);
    const ProtobufCMessage *typed = m;
    while (typed && rv_wire_node_of(typed)) {
        typed = rv_wire_node_of(typed)->head;
    }
    put_message(&o, m, typed ? typed->descriptor : NULL);
    *rv_wire_room(out, 0) = '\0';
    rv_arena_free(&o.scratch);
}
