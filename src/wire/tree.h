/*
 * What the two decoders share, private to the codec: the state of one decode, paths for errors, and
 * how a field of a protobuf-c message is set, cleared and asked for by its descriptor.
 *
 * Messages made by rv_wire_new have hidden words behind the struct: a bit for each field that was
 * set. They exist because protobuf-c has no presence of required scalars, and because a message
 * that comes in pieces can be judged only when all pieces are there.
 */
#ifndef RV_WIRE_TREE_H
#define RV_WIRE_TREE_H

#include "wire/codec.h"

#define RV_WIRE_NO_INDEX SIZE_MAX

/* Where we are: a chain on the stack, from the field up to the root. */
struct rv_wire_path {
    const struct rv_wire_path *up;
    const ProtobufCFieldDescriptor *field;
    size_t index; /* of the element, RV_WIRE_NO_INDEX outside arrays */
};

/* One decode. */
struct rv_wire_in {
    const struct rv_wire_limits *limits;
    struct rv_arena *arena;
    struct rv_error *err;
    size_t arena_max; /* over this total of the arena the decode ends */
    size_t n_fields;  /* seen so far */
    bool incomplete;  /* a message lacked a required field when its piece ended */
    bool maps;        /* there is a map: keys may repeat */
    bool lax;         /* required fields may be missing */
};

/* The value of one field or element; the member is at offset 0, as the element is in memory. */
union rv_wire_value {
    int32_t i32;
    uint32_t u32;
    int64_t i64;
    uint64_t u64;
    float f;
    double d;
    protobuf_c_boolean boolean;
    char *string;
    ProtobufCBinaryData bytes;
    ProtobufCMessage *message;
};

/* Sets the error, "path: text", and returns -code. path may be NULL. */
int rv_wire_fail(struct rv_wire_in *in, enum rv_err code, const struct rv_wire_path *path,
                 const char *format, ...) RV_PRINTF(4, 5);
/* Counts one more field, element or member against the limit, and looks at the arena's budget. */
RV_MUST_USE int rv_wire_count(struct rv_wire_in *in, const struct rv_wire_path *path);

/* A new message with its defaults. */
ProtobufCMessage *rv_wire_new(struct rv_wire_in *in, const ProtobufCMessageDescriptor *type);
/* A message, or one piece of it, has ended. */
void rv_wire_piece_done(struct rv_wire_in *in, const ProtobufCMessage *m);
/* The whole tree is there: checks required fields, removes repeated keys of maps (the last one
 * wins) and completes their entries. Walks only if a piece showed that there is something to do. */
RV_MUST_USE int rv_wire_finish(struct rv_wire_in *in, ProtobufCMessage *root);

/* Bytes of one element of the type in memory. */
size_t rv_wire_element_size(ProtobufCType type);
/* The protobuf wire type of one element of the type, packed arrays aside. */
unsigned rv_wire_type_of(ProtobufCType type);
/* Sets a singular field. In a oneof the member set before is gone. */
void rv_wire_set(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                 const union rv_wire_value *v);
/* Appends to a repeated field; the array doubles, in the arena. */
void rv_wire_append(struct rv_wire_in *in, ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                    const union rv_wire_value *v);
/* Back to unset. */
void rv_wire_clear(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f);

/* Whether the field is a map: protobuf-c shows it as a repeated message XEntry {key, value}. */
bool rv_wire_is_map(const ProtobufCFieldDescriptor *f);

/* Well-formed UTF-8: no overlong forms, no surrogates, nothing over U+10FFFF. */
bool rv_wire_utf8_valid(const char *s, size_t n);
/* One character at s, which has n > 0 bytes: sets *code and returns its size, 0 if malformed. */
size_t rv_wire_utf8_next(const char *s, size_t n, uint32_t *code);

