/*
 * Slices, buffers, blobs. A buffer that owns memory has cap > n, so that its NUL has a place; it
 * doubles, so that appending is O(1) amortised. Consuming moves the rest: O(what is left).
 */
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

#define BUF_MIN ((size_t)64)

bool rv_str_eq(struct rv_str a, struct rv_str b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.s, b.s, a.n) == 0);
}

bool rv_streq(const char *a, const char *b) {
    if (!a || !b)
        return a == b;
    return strcmp(a, b) == 0;
}

bool rv_starts_with(const char *s, const char *prefix) {
    return s && prefix && strncmp(s, prefix, strlen(prefix)) == 0;
}

bool rv_ends_with(const char *s, const char *suffix) {
    size_t n, m;

    if (!s || !suffix)
        return false;
    n = strlen(s);
    m = strlen(suffix);
    return n >= m && memcmp(s + (n - m), suffix, m) == 0;
}

void rv_buf_free(struct rv_buf *b) {
    free(b->data);
    *b = (struct rv_buf){.data = NULL};
}

void rv_buf_reserve(struct rv_buf *b, size_t more) {
    size_t need, cap;

    RV_ASSERT(more < SIZE_MAX / 4 && b->n < SIZE_MAX / 4);
    need = b->n + more + 1;
    if (need <= b->cap)
        return;
    cap = b->cap ? b->cap : BUF_MIN;
    while (cap < need)
        cap *= 2;
    b->data = rv_realloc(b->data, cap);
    b->cap = cap;
    b->data[b->n] = '\0';
}

void rv_buf_append(struct rv_buf *b, const void *data, size_t n) {
    rv_buf_reserve(b, n);
    if (n)
        memcpy(b->data + b->n, data, n);
    b->n += n;
    b->data[b->n] = '\0';
}

void rv_buf_puts(struct rv_buf *b, const char *s) {
    rv_buf_append(b, s, strlen(s));
}

void rv_buf_putc(struct rv_buf *b, char c) {
    rv_buf_append(b, &c, 1);
}

void rv_buf_printf(struct rv_buf *b, const char *format, ...) {
    va_list ap;
    int n;

    /* Most fits into what is there: one pass. */
    rv_buf_reserve(b, 32);
    va_start(ap, format);
    n = vsnprintf(b->data + b->n, b->cap - b->n, format, ap);
    va_end(ap);
    RV_ASSERT(n >= 0);
    if ((size_t)n >= b->cap - b->n) {
        rv_buf_reserve(b, (size_t)n);
        va_start(ap, format);
        (void)vsnprintf(b->data + b->n, b->cap - b->n, format, ap);
        va_end(ap);
    }
    b->n += (size_t)n;
}

size_t rv_put_u64(char *out, uint64_t v) {
    char digits[RV_U64_DIGITS];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    memcpy(out, digits + at, sizeof digits - at);
    return sizeof digits - at;
}

void rv_buf_put_u64(struct rv_buf *b, uint64_t v) {
    rv_buf_reserve(b, RV_U64_DIGITS);
    b->n += rv_put_u64(b->data + b->n, v);
    b->data[b->n] = '\0';
}

void rv_buf_put_i64(struct rv_buf *b, int64_t v) {
    if (v < 0)
        rv_buf_putc(b, '-');
    rv_buf_put_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void rv_buf_clear(struct rv_buf *b) {
    b->n = 0;
    if (b->data)
        b->data[0] = '\0';
}

void rv_buf_consume(struct rv_buf *b, size_t n) {
    RV_ASSERT(n <= b->n);
    if (n == 0)
        return;
    b->n -= n;
    memmove(b->data, b->data + n, b->n + 1); /* with the NUL */
}

char *rv_buf_take(struct rv_buf *b, size_t *n) {
    char *data;

    rv_buf_reserve(b, 0);
    b->data[b->n] = '\0';
    data = b->data;
    if (n)
        *n = b->n;
    *b = (struct rv_buf){.data = NULL};
    return data;
}

struct rv_blob *rv_blob_new(const void *data, size_t n) {
    struct rv_blob *b;

    RV_ASSERT(n <= UINT32_MAX);
    b = rv_malloc(sizeof *b + n);
    b->refs = 1;
    b->n = (uint32_t)n;
    if (n)
        memcpy(b->data, data, n);
    return b;
}

struct rv_blob *rv_blob_ref(const struct rv_blob *b) {
    /* The bytes are immutable, the count is not: the one place that drops the const. */
    struct rv_blob *mutable = (struct rv_blob *)(uintptr_t)b;

    if (mutable) {
        RV_ASSERT(mutable->refs > 0 && mutable->refs < UINT32_MAX);
        mutable->refs++;
    }
    return mutable;
}

void rv_blob_unref(struct rv_blob *b) {
    if (!b)
        return;
    RV_ASSERT(b->refs > 0);
    if (--b->refs == 0)
        free(b);
}

bool rv_blob_eq(const struct rv_blob *a, const struct rv_blob *b) {
    if (a == b)
        return true;
    if (!a || !b)
        return false;
    return a->n == b->n && (a->n == 0 || memcmp(a->data, b->data, a->n) == 0);
}

int rv_hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20); /* upper case to lower */
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
