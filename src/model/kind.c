/*
 * Kinds of resources: what identifies a resource apart from its amount. Immutable once made, shared
 * by reference count. A kind is one block of memory, its strings and arrays behind it, so that
 * making one costs one allocation and dropping the last reference one release; blobs are shared.
 *
 * The hash covers all that identifies and comes from contents only: order and equality are the same
 * in every run and on every machine. Comparing costs a pointer, else a hash; only equal kinds at
 * different addresses are compared member by member.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "model/resources.h"

/* --- hashing --- */

static uint64_t mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
    return hash ^ (hash >> 29);
}

static uint64_t mix_string(uint64_t hash, const char *s) {
    return s ? mix(hash, rv_hash(s, strlen(s))) : mix(hash, 1);
}

static uint64_t mix_blob(uint64_t hash, const struct rv_blob *b) {
    return b ? mix(hash, rv_hash(b->data, b->n)) : mix(hash, 2);
}

static uint64_t hash_of(const struct rv_kind *k) {
    uint64_t h = mix_string(0, k->name);
    h = mix(h, (uint64_t)k->type | (uint64_t)k->revocable << 8 | (uint64_t)k->shared << 9 |
                   (uint64_t)k->n_reservations << 16);
    for (size_t i = 0; i < k->n_reservations; i++) {
        const struct rv_reservation *r = &k->reservations[i];
        h = mix(h, r->dynamic ? 3 : 4);
        h = mix_string(h, r->role);
        h = mix_string(h, r->principal);
        h = mix_blob(h, r->labels);
    }
    if (k->disk) {
        h = mix(h, (uint64_t)k->disk->source_type + 5);
        h = mix_string(h, k->disk->persistence_id);
        h = mix_blob(h, k->disk->source);
    }
    h = mix_string(h, k->provider_id);
    return mix_string(h, k->allocation_role);
}

/* --- life --- */

static size_t string_size(const char *s) {
    return s ? strlen(s) + 1 : 0;
}

static char *place(char **next, const char *s) {
    if (!s) {
        return NULL;
    }
    size_t n = strlen(s) + 1;
    char *to = memcpy(*next, s, n);
    *next += n;
    return to;
}

struct rv_kind *rv_kind_new(const struct rv_kind *template) {
    const struct rv_disk *disk = template->disk;
    size_t n = template->n_reservations;
    /* The kind, then the disk, then the reservations, all of pointer alignment, then strings. */
    size_t size = sizeof(struct rv_kind) + (disk ? sizeof *disk : 0) +
                  n * sizeof *template->reservations + string_size(template->name) +
                  string_size(template->allocation_role) + string_size(template->provider_id);
    for (size_t i = 0; i < n; i++) {
        size += string_size(template->reservations[i].role) +
                string_size(template->reservations[i].principal);
    }
    if (disk) {
        size += string_size(disk->persistence_id) + string_size(disk->persistence_principal);
    }
    char *block = rv_malloc(size), *next = block + sizeof(struct rv_kind);
    struct rv_kind *k = (struct rv_kind *)(void *)block;
    *k = *template;
    k->refs = 1;
    if (disk) {
        k->disk = (struct rv_disk *)(void *)next;
        next += sizeof *disk;
    }
    k->reservations = n ? (struct rv_reservation *)(void *)next : NULL;
    next += n * sizeof *k->reservations;
    for (size_t i = 0; i < n; i++) {
        const struct rv_reservation *r = &template->reservations[i];
        k->reservations[i] = (struct rv_reservation){
            r->dynamic, place(&next, r->role), place(&next, r->principal), rv_blob_ref(r->labels)};
    }
    if (disk) {
        *k->disk =
            (struct rv_disk){.persistence_id = place(&next, disk->persistence_id),
                             .persistence_principal = place(&next, disk->persistence_principal),
                             .volume = rv_blob_ref(disk->volume),
                             .source = rv_blob_ref(disk->source),
                             .source_type = disk->source_type};
    }
    k->name = place(&next, template->name);
    k->allocation_role = place(&next, template->allocation_role);
    k->provider_id = place(&next, template->provider_id);
    k->hash = hash_of(k);
    RV_ASSERT(next == block + size);
    return k;
}

