/*
 * Errors: a code from one table and a sentence for a person. Functions that can fail return 0 or
 * the negative code, take `struct rv_error *err` last (the caller's, may be NULL) and leave their
 * outputs untouched on failure.
 */
#ifndef RV_BASE_ERROR_H
#define RV_BASE_ERROR_H

#include <stdarg.h>

#define RV_MUST_USE __attribute__((warn_unused_result))
#define RV_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* X(NAME, text) */
#define RV_ERRORS(X)                                                                               \
    X(INVALID, "invalid") /* the input is wrong: say which field */                                \
    X(NOT_FOUND, "not found")                                                                      \
    X(EXISTS, "exists already")                                                                    \
    X(LIMIT, "over a limit") /* too large, too deep, too many */                                   \
    X(IO, "input/output")    /* a system call failed: say which, on what, and errno */             \
    X(PERMISSION, "not permitted")                                                                 \
    X(UNSUPPORTED, "not supported")                                                                \
    X(TIMEOUT, "timed out")                                                                        \
    X(CLOSED, "closed")     /* the peer went away */                                               \
    X(CONFLICT, "conflict") /* the state does not allow it now */                                  \
    X(CORRUPT, "damaged")   /* stored bytes fail their checksum or format */                       \
    X(INTERNAL, "internal")

enum rv_err {
    RV_OK = 0,
#define X(name, text) RV_ERR_##name,
    RV_ERRORS(X)
#undef X
        RV_ERR_MAX
};

struct rv_error {
    enum rv_err code;
    char message[512];
};

const char *rv_err_text(enum rv_err code);

/* Fills err if it is not NULL; returns -code, so that a caller can `return rv_error_set(...)`. */
int rv_error_set(struct rv_error *err, enum rv_err code, const char *format, ...) RV_PRINTF(3, 4);

/* Puts "prefix: " in front of the message. */
void rv_error_prefix(struct rv_error *err, const char *format, ...) RV_PRINTF(2, 3);

#endif
