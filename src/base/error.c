/* Errors: filling in the caller's struct rv_error. Messages are cut at a whole character. */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

const char *rv_err_text(enum rv_err code) {
    switch (code) {
    case RV_OK:
        return "ok";
#define X(name, text)                                                                              \
    case RV_ERR_##name:                                                                            \
        return text;
        RV_ERRORS(X)
#undef X
    case RV_ERR_MAX:
        break;
    }
    return "unknown";
}

/* Cuts an unfinished UTF-8 sequence off the end of a message that filled its buffer. */
static void trim_partial(char *s, size_t n) {
    size_t start = n, need;
    unsigned char lead;

    while (start > 0 && n - start < 3 && ((unsigned char)s[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0)
        return;
    lead = (unsigned char)s[--start];
    need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (n - start < need)
        s[start] = '\0';
}

static void store(struct rv_error *err, const char *text, int n) {
    size_t size = n < 0 ? 0 : (size_t)n;

    if (size >= sizeof err->message)
        size = sizeof err->message - 1;
    memcpy(err->message, text, size);
    err->message[size] = '\0';
    if (n >= (int)sizeof err->message)
        trim_partial(err->message, size);
}

int rv_error_set(struct rv_error *err, enum rv_err code, const char *format, ...) {
    char text[sizeof err->message]; /* apart: an argument may be err->message itself */
    va_list ap;
    int n;

    if (!err)
        return -(int)code;
    va_start(ap, format);
    n = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    err->code = code;
    store(err, text, n);
    return -(int)code;
}

void rv_error_prefix(struct rv_error *err, const char *format, ...) {
    char text[2 * sizeof err->message + 2];
    size_t rest;
    va_list ap;
    int n;

    if (!err)
        return;
    va_start(ap, format);
    n = vsnprintf(text, sizeof err->message, format, ap);
    va_end(ap);
    if (n < 0)
        return;
    if (n >= (int)sizeof err->message)
        n = (int)sizeof err->message - 1;
    rest = strlen(err->message);
    memcpy(text + n, ": ", 2);
    memcpy(text + n + 2, err->message, rest + 1);
    store(err, text, n + 2 + (int)rest);
}
