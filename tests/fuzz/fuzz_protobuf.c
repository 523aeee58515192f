/*
 * Protobuf of any message, see pick_type.h. What decodes must come out in both
 * encodings and decode from them again; bytes must also do as a raw node, whatever they are.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "pick_type.h"
#include "wire/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct rv_str bytes;
    const ProtobufCMessageDescriptor *type = pick_type(data, size, &bytes);
    if (!type) {
        return 0;
    }
    struct rv_arena arena _cleanup_(rv_arena_free);
    struct rv_buf packed _cleanup_(rv_buf_free) = {0};
    struct rv_buf repacked _cleanup_(rv_buf_free) = {0};
    struct rv_buf json _cleanup_(rv_buf_free) = {0};
    struct rv_buf node _cleanup_(rv_buf_free) = {0};
    struct rv_error err;
    ProtobufCMessage *m, *raw;
    rv_arena_init(&arena);
    int r = rv_wire_decode(type, RV_ENC_PROTOBUF, bytes, NULL, &arena, &m, &err);
    RV_ASSERT(r == 0 || err.message[0]);
    RV_ASSERT(arena.total <= 33 * size + ((size_t)2 << 20));

    /* As a node: a head of no fields with these bytes as the rest. */
    raw = rv_wire_raw(&arena, bytes);
    rv_wire_encode(raw, RV_ENC_PROTOBUF, &node);
    RV_ASSERT(rv_str_eq(rv_buf_str(&node), bytes) || bytes.n == 0);
    ProtobufCMessage *head = (ProtobufCMessage *)rv_arena_zalloc(&arena, type->sizeof_message);
    protobuf_c_message_init(type, head);
    struct rv_blob *rest = rv_blob_new(bytes.s, bytes.n);
    rv_buf_clear(&node);
    rv_wire_encode(rv_wire_merged(&arena, head, rest), RV_ENC_JSON, &node);
    rv_blob_unref(rest);

    if (r < 0) {
        return 0;
    }
    rv_wire_encode(m, RV_ENC_JSON, &json);
    rv_wire_encode(m, RV_ENC_PROTOBUF, &packed);
    RV_ASSERT(rv_wire_decode(type, RV_ENC_PROTOBUF, rv_buf_str(&packed), NULL, &arena, &m, &err) ==
              0);
    rv_wire_encode(m, RV_ENC_PROTOBUF, &repacked);
    RV_ASSERT(rv_str_eq(rv_buf_str(&packed), rv_buf_str(&repacked)));
    /* Depth counts arrays too in JSON, so what is very deep may not come back; the rest must. */
    r = rv_wire_decode(type, RV_ENC_JSON, rv_buf_str(&json), NULL, &arena, &m, &err);
    RV_ASSERT(r == 0 || r == -RV_ERR_LIMIT);
    return 0;
}
