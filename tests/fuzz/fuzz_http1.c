/* The response parser: the first byte says how the rest is cut; the events do not depend on it. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "wire/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_head(void *ctx, int status, const struct rv_http1_header *headers, size_t n) {
    struct rv_buf *b = (struct rv_buf *)ctx;
    rv_buf_printf(b, "<%d", status);
    for (size_t i = 0; i < n; i++) {
        rv_buf_printf(b, " %s=%s", headers[i].name, headers[i].value);
    }
}

static void on_body(void *ctx, struct rv_str bytes) {
    RV_ASSERT(bytes.n > 0);
    rv_buf_append((struct rv_buf *)ctx, bytes.s, bytes.n);
}

static void on_done(void *ctx, bool keep_alive) {
    rv_buf_puts((struct rv_buf *)ctx, keep_alive ? "|" : "!");
}

static int feed(struct rv_str bytes, size_t step, struct rv_buf *out) {
    static const struct rv_http1_handler handler = {on_head, on_body, on_done};
    struct rv_http1_parser *p = rv_http1_parser_new(&handler, out);
    int r = 0;
    for (size_t i = 0; i < bytes.n && r == 0; i += step) {
        r = rv_http1_parser_feed(p, rv_strn(bytes.s + i, RV_MIN(step, bytes.n - i)), NULL);
    }
    if (r == 0) {
        r = rv_http1_parser_eof(p, NULL);
    }
    rv_http1_parser_free(p);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > 60000) {
        return 0; /* over 64 KiB of head the cuts decide how soon it fails */
    }
    struct rv_buf whole _cleanup_(rv_buf_free) = {0};
    struct rv_buf parts _cleanup_(rv_buf_free) = {0};
    struct rv_str bytes = rv_strn(data + 1, size - 1);
    int a = feed(bytes, size, &whole), b = feed(bytes, 1u + data[0] % 16, &parts);
    RV_ASSERT(a == b);
    RV_ASSERT(rv_str_eq(rv_buf_str(&whole), rv_buf_str(&parts)));
    return 0;
}
