/* Finds text below folders and splits it into pieces of about the same size. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "wordcount.h"

enum {
    GZIP_FACTOR = 4,          /* text is about so much larger than its .gz */
    MAX_WEIGHT = 4 * 1048576, /* larger files would be one long task */
    MAX_DEPTH = 16,
};

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);

    return n >= m && !strcmp(s + n - m, end);
}

/* Text has no NUL, as far as the first bytes tell. */
static bool is_text(const char *path) {
    static char bytes[8192];
    gzFile file = gzopen(path, "rb");
    int n = file ? gzread(file, bytes, sizeof bytes) : -1;

    if (file)
        gzclose(file);
    return n > 0 && !memchr(bytes, 0, (size_t)n);
}

static void add(struct input *in, const char *path, uint64_t size) {
    static const char *const packed[] = {".Z", ".z", ".zip", ".bz2", ".xz", ".zst", ".tgz", ".lz"};
    struct input_file file = {.weight = ends_with(path, ".gz") ? size * GZIP_FACTOR : size};

    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
        if (ends_with(path, packed[i]))
            return;
    if (!file.weight || file.weight > MAX_WEIGHT || strchr(path, '\n') || !is_text(path))
        return;
    if (!(in->n & (in->n - 1)))
        in->files = must_realloc(in->files, (in->n ? in->n * 2 : 1) * sizeof *in->files);
    file.path = must_strdup(path);
    in->files[in->n++] = file;
    in->weight += file.weight;
}

static void walk(struct input *in, const char *path, uint64_t limit, unsigned depth) {
    struct dirent **entries;
    struct stat st;
    int n;

    if (in->weight >= limit || lstat(path, &st))
        return;
    if (S_ISREG(st.st_mode)) {
        add(in, path, (uint64_t)st.st_size);
        return;
    }
    if (!S_ISDIR(st.st_mode) || depth == MAX_DEPTH)
        return;
    n = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char child[4096];
        const char *name = entries[i]->d_name;
        int length = snprintf(child, sizeof child, "%s/%s", path, name);
        if (strcmp(name, ".") && strcmp(name, "..") && length < (int)sizeof child)
            walk(in, child, limit, depth + 1);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

static int by_path(const void *a, const void *b) {
    return strcmp(((const struct input_file *)a)->path, ((const struct input_file *)b)->path);
}

void input_find(struct input *in, const char *const *folders, size_t n, uint64_t limit) {
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        walk(in, folders[i], limit, 0);
    qsort(in->files, in->n, sizeof *in->files, by_path);
    for (size_t i = 0; i < in->n; i++) { /* folders may overlap */
        if (kept && !strcmp(in->files[kept - 1].path, in->files[i].path)) {
            in->weight -= in->files[i].weight;
            free(in->files[i].path);
        } else {
            in->files[kept++] = in->files[i];
        }
    }
    in->n = kept;
}

struct ranked {
    size_t file;
    uint64_t weight;
};

static int by_weight(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;

    if (x->weight != y->weight)
        return x->weight < y->weight ? 1 : -1;
    return x->file < y->file ? -1 : 1;
}

/* The heaviest first, each to the split that is the lightest so far. */
void input_split(struct input *in, unsigned n) {
    struct ranked *order = must_realloc(NULL, in->n * sizeof *order);
    uint64_t *load;

    in->n_splits = in->n < n ? (unsigned)in->n : n;
    in->split = must_realloc(NULL, in->n * sizeof *in->split);
    load = must_realloc(NULL, in->n_splits * sizeof *load);
    memset(load, 0, in->n_splits * sizeof *load);
    for (size_t i = 0; i < in->n; i++)
        order[i] = (struct ranked){i, in->files[i].weight};
    qsort(order, in->n, sizeof *order, by_weight);
    for (size_t i = 0; i < in->n; i++) {
        unsigned lightest = 0;
        for (unsigned j = 1; j < in->n_splits; j++)
            if (load[j] < load[lightest])
                lightest = j;
        in->split[order[i].file] = lightest;
        load[lightest] += order[i].weight;
    }
    free(order);
    free(load);
}

int input_write_list(const struct input *in, const char *path) {
    FILE *file = fopen(path, "w");

    if (!file)
        return -1;
    for (size_t i = 0; i < in->n; i++)
        fprintf(file, "%s\n", in->files[i].path);
    return fclose(file) ? -1 : 0;
}

void input_free(struct input *in) {
    for (size_t i = 0; i < in->n; i++)
        free(in->files[i].path);
    free(in->files);
    free(in->split);
    *in = (struct input){0};
}
