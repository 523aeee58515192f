/* Ids by prefix, see ids.h. Costs: a set is sorted once; a short form is a search in it. */
#include "cli/ids.h"

#include <stdlib.h>

#include "base/str.h"

#define UUID_SIZE 36
#define SHORTEST 8

void rv_cli_ids_add(struct rv_cli_ids *ids, const char *id) {
    rv_vec_push(&ids->all, id);
    ids->sorted = false;
}

void rv_cli_ids_free(struct rv_cli_ids *ids) {
    rv_vec_free(&ids->all);
}

const char *rv_cli_id_end(const char *id) {
    if (strlen(id) < UUID_SIZE + 2 || id[UUID_SIZE] != '-')
        return NULL;
    for (size_t i = 0; i < UUID_SIZE; i++)
        if (i == 8 || i == 13 || i == 18 || i == 23 ? id[i] != '-'
                                                    : !strchr("0123456789abcdefABCDEF", id[i]))
            return NULL;
    return id + UUID_SIZE + 1;
}

int rv_cli_id_match(const char *id, const char *text) {
    const char *end = rv_cli_id_end(id);

    if (!*text)
        return 0;
    if (rv_streq(id, text))
        return 3;
    if (end && rv_streq(end, text))
        return 2;
    return rv_starts_with(id, text) || (end && rv_starts_with(end, text));
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t common_prefix(const char *a, const char *b) {
    size_t n = 0;

    while (a[n] && a[n] == b[n])
        n++;
    return n;
}

/* Another master's ids may have the same end. */
static bool end_is_unique(const struct rv_cli_ids *ids, const char *id, const char *end) {
    for (size_t i = 0; i < ids->all.n; i++) {
        const char *other = rv_cli_id_end(ids->all.v[i]);
        if (rv_streq(other, end) && !rv_streq(ids->all.v[i], id))
            return false;
    }
    return true;
}

/* All ids of one master have its uuid in front: then every end is unique. */
static bool one_master(const struct rv_cli_ids *ids) {
    return ids->all.n && rv_cli_id_end(ids->all.v[0]) &&
           !strncmp(ids->all.v[0], ids->all.v[ids->all.n - 1], UUID_SIZE);
}

const char *rv_cli_id_short(struct rv_cli_ids *ids, const char *id, struct rv_arena *arena) {
    const char *end = rv_cli_id_end(id);
    size_t low = 0, high = ids->all.n, needed = SHORTEST;

    if (!ids->sorted && ids->all.n)
        qsort(ids->all.v, ids->all.n, sizeof *ids->all.v, by_text);
    ids->sorted = true;
    if (end && (one_master(ids) || end_is_unique(ids, id, end)))
        return end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(ids->all.v[middle], id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0)
        needed = RV_MAX(needed, common_prefix(ids->all.v[low - 1], id) + 1);
    while (low < ids->all.n && !strcmp(ids->all.v[low], id))
        low++;
    if (low < ids->all.n)
        needed = RV_MAX(needed, common_prefix(ids->all.v[low], id) + 1);
    /* A character or two saved are not worth a torn word. */
    return needed + 4 >= strlen(id) ? id : rv_arena_strndup(arena, id, needed);
}
