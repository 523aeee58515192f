/* A journal's file: what is read is bounded by it; salvage reads all that strictness reads, and the
 * records that were read make a file that reads the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "wire/journal_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int collect(void *ctx, struct rv_str record, struct rv_error *err) {
    (void)err;
    rv_journal_put_record(ctx, record);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char zeros[RV_JOURNAL_ALIGN];
    struct rv_buf strict _cleanup_(rv_buf_free) = {0};
    struct rv_buf salvaged _cleanup_(rv_buf_free) = {0};
    struct rv_buf file _cleanup_(rv_buf_free) = {0};
    struct rv_buf again _cleanup_(rv_buf_free) = {0};
    struct rv_str bytes = rv_strn(data, size);
    struct rv_journal_found found;
    struct rv_error err;

    int r = rv_journal_parse(bytes, "it", false, collect, &strict, &found, &err);
    int s = rv_journal_parse(bytes, "it", true, collect, &salvaged, &found, &err);
    RV_ASSERT(s == 0 || s == -RV_ERR_UNSUPPORTED || s == -RV_ERR_CORRUPT);
    RV_ASSERT(r || (!s && !found.damaged && found.end <= size &&
                    rv_str_eq(rv_buf_str(&strict), rv_buf_str(&salvaged))));
    rv_journal_put_head(&file);
    rv_journal_put_frame(&file, rv_buf_str(&salvaged));
    rv_buf_append(&file, zeros, sizeof zeros);
    r = rv_journal_parse(rv_buf_str(&file), "it", false, collect, &again, &found, &err);
    RV_ASSERT(!r && found.end == file.n - sizeof zeros);
    RV_ASSERT(rv_str_eq(rv_buf_str(&again), rv_buf_str(&salvaged)));
    return 0;
}
