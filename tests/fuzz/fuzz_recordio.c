/* RecordIO: the first byte says how the rest is cut; the records do not depend on it. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "wire/recordio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_record(void *ctx, struct rv_str record) {
    struct rv_buf *b = (struct rv_buf *)ctx;
    rv_recordio_put(b, record);
    return 0;
}

static int feed(struct rv_str bytes, size_t step, struct rv_buf *out) {
    struct rv_recordio r;
    int c = 0;
    rv_recordio_init(&r, 1000);
    for (size_t i = 0; i < bytes.n && c == 0; i += step) {
        c = rv_recordio_feed(&r, rv_strn(bytes.s + i, RV_MIN(step, bytes.n - i)), on_record, out,
                             NULL);
        RV_ASSERT(r.pending.n <= 1000 + 21 || c != 0);
    }
    rv_recordio_free(&r);
    return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    struct rv_buf whole _cleanup_(rv_buf_free) = {0};
    struct rv_buf parts _cleanup_(rv_buf_free) = {0};
    struct rv_str bytes = rv_strn(data + 1, size - 1);
    int a = feed(bytes, size, &whole), b = feed(bytes, 1u + data[0] % 16, &parts);
    RV_ASSERT(a == b);
    RV_ASSERT(rv_str_eq(rv_buf_str(&whole), rv_buf_str(&parts)));
    return 0;
}
