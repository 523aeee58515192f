/*
 * Fuzz inputs of messages: the type's name, a newline, the message. Seeds are readable and outlive
 * changes of the messages; a name that no type has (mutations make them) stands for some type.
 */
#ifndef RV_FUZZ_PICK_TYPE_H
#define RV_FUZZ_PICK_TYPE_H

#include "base/str.h"
#include "reeve/v1/descriptors.h"

static inline const ProtobufCMessageDescriptor *pick_type(const uint8_t *data, size_t size,
                                                          struct rv_str *message) {
    const uint8_t *newline = (const uint8_t *)memchr(data, '\n', size);
    if (!newline) {
        return NULL;
    }
    struct rv_str name = rv_strn(data, (size_t)(newline - data));
    *message = rv_strn(newline + 1, size - name.n - 1);
    for (size_t i = 0; i < rv_proto_n_descriptors; i++) {
        if (rv_str_eq(rv_str(rv_proto_descriptors[i]->name), name)) {
            return rv_proto_descriptors[i];
        }
    }
    return rv_proto_descriptors[rv_hash(name.s, name.n) % rv_proto_n_descriptors];
}

#endif