struct rv_kind *rv_kind_ref(struct rv_kind *k) {
    k->refs++;
    return k;
}

void rv_kind_unref(struct rv_kind *k) {
    if (!k || --k->refs > 0) {
        return;
    }
    for (size_t i = 0; i < k->n_reservations; i++) {
        rv_blob_unref(k->reservations[i].labels);
    }
    if (k->disk) {
        rv_blob_unref(k->disk->volume);
        rv_blob_unref(k->disk->source);
    }
    free(k);
}

/* --- order --- */

static int compare_numbers(uint64_t a, uint64_t b) {
    return a < b ? -1 : a > b;
}

/* None comes first. */
static int compare_strings(const char *a, const char *b) {
    if (!a || !b) {
        return (a != NULL) - (b != NULL);
    }
    return strcmp(a, b);
}

static int compare_blobs(const struct rv_blob *a, const struct rv_blob *b) {
    if (a == b) {
        return 0;
    }
    if (!a || !b) {
        return a ? 1 : -1;
    }
    return a->n != b->n ? compare_numbers(a->n, b->n) : memcmp(a->data, b->data, a->n);
}

static int compare_reservations(const struct rv_reservation *a, const struct rv_reservation *b) {
    int order = compare_strings(a->role, b->role);
    order = order ? order : compare_numbers(a->dynamic, b->dynamic);
    order = order ? order : compare_strings(a->principal, b->principal);
    return order ? order : compare_blobs(a->labels, b->labels);
}

static int compare_disks(const struct rv_disk *a, const struct rv_disk *b) {
    if (!a || !b) {
        return (a != NULL) - (b != NULL);
    }
    int order = compare_strings(a->persistence_id, b->persistence_id);
    order = order ? order : compare_numbers((uint64_t)a->source_type, (uint64_t)b->source_type);
    return order ? order : compare_blobs(a->source, b->source);
}

/* Everything that identifies, for kinds of one name and as many reservations. */
static int compare_members(const struct rv_kind *a, const struct rv_kind *b) {
    int order = compare_numbers(a->type, b->type);
    for (size_t i = 0; !order && i < a->n_reservations; i++) {
        order = compare_reservations(&a->reservations[i], &b->reservations[i]);
    }
    order = order ? order : compare_strings(a->allocation_role, b->allocation_role);
    order = order ? order : compare_disks(a->disk, b->disk);
    order = order ? order : compare_numbers(a->revocable, b->revocable);
    order = order ? order : compare_numbers(a->shared, b->shared);
    return order ? order : compare_strings(a->provider_id, b->provider_id);
}

int rv_kind_compare(const struct rv_kind *a, const struct rv_kind *b) {
    if (a == b) {
        return 0;
    }
    int order = strcmp(a->name, b->name);
    order = order ? order : compare_numbers(a->n_reservations, b->n_reservations);
    if (!order && a->n_reservations > 0) {
        /* For people's eyes only: unreserved first, then role by role. */
        order = strcmp(rv_kind_reserved_role(a), rv_kind_reserved_role(b));
    }
    order = order ? order : compare_numbers(a->hash, b->hash);
    return order ? order : compare_members(a, b);
}

bool rv_kind_eq(const struct rv_kind *a, const struct rv_kind *b) {
    return a == b || (a->hash == b->hash && rv_kind_compare(a, b) == 0);
}

bool rv_kind_is_same_volume(const struct rv_kind *a, const struct rv_kind *b) {
    return rv_kind_is_volume(a) && rv_kind_is_volume(b) &&
           strcmp(a->disk->persistence_id, b->disk->persistence_id) == 0 &&
           strcmp(rv_kind_reserved_role(a), rv_kind_reserved_role(b)) == 0;
}

const char *rv_kind_reserved_role(const struct rv_kind *k) {
    return k->n_reservations ? k->reservations[k->n_reservations - 1].role : "*";
}
