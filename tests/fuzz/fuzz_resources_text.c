/*
 * Resources and attributes as people write them. Whatever is accepted must be well-formed and come
 * back equal from its own text; whatever is refused must be refused with a sentence.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "model/attributes.h"
#include "model/resources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_resources(const char *text, const char *default_role) {
    _cleanup_(rv_resources_free) struct rv_resources r = {0}, back = {0};
    _cleanup_(rv_buf_free) struct rv_buf b = {0};
    struct rv_error err = {0};
    if (rv_resources_parse(text, default_role, &r, &err) != 0) {
        RV_ASSERT(err.code == RV_ERR_INVALID && err.message[0] && r.n == 0);
        return;
    }
    /* Only names that have a type of their own can still be wrong. */
    if (rv_resources_validate(&r, &err) != 0) {
        RV_ASSERT(err.message[0]);
    }
    rv_buf_puts(&b, "");
    rv_resources_format(&r, &b);
    RV_ASSERT(rv_resources_parse(b.data, NULL, &back, &err) == 0);
    RV_ASSERT(rv_resources_eq(&r, &back));
    RV_ASSERT(rv_resources_contains(&r, &back));
    rv_resources_subtract(&r, &back);
    RV_ASSERT(rv_resources_empty(&r));
}

static void try_attributes(const char *text) {
    _cleanup_(rv_attributes_free) struct rv_attributes a = {0}, back = {0};
    _cleanup_(rv_buf_free) struct rv_buf b = {0};
    struct rv_error err = {0};
    if (rv_attributes_parse(text, &a, &err) != 0) {
        RV_ASSERT(err.code == RV_ERR_INVALID && err.message[0] && a.n == 0);
        return;
    }
    rv_buf_puts(&b, "");
    rv_attributes_format(&a, &b);
    RV_ASSERT(rv_attributes_parse(b.data, &back, &err) == 0);
    RV_ASSERT(rv_attributes_eq(&a, &back));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_free_ char *text = rv_strndup((const char *)data, size);
    try_resources(text, NULL);
    try_resources(text, "a/b");
    try_attributes(text);
    return 0;
}
