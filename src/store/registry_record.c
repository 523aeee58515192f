/* See registry_record.h. A record that does not pass is refused, never taken for empty. */
#include "store/registry_record.h"

#include <string.h>

#include "base/crc.h"
#include "reeve/v1/quota.pb-c.h"
#include "reeve/v1/registry.pb-c.h"

#define FORMAT 1
#define HEAD 5

static const struct {
    const char *prefix;
    const ProtobufCMessageDescriptor *type;
} kinds[] = {
    {"cluster/", &reeve__v1__registry__cluster__descriptor},
    {"agent/", &reeve__v1__registry__agent__descriptor},
    {"unreachable/", &reeve__v1__registry__absence__descriptor},
    {"gone/", &reeve__v1__registry__absence__descriptor},
    {"deactivated/", &reeve__v1__registry__deactivation__descriptor},
    {"framework/", &reeve__v1__registry__framework__descriptor},
    {"ended/", &reeve__v1__registry__absence__descriptor},
    {"weight/", &reeve__v1__registry__weight__descriptor},
    {"quota/", &reeve__v1__quota__quota_config__descriptor},
    {"machine/", &reeve__v1__registry__machine__descriptor},
};

const ProtobufCMessageDescriptor *rv_registry_record_type(const char *key) {
    for (size_t i = 0; i < RV_COUNT(kinds); i++)
        if (rv_starts_with(key, kinds[i].prefix))
            return kinds[i].type;
    return NULL;
}

struct rv_str rv_registry_record_pack(const ProtobufCMessage *message, struct rv_arena *arena) {
    struct rv_buf packed = {0};
    rv_wire_encode(message, RV_ENC_PROTOBUF, &packed);
    uint8_t *record = rv_arena_alloc(arena, packed.n + HEAD);
    uint32_t crc = rv_crc32c(0, packed.data, packed.n);

    record[0] = FORMAT;
    for (int i = 0; i < 4; i++)
        record[1 + i] = (uint8_t)(crc >> (8 * i));
    if (packed.n)
        memcpy(record + HEAD, packed.data, packed.n);
    size_t n = packed.n + HEAD;
    rv_buf_free(&packed);
    return rv_strn(record, n);
}

int rv_registry_record_unpack(const char *key, struct rv_str value, struct rv_arena *arena,
                              ProtobufCMessage **out, struct rv_error *err) {
    const ProtobufCMessageDescriptor *type = rv_registry_record_type(key);
    const uint8_t *p = (const uint8_t *)value.s;
    uint32_t crc = 0;

    if (!type)
        return rv_error_set(err, RV_ERR_CORRUPT,
                            "record %s of the registry: not known to this version", key);
    if (value.n < HEAD || p[0] != FORMAT)
        return rv_error_set(err, RV_ERR_CORRUPT,
                            "record %s of the registry: format %d is not known to this version",
                            key, value.n ? p[0] : -1);
    for (int i = 0; i < 4; i++)
        crc |= (uint32_t)p[1 + i] << (8 * i);
    if (crc != rv_crc32c(0, p + HEAD, value.n - HEAD))
        return rv_error_set(err, RV_ERR_CORRUPT, "record %s of the registry: wrong checksum", key);
    char *copy = rv_arena_memdup(arena, p + HEAD, value.n - HEAD);
    int r =
        rv_wire_decode(type, RV_ENC_PROTOBUF, rv_strn(copy, value.n - HEAD), NULL, arena, out, err);
    if (r)
        rv_error_prefix(err, "record %s of the registry", key);
    return r;
}
