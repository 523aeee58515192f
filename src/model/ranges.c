/*
 * Sets of numbers as ranges, and sets of strings. Always sorted, disjoint and merged (ranges that
 * touch are one), so that equality is element-wise. Every operation on two of them walks both once:
 * O(n + m); normalising is O(n log n). The owner of the struct owns the array, and a set's strings.
 */
#include <stdlib.h>

#include "model/resources.h"

static int compare_ranges(const void *a, const void *b) {
    const struct rv_range *x = a, *y = b;
    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    return x->end < y->end ? -1 : x->end > y->end;
}

/* Appends a range that begins nowhere before the last one. */
static void append_merged(struct rv_ranges *to, struct rv_range range) {
    if (to->n > 0) {
        struct rv_range *last = &to->v[to->n - 1];
        if (last->end == UINT64_MAX || range.begin <= last->end + 1) {
            last->end = RV_MAX(last->end, range.end);
            return;
        }
    }
    to->v[to->n++] = range;
}

void rv_ranges_normalize(struct rv_ranges *r) {
    bool sorted = true;
    for (size_t i = 1; i < r->n && sorted; i++) {
        sorted = r->v[i - 1].begin <= r->v[i].begin;
    }
    if (!sorted) {
        qsort(r->v, r->n, sizeof *r->v, compare_ranges);
    }
    /* In place: what is written never overtakes what is read. */
    struct rv_ranges out = {r->v, 0};
    for (size_t i = 0; i < r->n; i++) {
        append_merged(&out, r->v[i]);
    }
    r->n = out.n;
}

void rv_ranges_add(struct rv_ranges *to, const struct rv_ranges *r) {
    if (r->n == 0) {
        return;
    }
    struct rv_ranges sum = {rv_malloc((to->n + r->n) * sizeof *sum.v), 0};
    size_t i = 0, j = 0;
    while (i < to->n || j < r->n) {
        bool first = j == r->n || (i < to->n && to->v[i].begin <= r->v[j].begin);
        append_merged(&sum, first ? to->v[i++] : r->v[j++]);
    }
    free(to->v);
    *to = sum;
}

void rv_ranges_subtract(struct rv_ranges *from, const struct rv_ranges *r) {
    if (from->n == 0 || r->n == 0) {
        return;
    }
    /* Each range of r cuts at most one in two. */
    struct rv_ranges rest = {rv_malloc((from->n + r->n) * sizeof *rest.v), 0};
    size_t j = 0;
    for (size_t i = 0; i < from->n; i++) {
        struct rv_range left = from->v[i];
        bool gone = false;
        while (j < r->n && r->v[j].end < left.begin) {
            j++;
        }
        /* The last one that reaches over left.end stays at j: it may cut the next range too. */
        for (; j < r->n && r->v[j].begin <= left.end; j++) {
            if (r->v[j].begin > left.begin) {
                rest.v[rest.n++] = (struct rv_range){left.begin, r->v[j].begin - 1};
            }
            if (r->v[j].end >= left.end) {
                gone = true;
                break;
            }
            left.begin = r->v[j].end + 1;
        }
        if (!gone) {
            rest.v[rest.n++] = left;
        }
    }
    free(from->v);
    *from = rest;
    if (rest.n == 0) {
        rv_ranges_free(from);
    }
}

bool rv_ranges_contains(const struct rv_ranges *a, const struct rv_ranges *b) {
    size_t i = 0;
    for (size_t j = 0; j < b->n; j++) {
        while (i < a->n && a->v[i].end < b->v[j].begin) {
            i++;
        }
        if (i == a->n || a->v[i].begin > b->v[j].begin || a->v[i].end < b->v[j].end) {
            return false;
        }
    }
    return true;
}

uint64_t rv_ranges_count(const struct rv_ranges *r) {
    uint64_t count = 0;
    for (size_t i = 0; i < r->n; i++) {
        uint64_t size = r->v[i].end - r->v[i].begin;
        if (size == UINT64_MAX || __builtin_add_overflow(count, size + 1, &count)) {
            return UINT64_MAX;
        }
    }
    return count;
}

void rv_ranges_free(struct rv_ranges *r) {
    free(r->v);
    *r = (struct rv_ranges){0};
}

