/* A pattern, a newline, a text. Nothing may take long or leave anything behind. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "model/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *pattern = rv_strndup((const char *)data, size);
    char *text = strchr(pattern, '\n');
    if (text)
        *text++ = '\0';
    struct rv_regex *r = NULL;
    struct rv_error err = {0};
    if (rv_regex_compile(pattern, &r, &err) == 0)
        (void)rv_regex_matches_all(r, text ? text : "");
    else
        RV_ASSERT(err.message[0] && !r);
    rv_regex_free(r);
    free(pattern);
    return 0;
}
