/* Slices, growing byte buffers, reference-counted blobs, and small helpers on C strings. */
#ifndef RV_BASE_STR_H
#define RV_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

/* A borrowed slice of bytes; not NUL-terminated. */
struct rv_str {
    const char *s;
    size_t n;
};

#define RV_STR(literal) ((struct rv_str){(literal), sizeof(literal) - 1})
static inline struct rv_str rv_str(const char *s) {
    return (struct rv_str){s, s ? strlen(s) : 0};
}
static inline struct rv_str rv_strn(const void *s, size_t n) {
    return (struct rv_str){(const char *)s, n};
}
bool rv_str_eq(struct rv_str a, struct rv_str b);
/* NULL equals only NULL. */
bool rv_streq(const char *a, const char *b);
bool rv_starts_with(const char *s, const char *prefix);
bool rv_ends_with(const char *s, const char *suffix);

/* A growing buffer of bytes. Zero-initialised is empty. Always has a NUL after its content once
 * anything was appended (not counted in n). */
struct rv_buf {
    char *data;
    size_t n, cap;
};

void rv_buf_free(struct rv_buf *b); /* also for _cleanup_; leaves it empty and usable */
void rv_buf_reserve(struct rv_buf *b, size_t more);
void rv_buf_append(struct rv_buf *b, const void *data, size_t n);
void rv_buf_puts(struct rv_buf *b, const char *s);
void rv_buf_putc(struct rv_buf *b, char c);
void rv_buf_printf(struct rv_buf *b, const char *format, ...) RV_PRINTF(2, 3);
#define RV_U64_DIGITS 20
/* Decimal; up to RV_U64_DIGITS characters without an end, gives their number. */
size_t rv_put_u64(char *out, uint64_t v);
void rv_buf_put_u64(struct rv_buf *b, uint64_t v);
void rv_buf_put_i64(struct rv_buf *b, int64_t v);
void rv_buf_clear(struct rv_buf *b);             /* n = 0, keeps the memory */
void rv_buf_consume(struct rv_buf *b, size_t n); /* drops the first n bytes */
char *rv_buf_take(struct rv_buf *b, size_t *n);  /* the caller frees; NUL-terminated */
static inline struct rv_str rv_buf_str(const struct rv_buf *b) {
    return (struct rv_str){b->data, b->n};
}

/* Immutable bytes shared by reference count. Not for more than one thread. NULL is "none". */
struct rv_blob {
    uint32_t refs;
    uint32_t n;
    uint8_t data[];
};

struct rv_blob *rv_blob_new(const void *data, size_t n);
struct rv_blob *rv_blob_ref(const struct rv_blob *b); /* NULL gives NULL */
void rv_blob_unref(struct rv_blob *b);                /* NULL is fine */
bool rv_blob_eq(const struct rv_blob *a, const struct rv_blob *b);

int rv_hex_digit(char c); /* its value, -1: it is none */

/* 64-bit hash of bytes, the same on every machine and run. */
uint64_t rv_hash(const void *data, size_t n);

/* Strict number parsing: the whole string, no blanks, range-checked. */
RV_MUST_USE int rv_parse_i64(const char *s, int64_t min, int64_t max, int64_t *out);
RV_MUST_USE int rv_parse_u64(const char *s, uint64_t max, uint64_t *out);
RV_MUST_USE int rv_parse_double(const char *s, double *out); /* finite only; C locale */
/* "10secs", "1.5mins", "500ms", "2hrs", "1days", "3weeks", "100us", "5ns" -> nanoseconds, the
 * spelling of the peer's flags; also "10s", "5m", "2h". */
RV_MUST_USE int rv_parse_duration_ns(const char *s, int64_t *out);
void rv_format_duration(int64_t ns, char out[32]); /* "1.5mins" */
/* "512MB", "1GB", "64KB", "10B" -> bytes. */
RV_MUST_USE int rv_parse_bytes(const char *s, uint64_t *out);

size_t rv_base64_encoded_size(size_t n);                      /* without NUL */
void rv_base64_encode(const void *data, size_t n, char *out); /* writes no NUL */
/* Standard or URL alphabet, padding optional. Returns the size, or -RV_ERR_INVALID.
 * out needs n / 4 * 3 + 3 bytes. */
RV_MUST_USE long rv_base64_decode(const char *s, size_t n, uint8_t *out);

#endif