static inline void *rv_wire_member(const ProtobufCMessage *m, unsigned offset) {
    return (char *)(uintptr_t)m + offset;
}
static inline size_t *rv_wire_count_of(const ProtobufCMessage *m,
                                       const ProtobufCFieldDescriptor *f) {
    return (size_t *)rv_wire_member(m, f->quantifier_offset);
}
static inline bool rv_wire_is_oneof(const ProtobufCFieldDescriptor *f) {
    return (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}
static inline bool rv_wire_is_pointer(const ProtobufCFieldDescriptor *f) {
    return f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE;
}

/* Room for n bytes and a final NUL; where to write them. */
static inline char *rv_wire_room(struct rv_buf *b, size_t n) {
    if (b->cap - b->n <= n) {
        rv_buf_reserve(b, n + 1);
    }
    return b->data + b->n;
}
static inline void rv_wire_put(struct rv_buf *b, const void *p, size_t n) {
    char *w = rv_wire_room(b, n);
    if (n > 0) {
        memcpy(w, p, n);
    }
    b->n += n;
}

/* Whether a singular field is set. A string that is its own default by address is not. */
static inline bool rv_wire_has(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f) {
    if (rv_wire_is_oneof(f) &&
        *(const uint32_t *)rv_wire_member(m, f->quantifier_offset) != f->id) {
        return false;
    }
    if (rv_wire_is_pointer(f)) {
        const void *p = *(void *const *)rv_wire_member(m, f->offset);
        return p && (p != f->default_value || f->label == PROTOBUF_C_LABEL_REQUIRED);
    }
    return f->label == PROTOBUF_C_LABEL_REQUIRED || rv_wire_is_oneof(f) ||
           *(const protobuf_c_boolean *)rv_wire_member(m, f->quantifier_offset) != 0;
}

/* The decoders. */
RV_MUST_USE int rv_wire_json_in(struct rv_wire_in *in, const ProtobufCMessageDescriptor *type,
                                struct rv_str bytes, ProtobufCMessage **out);
RV_MUST_USE int rv_wire_pb_in(struct rv_wire_in *in, const ProtobufCMessageDescriptor *type,
                              struct rv_str bytes, ProtobufCMessage **out);
/* As rv_wire_decode of protobuf bytes, but missing required fields are let through. */
RV_MUST_USE int rv_wire_pb_in_lax(const ProtobufCMessageDescriptor *type, struct rv_str bytes,
                                  struct rv_arena *arena, ProtobufCMessage **out);
/* The encoders. */
void rv_wire_json_out(const ProtobufCMessage *m, struct rv_buf *out);
void rv_wire_pb_out(const ProtobufCMessage *m, struct rv_buf *out);

/* Nodes that stand for a message: told by their descriptor, see codec.h. */
struct rv_wire_node {
    ProtobufCMessage base;
    const ProtobufCMessage *head; /* NULL in raw nodes */
    struct rv_str bytes;
};
extern const ProtobufCMessageDescriptor rv_wire_raw_descriptor, rv_wire_merged_descriptor;
static inline const struct rv_wire_node *rv_wire_node_of(const ProtobufCMessage *m) {
    return m->descriptor == &rv_wire_raw_descriptor || m->descriptor == &rv_wire_merged_descriptor
               ? (const struct rv_wire_node *)(const void *)m
               : NULL;
}

/* Numbers as text. Enough room for any double or 64-bit integer: */
#define RV_WIRE_NUMBER_MAX 40
size_t rv_wire_put_i64(char *out, int64_t v);
/* The shortest decimal that reads back as the same double, with a point or an exponent; d is
 * finite. */
size_t rv_wire_put_double(char *out, double d);
/* The length of the JSON number that s begins with, 0 if there is none. */
size_t rv_wire_scan_number(const char *s, size_t n);
/* `s` is a JSON number. False if it is not in the type's range or not an integer. */
bool rv_wire_read_integer(struct rv_str s, bool *negative, uint64_t *magnitude);
bool rv_wire_read_double(struct rv_str s, double *out);

#endif
