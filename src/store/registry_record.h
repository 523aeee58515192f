/*
 * A record of the registry: a byte of format version, four of CRC-32C over the rest, and a protobuf
 * message, whose type is told by the key ("agent/ID").
 */
#ifndef RV_STORE_REGISTRY_RECORD_H
#define RV_STORE_REGISTRY_RECORD_H

#include "base/error.h"
#include "wire/codec.h"

/* NULL: this version knows no such record. */
const ProtobufCMessageDescriptor *rv_registry_record_type(const char *key);
/* In the arena. */
struct rv_str rv_registry_record_pack(const ProtobufCMessage *message, struct rv_arena *arena);
/* -RV_ERR_CORRUPT names the record (INV-5). */
RV_MUST_USE int rv_registry_record_unpack(const char *key, struct rv_str value,
                                          struct rv_arena *arena, ProtobufCMessage **out,
                                          struct rv_error *err);

#endif
