/*
 * malloc(3) and its kin for this program, in the place of the C library's, which asks the kernel
 * for pages and gives them back so often that a short life pays more for it than for its work.
 *
 * Holds: a block is a power of two of bytes, its size in front; what is freed waits in a list of
 * its size and is not given back. A block beyond LARGE is mapped, and unmapped, for itself. For one
 * thread. Costs: no system call for the first 16 KiB, and no more pages than are touched.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGNMENT = 16, FIRST = 16 * 1024, CHUNK = 64 * 1024, LEAST = 32, CLASSES = 11 };

#define LARGE ((size_t)LEAST << (CLASSES - 1))

/* What malloc gives follows it; while the block is free that is the pointer to the next one. */
struct block {
    _Alignas(ALIGNMENT) size_t size; /* with this */
    _Alignas(ALIGNMENT) struct block *next;
};

static _Alignas(ALIGNMENT) char first[FIRST];
static char *begin = first, *end = first + FIRST;
static struct block *freed[CLASSES];

static struct block *block_of(void *p) {
    return (struct block *)(void *)((char *)p - offsetof(struct block, next));
}

static void *map(size_t size) {
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

static size_t class_of(size_t size) {
    size_t k = 0;

    while (((size_t)LEAST << k) < size)
        k++;
    return k;
}

/* Of a class that has none that was freed. */
static struct block *cut(size_t size) {
    struct block *b;

    if ((size_t)(end - begin) < size) {
        char *chunk = map(CHUNK);
        if (!chunk)
            return NULL;
        begin = chunk;
        end = chunk + CHUNK;
    }
    b = (struct block *)(void *)begin;
    begin += size;
    return b;
}

/* Not malloc itself, which with a memset the compiler takes for calloc. */
static void *take(size_t n) {
    size_t size = n + offsetof(struct block, next), k;
    struct block *b;

    if (n > PTRDIFF_MAX / 2)
        return NULL;
    if (size > LARGE) {
        b = map(size);
    } else {
        k = class_of(size);
        size = (size_t)LEAST << k;
        b = freed[k];
        if (b)
            freed[k] = b->next;
        else
            b = cut(size);
    }
    if (!b)
        return NULL;
    b->size = size;
    return &b->next;
}

void *malloc(size_t n) {
    return take(n);
}

void free(void *p) {
    struct block *b = p ? block_of(p) : NULL;
    size_t k;

    if (!b)
        return;
    if (b->size > LARGE) {
        munmap(b, b->size);
        return;
    }
    k = class_of(b->size);
    b->next = freed[k];
    freed[k] = b;
}

void *calloc(size_t count, size_t size) {
    size_t n;
    void *p = __builtin_mul_overflow(count, size, &n) ? NULL : take(n);

    return p ? memset(p, 0, n) : NULL;
}

void *realloc(void *old, size_t n) {
    size_t held = old ? block_of(old)->size - offsetof(struct block, next) : 0;
    void *p;

    if (old && n <= held)
        return old;
    p = take(n);
    if (p && old) {
        memcpy(p, old, held);
        free(old);
    }
    return p;
}
