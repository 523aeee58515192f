/* A name, a newline, a form. What is found is no longer than the form, and has no zero byte. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "wire/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
    struct rv_arena arena _cleanup_(rv_arena_free);
    struct rv_error err = {0};
    struct rv_str form;
    char *value;

    rv_arena_init(&arena);
    if (!newline)
        return 0;
    const char *name = rv_arena_strndup(&arena, (const char *)data, (size_t)(newline - data));
    form = rv_strn(newline + 1, size - (size_t)(newline - data) - 1);
    if (rv_wire_form_value(form, name, &arena, &value, &err) < 0)
        RV_ASSERT(err.message[0]);
    else
        RV_ASSERT(!value || strlen(value) <= form.n);
    return 0;
}
