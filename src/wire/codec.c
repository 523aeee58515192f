/*
 * The codec's entry points and the nodes that stand for messages. See codec.h; the work is done in
 * json_in.c, json_out.c, pb_in.c, pb_out.c on top of tree.c.
 *
 * A decode may use of the arena what the input earns it: ARENA_PER_BYTE for each byte and
 * ARENA_FREE, which small messages with large structs need. So a body of two-byte messages cannot
 * take hundreds of times its size.
 */
#include "wire/codec.h"

#include "wire/tree.h"

#define ARENA_PER_BYTE 32
#define ARENA_FREE ((size_t)1 << 20)

const struct rv_wire_limits rv_wire_default_limits = {
    .max_body = (size_t)8 << 20,
    .max_depth = 100,
    .max_fields = 1000000,
};

const ProtobufCMessageDescriptor rv_wire_raw_descriptor = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .name = "(raw)",
    .short_name = "(raw)",
    .c_name = "",
    .package_name = "",
    .sizeof_message = sizeof(struct rv_wire_node),
};

const ProtobufCMessageDescriptor rv_wire_merged_descriptor = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .name = "(merged)",
    .short_name = "(merged)",
    .c_name = "",
    .package_name = "",
    .sizeof_message = sizeof(struct rv_wire_node),
};

const char *rv_encoding_media_type(enum rv_encoding e) {
    return e == RV_ENC_JSON ? "application/json" : "application/x-protobuf";
}

static struct rv_wire_in in_new(const struct rv_wire_limits *limits, size_t n,
                                struct rv_arena *arena, struct rv_error *err) {
    return (struct rv_wire_in){
        .limits = limits,
        .arena = arena,
        .err = err,
        .arena_max = arena->total + ARENA_FREE + ARENA_PER_BYTE * n,
    };
}

int rv_wire_decode(const ProtobufCMessageDescriptor *type, enum rv_encoding encoding,
                   struct rv_str bytes, const struct rv_wire_limits *limits, struct rv_arena *arena,
                   ProtobufCMessage **out, struct rv_error *err) {
    if (!limits) {
        limits = &rv_wire_default_limits;
    }
    struct rv_wire_in in = in_new(limits, bytes.n, arena, err);
    if (bytes.n > limits->max_body) {
        return rv_wire_fail(&in, RV_ERR_LIMIT, NULL, "message of %zu bytes, %zu allowed", bytes.n,
                            limits->max_body);
    }
    return encoding == RV_ENC_JSON ? rv_wire_json_in(&in, type, bytes, out)
                                   : rv_wire_pb_in(&in, type, bytes, out);
}

int rv_wire_pb_in_lax(const ProtobufCMessageDescriptor *type, struct rv_str bytes,
                      struct rv_arena *arena, ProtobufCMessage **out) {
    struct rv_wire_in in = in_new(&rv_wire_default_limits, bytes.n, arena, NULL);
    in.lax = true;
    return rv_wire_pb_in(&in, type, bytes, out);
}

void rv_wire_encode(const ProtobufCMessage *message, enum rv_encoding encoding,
                    struct rv_buf *out) {
    if (encoding == RV_ENC_JSON) {
        rv_wire_json_out(message, out);
    } else {
        rv_wire_pb_out(message, out);
    }
}

static ProtobufCMessage *node_new(struct rv_arena *arena, const ProtobufCMessageDescriptor *type,
                                  const ProtobufCMessage *head, struct rv_str bytes) {
    struct rv_wire_node *node = RV_ARENA_NEW(arena, struct rv_wire_node);
    node->base.descriptor = type;
    node->head = head;
    node->bytes = bytes;
    return &node->base;
}

ProtobufCMessage *rv_wire_raw(struct rv_arena *arena, struct rv_str bytes) {
    return node_new(arena, &rv_wire_raw_descriptor, NULL, bytes);
}

ProtobufCMessage *rv_wire_raw_blob(struct rv_arena *arena, const struct rv_blob *blob) {
    return blob ? rv_wire_raw(arena, rv_strn(blob->data, blob->n)) : NULL;
}

ProtobufCMessage *rv_wire_merged(struct rv_arena *arena, const ProtobufCMessage *head,
                                 const struct rv_blob *rest) {
    if (!rest || rest->n == 0) {
        return (ProtobufCMessage *)(uintptr_t)head;
    }
    return node_new(arena, &rv_wire_merged_descriptor, head, rv_strn(rest->data, rest->n));
}

struct rv_blob *rv_wire_pack(const ProtobufCMessage *message) {
    struct rv_buf b _cleanup_(rv_buf_free) = {0};
    rv_wire_pb_out(message, &b);
    return rv_blob_new(b.data, b.n);
}

static void *arena_alloc(void *arena, size_t size) {
    return rv_arena_alloc((struct rv_arena *)arena, size);
}

static void arena_keep(void *arena, void *pointer) {
    (void)arena;
    (void)pointer;
}

ProtobufCAllocator rv_wire_allocator(struct rv_arena *arena) {
    return (ProtobufCAllocator){arena_alloc, arena_keep, arena};
}

const char *rv_wire_enum_name(const ProtobufCEnumDescriptor *type, int value) {
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(type, value);
    return v ? v->name : NULL;
}
