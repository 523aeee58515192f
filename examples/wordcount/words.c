/* A table of words and their counts: open addressing, doubled when three quarters full. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "wordcount.h"

void *must_realloc(void *old, size_t n) {
    void *p = realloc(old, n ? n : 1);

    if (!p) {
        fputs("wordcount: out of memory\n", stderr);
        abort();
    }
    return p;
}

char *must_strdup(const char *s) {
    size_t n = strlen(s) + 1;

    return memcpy(must_realloc(NULL, n), s, n);
}

/* FNV-1a. The same everywhere: it decides which reduce task gets a word. */
static uint64_t hash(const char *text, size_t n) {
    uint64_t h = 14695981039346656037u;

    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)text[i]) * 1099511628211u;
    return h ^ h >> 32;
}

static struct word *find(const struct words *w, const char *text, size_t n) {
    size_t i = hash(text, n) & (w->capacity - 1);

    while (w->slots[i].text && (strncmp(w->slots[i].text, text, n) != 0 || w->slots[i].text[n]))
        i = (i + 1) & (w->capacity - 1);
    return &w->slots[i];
}

static void grow(struct words *w) {
    struct words bigger = {.capacity = w->capacity ? w->capacity * 2 : 1024};

    bigger.slots = must_realloc(NULL, bigger.capacity * sizeof *bigger.slots);
    memset(bigger.slots, 0, bigger.capacity * sizeof *bigger.slots);
    for (size_t i = 0; i < w->capacity; i++)
        if (w->slots[i].text)
            *find(&bigger, w->slots[i].text, strlen(w->slots[i].text)) = w->slots[i];
    free(w->slots);
    w->slots = bigger.slots;
    w->capacity = bigger.capacity;
}

void words_free(struct words *w) {
    for (size_t i = 0; i < w->capacity; i++)
        free(w->slots[i].text);
    free(w->slots);
    *w = (struct words){0};
}

void words_add(struct words *w, const char *text, size_t n, uint64_t count) {
    struct word *word;

    if (w->n * 4 >= w->capacity * 3)
        grow(w);
    word = find(w, text, n);
    if (!word->text) {
        word->text = must_realloc(NULL, n + 1);
        memcpy(word->text, text, n);
        word->text[n] = 0;
        w->n++;
    }
    word->count += count;
    w->total += count;
}

uint64_t words_count(const struct words *w, const char *text) {
    return w->capacity ? find(w, text, strlen(text))->count : 0;
}

int words_add_file(struct words *w, const char *path, uint64_t *bytes) {
    gzFile file = gzopen(path, "rb"); /* reads plain files as they are */
    char buffer[65536], *word = NULL;
    size_t length = 0, room = 0;
    int n;

    if (!file)
        return -1;
    gzbuffer(file, 65536);
    while ((n = gzread(file, buffer, sizeof buffer)) > 0) {
        *bytes += (uint64_t)n;
        for (int i = 0; i < n; i++) {
            char c = buffer[i];
            if (c >= 'A' && c <= 'Z')
                c = (char)(c - 'A' + 'a');
            if (c >= 'a' && c <= 'z') {
                if (length == room)
                    word = must_realloc(word, room = room ? room * 2 : 64);
                word[length++] = c;
            } else if (length) {
                words_add(w, word, length, 1);
                length = 0;
            }
        }
    }
    if (length)
        words_add(w, word, length, 1);
    free(word);
    if (n < 0) {
        gzclose(file);
        errno = EIO;
        return -1;
    }
    gzclose(file);
    return 0;
}

int words_merge_file(struct words *w, const char *path) {
    FILE *file = fopen(path, "r");
    char *line = NULL, *end;
    size_t room = 0;
    ssize_t n;
    int rc = 0;

    if (!file)
        return -1;
    while ((n = getline(&line, &room, file)) > 0) {
        uint64_t count = strtoull(line, &end, 10);
        if (line[n - 1] == '\n')
            line[--n] = 0;
        if (end == line || *end != ' ') {
            errno = EINVAL;
            rc = -1;
            break;
        }
        words_add(w, end + 1, (size_t)(line + n - end - 1), count);
    }
    if (ferror(file))
        rc = -1;
    free(line);
    fclose(file);
    return rc;
}

int words_write(const struct words *w, const char *path, unsigned partition, unsigned partitions) {
    FILE *file = fopen(path, "w");
    int failed;

    if (!file)
        return -1;
    for (size_t i = 0; i < w->capacity; i++) {
        const struct word *word = &w->slots[i];
        /* The high half: the low bits place it in the table. */
        if (word->text && (hash(word->text, strlen(word->text)) >> 40) % partitions == partition)
            fprintf(file, "%llu %s\n", (unsigned long long)word->count, word->text);
    }
    failed = ferror(file);
    return fclose(file) || failed ? -1 : 0;
}

static int by_count(const void *a, const void *b) {
    const struct word *x = a, *y = b;

    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return strcmp(x->text, y->text);
}

struct word *words_sorted(const struct words *w) {
    struct word *list = must_realloc(NULL, w->n * sizeof *list);
    size_t n = 0;

    for (size_t i = 0; i < w->capacity; i++)
        if (w->slots[i].text)
            list[n++] = w->slots[i];
    qsort(list, n, sizeof *list, by_count);
    return list;
}
