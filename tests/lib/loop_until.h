/* Turns a loop of libuv until something holds, for a generous time; a test fails if it does not. */
#ifndef RV_TESTS_LOOP_UNTIL_H
#define RV_TESTS_LOOP_UNTIL_H

#include <stdbool.h>
#include <uv.h>

/* The loop turns at least so often. */
static inline void on_tick(uv_timer_t *timer) {
    (void)timer;
}

#define LOOP_UNTIL(loop, condition, patience_ms)                                                   \
    do {                                                                                           \
        uv_timer_t tick;                                                                           \
        uint64_t end_ns = uv_hrtime() + (patience_ms)*UINT64_C(1000000);                           \
        uv_timer_init(loop, &tick);                                                                \
        uv_timer_start(&tick, on_tick, 5, 5);                                                      \
        while (!(condition) && uv_hrtime() < end_ns)                                               \
            uv_run(loop, UV_RUN_ONCE);                                                             \
        uv_close((uv_handle_t *)&tick, NULL);                                                      \
        uv_run(loop, UV_RUN_NOWAIT);                                                               \
        assert_true(condition);                                                                    \
    } while (0)

static inline void on_time(uv_timer_t *timer) {
    *(bool *)timer->data = true;
}

/* Turns it for so long, whatever comes. */
static inline void loop_for(uv_loop_t *loop, uint64_t ms) {
    bool done = false;
    uv_timer_t timer;

    uv_timer_init(loop, &timer);
    timer.data = &done;
    uv_timer_start(&timer, on_time, ms, 0);
    while (!done)
        uv_run(loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(loop, UV_RUN_NOWAIT);
}

#endif