void rv_ranges_copy(struct rv_ranges *out, const struct rv_ranges *r) {
    out->v = r->n ? rv_memdup(r->v, r->n * sizeof *r->v) : NULL;
    out->n = r->n;
}

bool rv_ranges_eq(const struct rv_ranges *a, const struct rv_ranges *b) {
    return a->n == b->n && (a->n == 0 || memcmp(a->v, b->v, a->n * sizeof *a->v) == 0);
}

void rv_ranges_format(const struct rv_ranges *r, struct rv_buf *out) {
    rv_buf_putc(out, '[');
    for (size_t i = 0; i < r->n; i++) {
        if (i > 0) {
            rv_buf_putc(out, ',');
        }
        rv_buf_put_u64(out, r->v[i].begin);
        rv_buf_putc(out, '-');
        rv_buf_put_u64(out, r->v[i].end);
    }
    rv_buf_putc(out, ']');
}

/* --- sets of strings --- */

static int compare_strings(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void rv_set_normalize(struct rv_set *s) {
    if (s->n < 2) {
        return;
    }
    qsort(s->v, s->n, sizeof *s->v, compare_strings);
    size_t n = 1;
    for (size_t i = 1; i < s->n; i++) {
        if (strcmp(s->v[n - 1], s->v[i]) == 0) {
            free(s->v[i]);
        } else {
            s->v[n++] = s->v[i];
        }
    }
    s->n = n;
}

void rv_set_add(struct rv_set *to, const struct rv_set *s) {
    if (s->n == 0) {
        return;
    }
    struct rv_set sum = {rv_malloc((to->n + s->n) * sizeof *sum.v), 0};
    size_t i = 0, j = 0;
    while (i < to->n || j < s->n) {
        int order = i == to->n ? 1 : j == s->n ? -1 : strcmp(to->v[i], s->v[j]);
        if (order <= 0) {
            sum.v[sum.n++] = to->v[i++];
            j += order == 0;
        } else {
            sum.v[sum.n++] = rv_strdup(s->v[j++]);
        }
    }
    free(to->v);
    *to = sum;
}

void rv_set_subtract(struct rv_set *from, const struct rv_set *s) {
    size_t n = 0, j = 0;
    for (size_t i = 0; i < from->n; i++) {
        while (j < s->n && strcmp(s->v[j], from->v[i]) < 0) {
            j++;
        }
        if (j < s->n && strcmp(s->v[j], from->v[i]) == 0) {
            free(from->v[i]);
        } else {
            from->v[n++] = from->v[i];
        }
    }
    from->n = n;
    if (n == 0) {
        rv_set_free(from);
    }
}

bool rv_set_contains(const struct rv_set *a, const struct rv_set *b) {
    size_t i = 0;
    for (size_t j = 0; j < b->n; j++) {
        while (i < a->n && strcmp(a->v[i], b->v[j]) < 0) {
            i++;
        }
        if (i == a->n || strcmp(a->v[i], b->v[j]) != 0) {
            return false;
        }
    }
    return true;
}

bool rv_set_eq(const struct rv_set *a, const struct rv_set *b) {
    if (a->n != b->n) {
        return false;
    }
    for (size_t i = 0; i < a->n; i++) {
        if (strcmp(a->v[i], b->v[i]) != 0) {
            return false;
        }
    }
    return true;
}

void rv_set_copy(struct rv_set *out, const struct rv_set *s) {
    out->v = s->n ? rv_malloc(s->n * sizeof *out->v) : NULL;
    out->n = s->n;
    for (size_t i = 0; i < s->n; i++) {
        out->v[i] = rv_strdup(s->v[i]);
    }
}

void rv_set_free(struct rv_set *s) {
    for (size_t i = 0; i < s->n; i++) {
        free(s->v[i]);
    }
    free(s->v);
    *s = (struct rv_set){0};
}

void rv_set_format(const struct rv_set *s, struct rv_buf *out) {
    rv_buf_putc(out, '{');
    for (size_t i = 0; i < s->n; i++) {
        if (i > 0) {
            rv_buf_putc(out, ',');
        }
        rv_buf_puts(out, s->v[i]);
    }
    rv_buf_putc(out, '}');
}
