/*
 * Allocation that cannot fail, and the arena. An arena owns a list of chunks; the first of the
 * list is the one it cuts from. Chunks double from 1 KiB to 64 KiB, so that a small arena costs
 * little and a large one few calls; what does not fit well into a chunk gets one of its own.
 */
#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"

#define CHUNK_MIN ((size_t)1024)
#define CHUNK_MAX ((size_t)64 * 1024)
#define ALIGNMENT ((size_t)16)

struct rv_arena_chunk {
    struct rv_arena_chunk *next;
    size_t size; /* of data */
    _Alignas(16) char data[];
};

static void *check(void *p) {
    if (!p)
        rv_panic(__FILE__, __LINE__, "out of memory");
    return p;
}

void *rv_malloc(size_t size) {
    return check(malloc(size ? size : 1));
}

void *rv_calloc(size_t count, size_t size) {
    if (count == 0 || size == 0)
        count = size = 1;
    return check(calloc(count, size)); /* calloc refuses an overflow */
}

void *rv_realloc(void *old, size_t size) {
    return check(realloc(old, size ? size : 1));
}

char *rv_strdup(const char *s) {
    return s ? rv_memdup(s, strlen(s) + 1) : NULL;
}

char *rv_strndup(const char *s, size_t n) {
    char *copy;

    if (!s)
        return NULL;
    n = strnlen(s, n);
    copy = rv_malloc(n + 1);
    memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

void *rv_memdup(const void *p, size_t n) {
    void *copy = rv_malloc(n);

    if (n)
        memcpy(copy, p, n);
    return copy;
}

char *rv_vasprintf(const char *format, va_list ap) {
    char *text = NULL;

    return check(vasprintf(&text, format, ap) < 0 ? NULL : text);
}

char *rv_asprintf(const char *format, ...) {
    va_list ap;

    va_start(ap, format);
    char *text = rv_vasprintf(format, ap);
    va_end(ap);
    return text;
}

void rv_freep(void *pointer_to_pointer) {
    void *p;

    memcpy(&p, pointer_to_pointer, sizeof p);
    free(p);
    p = NULL;
    memcpy(pointer_to_pointer, &p, sizeof p);
}

void rv_arena_init(struct rv_arena *a) {
    *a = (struct rv_arena){.chunks = NULL};
}

static struct rv_arena_chunk *new_chunk(size_t size) {
    struct rv_arena_chunk *chunk = rv_malloc(sizeof *chunk + size);

    chunk->next = NULL;
    chunk->size = size;
    return chunk;
}

static void *alloc_slow(struct rv_arena *a, size_t size) {
    struct rv_arena_chunk *chunk;
    size_t chunk_size = a->chunks ? RV_MIN(a->chunks->size * 2, CHUNK_MAX) : CHUNK_MIN;
    char *p;

    if (size > CHUNK_MAX / 4) {
        /* Behind the current chunk, whose rest stays in use. */
        chunk = new_chunk(size);
        if (a->chunks) {
            chunk->next = a->chunks->next;
            a->chunks->next = chunk;
        } else {
            a->chunks = chunk;
        }
        return chunk->data;
    }
    while (chunk_size < size)
        chunk_size *= 2;
    chunk = new_chunk(chunk_size);
    chunk->next = a->chunks;
    a->chunks = chunk;
    p = chunk->data;
    a->next = p + size;
    a->end = p + chunk_size;
    return p;
}

void *rv_arena_alloc(struct rv_arena *a, size_t size) {
    char *p = a->next;

    if (size > SIZE_MAX / 2)
        rv_panic(__FILE__, __LINE__, "out of memory");
    a->total += size;
    size = size ? (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1) : ALIGNMENT;
    if (!p || size > (size_t)(a->end - p))
        return alloc_slow(a, size);
    a->next = p + size;
    return p;
}

void *rv_arena_zalloc(struct rv_arena *a, size_t size) {
    return memset(rv_arena_alloc(a, size), 0, size);
}

char *rv_arena_strdup(struct rv_arena *a, const char *s) {
    return s ? rv_arena_memdup(a, s, strlen(s) + 1) : NULL;
}

char *rv_arena_strndup(struct rv_arena *a, const char *s, size_t n) {
    char *copy;

    if (!s)
        return NULL;
    n = strnlen(s, n);
    copy = rv_arena_alloc(a, n + 1);
    memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

void *rv_arena_memdup(struct rv_arena *a, const void *p, size_t n) {
    void *copy = rv_arena_alloc(a, n);

    if (n)
        memcpy(copy, p, n);
    return copy;
}

char *rv_arena_printf(struct rv_arena *a, const char *format, ...) {
    char small[256], *text;
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(small, sizeof small, format, ap);
    va_end(ap);
    RV_ASSERT(n >= 0);
    if ((size_t)n < sizeof small)
        return rv_arena_memdup(a, small, (size_t)n + 1);
    text = rv_arena_alloc(a, (size_t)n + 1);
    va_start(ap, format);
    (void)vsnprintf(text, (size_t)n + 1, format, ap);
    va_end(ap);
    return text;
}

void rv_arena_reset(struct rv_arena *a) {
    struct rv_arena_chunk *chunk, *next, *kept = NULL;

    /* The largest ordinary chunk stays: an arena that is reset after each request soon stops
     * calling malloc, and one large request does not hold its memory for ever. */
    for (chunk = a->chunks; chunk; chunk = chunk->next) {
        if (chunk->size <= CHUNK_MAX && (!kept || chunk->size > kept->size))
            kept = chunk;
    }
    for (chunk = a->chunks; chunk; chunk = next) {
        next = chunk->next;
        if (chunk != kept)
            free(chunk);
    }
    rv_arena_init(a);
    if (kept) {
        kept->next = NULL;
        a->chunks = kept;
        a->next = kept->data;
        a->end = kept->data + kept->size;
    }
}

void rv_arena_free(struct rv_arena *a) {
    struct rv_arena_chunk *chunk, *next;

    for (chunk = a->chunks; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    rv_arena_init(a);
}

void rv_forget_pages(const void *data, size_t n) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)data + page - 1) / page * page, to = (uintptr_t)data + n;

    to = to / page * page;
    if (from < to && madvise((void *)from, to - from, MADV_DONTNEED) != 0)
        return; /* they stay: nothing depends on it */
}
