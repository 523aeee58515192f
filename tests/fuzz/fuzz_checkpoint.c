/* Records of the agent's journal; what is read must go out and be read again, the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "store/checkpoint_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct rv_arena arena _cleanup_(rv_arena_free);
    struct rv_buf one _cleanup_(rv_buf_free) = {0};
    struct rv_buf two _cleanup_(rv_buf_free) = {0};
    struct rv_checkpoint c, again;

    rv_arena_init(&arena);
    if (rv_checkpoint_decode(rv_strn(data, size), &arena, &c, NULL) < 0)
        return 0;
    rv_checkpoint_encode(&c, &arena, &one);
    if (rv_checkpoint_decode(rv_buf_str(&one), &arena, &again, NULL) == 0) {
        rv_checkpoint_encode(&again, &arena, &two);
        RV_ASSERT(rv_str_eq(rv_buf_str(&one), rv_buf_str(&two)));
        rv_checkpoint_release(&again);
    }
    rv_checkpoint_release(&c);
    return 0;
}
