/*
 * RecordIO. A record that lies whole in the bytes fed goes to the callback from there, without a
 * copy; only what is incomplete at the end is kept, its length line included, so that the state is
 * the pending bytes and nothing else. Memory grows with bytes that came, never by an announced
 * length.
 */
#include "wire/recordio.h"

#define LENGTH_DIGITS_MAX 20

void rv_recordio_put(struct rv_buf *out, struct rv_str record) {
    rv_buf_reserve(out, record.n + LENGTH_DIGITS_MAX + 1);
    rv_buf_put_u64(out, record.n);
    rv_buf_putc(out, '\n');
    if (record.n > 0) {
        rv_buf_append(out, record.s, record.n);
    }
}

void rv_recordio_init(struct rv_recordio *r, size_t max_record) {
    *r = (struct rv_recordio){.max_record = max_record};
}

void rv_recordio_free(struct rv_recordio *r) {
    rv_buf_free(&r->pending);
}

/* Reads the length line. Returns 1 and sets *header and *length, 0 if it is incomplete, or an
 * error. */
static int read_length(const struct rv_recordio *r, struct rv_str bytes, size_t *header,
                       size_t *length, struct rv_error *err) {
    uint64_t v = 0;
    for (size_t i = 0; i < bytes.n; i++) {
        char c = bytes.s[i];
        if (c == '\n' && i > 0) {
            *header = i + 1;
            *length = (size_t)v;
            return 1;
        }
        if (c < '0' || c > '9' || i == LENGTH_DIGITS_MAX) {
            return rv_error_set(err, RV_ERR_INVALID, "bad length of a record");
        }
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(c - '0'), &v) || v > r->max_record) {
            return rv_error_set(err, RV_ERR_LIMIT, "record longer than %zu bytes", r->max_record);
        }
    }
    return 0;
}

/* Completes the pending record as far as bytes reach, and takes what it used off them. Returns 1
 * if the record is complete and sets *record, 0 if bytes are used up, or an error. */
static int complete(struct rv_recordio *r, struct rv_str *bytes, struct rv_str *record,
                    struct rv_error *err) {
    size_t header, length;
    for (;;) {
        int c = read_length(r, rv_buf_str(&r->pending), &header, &length, err);
        if (c < 0) {
            return c;
        }
        /* The rest of the record, or one more byte of the length line. */
        size_t more = c > 0 ? header + length - r->pending.n : 1;
        size_t n = RV_MIN(more, bytes->n);
        rv_buf_append(&r->pending, bytes->s, n);
        bytes->s += n;
        bytes->n -= n;
        if (c > 0 && n == more) {
            *record = rv_strn(r->pending.data + header, length);
            return 1;
        }
        if (n < more) {
            return 0;
        }
    }
}

int rv_recordio_feed(struct rv_recordio *r, struct rv_str bytes,
                     int (*on_record)(void *ctx, struct rv_str record), void *ctx,
                     struct rv_error *err) {
    struct rv_str record;
    if (r->pending.n > 0) {
        int c = complete(r, &bytes, &record, err);
        if (c <= 0) {
            return c;
        }
        c = on_record(ctx, record);
        rv_buf_clear(&r->pending);
        if (c != 0) {
            return c;
        }
    }
    while (bytes.n > 0) {
        size_t header, length;
        int c = read_length(r, bytes, &header, &length, err);
        if (c < 0) {
            return c;
        }
        if (c == 0 || bytes.n - header < length) {
            rv_buf_append(&r->pending, bytes.s, bytes.n);
            return 0;
        }
        record = rv_strn(bytes.s + header, length);
        bytes.s += header + length;
        bytes.n -= header + length;
        if ((c = on_record(ctx, record)) != 0) {
            return c;
        }
    }
    return 0;
}
