/* Small things that the shells and the helpers share. */
#ifndef RV_FRAMEWORK_INTERNAL_H
#define RV_FRAMEWORK_INTERNAL_H

#include <stdint.h>

#include "framework/reeve.h"

void rv_framework_error(struct reeve_error *err, int code, const char *message);

/* protobuf-c's structs have no const pointers, also in messages that are only read. */
static inline void *rv_unconst(const void *p) {
    return (void *)(uintptr_t)p;
}

#endif
