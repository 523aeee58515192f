/* Handles of the loop in memory of their own. */
#ifndef RV_IO_HANDLE_H
#define RV_IO_HANDLE_H

#include <stdlib.h>
#include <uv.h>

static inline void rv_handle_freed(uv_handle_t *h) {
    free(h);
}

/* Closes it, and frees it when the loop has run once more; NULL is nothing. */
static inline void rv_handle_close(void *handle) {
    if (handle)
        uv_close(handle, rv_handle_freed);
}

#endif
