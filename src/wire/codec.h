/*
 * The codec: bytes <-> protobuf-c message trees, in both encodings of the v1 API, driven by the
 * descriptors. One place knows JSON; nothing here knows a particular message.
 *
 * In: the tree lives in the caller's arena. JSON is lenient as real clients need it: `null` is
 * unset, quoted numbers and booleans count, 3.6e+06 is an integer, unknown fields are ignored,
 * bytes are base64 in either alphabet, enums by name or number, "Infinity"/"-Infinity"/"NaN".
 * Unknown protobuf fields are kept in the tree and come out again.
 * Out: strict. JSON is one line, ASCII only (\uXXXX), enums by name, 64-bit integers as numbers,
 * bytes as standard base64, maps as objects; unset fields are left out, set ones never.
 */
#ifndef RV_WIRE_CODEC_H
#define RV_WIRE_CODEC_H

#include <protobuf-c/protobuf-c.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/str.h"

enum rv_encoding { RV_ENC_JSON, RV_ENC_PROTOBUF };

/* "application/json", "application/x-protobuf" */
const char *rv_encoding_media_type(enum rv_encoding e);

/* Limits on what is read; each is a flag of the daemons. */
struct rv_wire_limits {
    size_t max_body;    /* bytes of one message, 8 MiB */
    unsigned max_depth; /* nesting of messages, arrays and objects, 100 */
    size_t max_fields;  /* fields, elements and members in one message tree, 1,000,000 */
};
extern const struct rv_wire_limits rv_wire_default_limits;

/* Decodes and validates: syntax, types, limits, required fields, UTF-8 of strings, no NUL in
 * strings. Errors name the field by its path: "subscribe.framework_info.user: required".
 * Returns 0, or -RV_ERR_INVALID or -RV_ERR_LIMIT. limits may be NULL (the defaults). */
RV_MUST_USE int rv_wire_decode(const ProtobufCMessageDescriptor *type, enum rv_encoding encoding,
                               struct rv_str bytes, const struct rv_wire_limits *limits,
                               struct rv_arena *arena, ProtobufCMessage **out,
                               struct rv_error *err);

/* Appends the encoding of the tree. Cannot fail on a tree whose required fields are set; raw nodes
 * that do not decode as their field's type come out as {} in JSON and as they are in protobuf. */
void rv_wire_encode(const ProtobufCMessage *message, enum rv_encoding encoding, struct rv_buf *out);

/* Packed bytes that stand for a message anywhere in a tree to be encoded: made once, put where a
 * message pointer belongs. In protobuf they go out as they are; in JSON they are decoded as the
 * type of the field. `arena` only holds the node; `bytes` must outlive the encoding. NULL blob
 * gives NULL. */
ProtobufCMessage *rv_wire_raw(struct rv_arena *arena, struct rv_str bytes);
ProtobufCMessage *rv_wire_raw_blob(struct rv_arena *arena, const struct rv_blob *blob);

/* A node whose encoding is that of `head` followed by packed fields of the same type: how fields
 * that the model does not know (rest) are merged back in. rest NULL or empty gives head itself. */
ProtobufCMessage *rv_wire_merged(struct rv_arena *arena, const ProtobufCMessage *head,
                                 const struct rv_blob *rest);

/* The packed protobuf form of a tree, unknown fields included, as a new blob. */
struct rv_blob *rv_wire_pack(const ProtobufCMessage *message);

/* An arena as protobuf-c's allocator, for trees that other code builds. */
ProtobufCAllocator rv_wire_allocator(struct rv_arena *arena);

/* Name of an enum value in a descriptor's table, NULL if there is none. */
const char *rv_wire_enum_name(const ProtobufCEnumDescriptor *type, int value);

#endif
