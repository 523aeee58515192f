/*
 * The last words of a process whose own invariant does not hold. Nothing here allocates, locks or
 * formats through stdio: the heap may be what is broken.
 */
#include "base/assert.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct line {
    char text[512];
    size_t n;
};

static void add(struct line *l, const char *s) {
    size_t n = strlen(s), room = sizeof l->text - 1 - l->n; /* one byte stays for the newline */

    if (n > room)
        n = room;
    memcpy(l->text + l->n, s, n);
    l->n += n;
}

_Noreturn void rv_panic(const char *file, int line, const char *what) {
    struct line l = {.n = 0};
    char digits[12];
    size_t at = sizeof digits - 1;
    unsigned int v = line > 0 ? (unsigned int)line : 0;
    ssize_t written;

    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    add(&l, file);
    add(&l, ":");
    add(&l, digits + at);
    add(&l, ": assertion failed: ");
    add(&l, what);
    l.text[l.n++] = '\n';
    written = write(STDERR_FILENO, l.text, l.n);
    (void)written; /* nobody is left to tell */
    abort();
}
