/*
 * One look at the logs of many containers, on a thread of the loop's pool. Add, run, and forget: it
 * frees itself.
 */
#ifndef RV_CONTAINERIZER_ROTATION_H
#define RV_CONTAINERIZER_ROTATION_H

#include <stdint.h>
#include <uv.h>

struct rv_rotation;

struct rv_rotation *rv_rotation_new(void);
void rv_rotation_add(struct rv_rotation *r, const char *directory, uint64_t max_bytes,
                     unsigned keep);
/* on_done is called on the loop, or at once if the pool cannot be used. */
void rv_rotation_run(struct rv_rotation *r, uv_loop_t *loop, void (*on_done)(void *ctx), void *ctx);

#endif
