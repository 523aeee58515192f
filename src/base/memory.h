/*
 * Memory: allocation that cannot fail (a process without memory ends with a clear line), the
 * cleanup attribute, and the arena: many small allocations, one release.
 */
#ifndef RV_BASE_MEMORY_H
#define RV_BASE_MEMORY_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

void *rv_malloc(size_t size);
void *rv_calloc(size_t count, size_t size); /* zeroed; overflow of count * size is fatal */
void *rv_realloc(void *old, size_t size);
char *rv_strdup(const char *s); /* NULL gives NULL */
char *rv_strndup(const char *s, size_t n);
void *rv_memdup(const void *p, size_t n);
char *rv_asprintf(const char *format, ...) RV_PRINTF(1, 2);
char *rv_vasprintf(const char *format, va_list ap) RV_PRINTF(1, 0);
void rv_freep(void *pointer_to_pointer); /* for _cleanup_free_ */

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_free_ _cleanup_(rv_freep)
#define TAKE_PTR(p)                                                                                \
    ({                                                                                             \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })
#define RV_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define RV_MIN(a, b) ((a) < (b) ? (a) : (b))
#define RV_MAX(a, b) ((a) > (b) ? (a) : (b))
#define RV_CONTAINER_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

/* Bump allocator in chunks. All that it gave is released at once; nothing is freed singly. */
struct rv_arena {
    struct rv_arena_chunk *chunks; /* newest first */
    char *next, *end;
    size_t total; /* bytes asked for since the last reset */
};

void rv_arena_init(struct rv_arena *a);
void *rv_arena_alloc(struct rv_arena *a, size_t size);  /* 16-byte aligned, not zeroed */
void *rv_arena_zalloc(struct rv_arena *a, size_t size); /* zeroed */
char *rv_arena_strdup(struct rv_arena *a, const char *s);
char *rv_arena_strndup(struct rv_arena *a, const char *s, size_t n); /* NUL-terminated */
void *rv_arena_memdup(struct rv_arena *a, const void *p, size_t n);
char *rv_arena_printf(struct rv_arena *a, const char *format, ...) RV_PRINTF(2, 3);
void rv_arena_reset(struct rv_arena *a); /* keeps one chunk for reuse */
void rv_arena_free(struct rv_arena *a);  /* usable again after; for _cleanup_ too */

#define RV_ARENA_NEW(a, type) ((type *)rv_arena_zalloc((a), sizeof(type)))
#define RV_ARENA_ARRAY(a, type, n) ((type *)rv_arena_zalloc((a), sizeof(type) * (n)))

/* Lets go of pages of a mapped file that were read once: they need not stay resident. */
void rv_forget_pages(const void *data, size_t n);

#endif
