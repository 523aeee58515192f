/*
 * JSON of any message, see pick_type.h. What decodes must encode, and the encoding
 * must decode to the same; and the grammar must agree with jansson's, except where jansson gives up
 * on numbers, on names with NUL and on depth.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <jansson.h>

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
    struct rv_buf first _cleanup_(rv_buf_free) = {0};
    struct rv_buf second _cleanup_(rv_buf_free) = {0};
    struct rv_error err;
    ProtobufCMessage *m;
    rv_arena_init(&arena);
    if (rv_wire_decode(type, RV_ENC_JSON, bytes, NULL, &arena, &m, &err) < 0) {
        RV_ASSERT(err.message[0]);
        return 0;
    }
    RV_ASSERT(arena.total <= 33 * size + ((size_t)2 << 20));
    json_error_t json_error;
    json_t *oracle =
        json_loadb(bytes.s, bytes.n, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &json_error);
    enum json_error_code code = oracle ? json_error_unknown : json_error_code(&json_error);
    RV_ASSERT(oracle || code == json_error_numeric_overflow ||
              code == json_error_null_byte_in_key || code == json_error_stack_overflow);
    json_decref(oracle);
    rv_wire_encode(m, RV_ENC_JSON, &first);
    RV_ASSERT(rv_wire_decode(type, RV_ENC_JSON, rv_buf_str(&first), NULL, &arena, &m, &err) == 0);
    rv_wire_encode(m, RV_ENC_JSON, &second);
    RV_ASSERT(rv_str_eq(rv_buf_str(&first), rv_buf_str(&second)));
    return 0;
}
