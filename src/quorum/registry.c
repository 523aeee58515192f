/* What the engines of the registry have in common: limits, and the tally that shows damage. */
#include "quorum/registry.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/memory.h"

int rv_registry_agrees(const struct rv_registry_tally *kept, const struct rv_registry_tally *found,
                       const char *place, struct rv_error *err) {
    if (kept->records != found->records)
        return rv_error_set(err, RV_ERR_CORRUPT,
                            "%s: the registry is damaged: it has %" PRIu64 " records, but should "
                            "have %" PRIu64,
                            place, found->records, kept->records);
    if (kept->sum != found->sum)
        return rv_error_set(err, RV_ERR_CORRUPT,
                            "%s: the registry is damaged: its records are not those that were "
                            "written",
                            place);
    return 0;
}

int rv_registry_check_change(const struct rv_registry_change *c, struct rv_error *err) {
    if (strlen(c->key) > RV_REGISTRY_KEY_MAX)
        return rv_error_set(err, RV_ERR_LIMIT, "registry: a key of more than %d bytes: %.40s...",
                            RV_REGISTRY_KEY_MAX, c->key);
    if (c->value.s && c->value.n > RV_REGISTRY_VALUE_MAX)
        return rv_error_set(err, RV_ERR_LIMIT,
                            "registry: record %s has %zu bytes; more than %d are not taken", c->key,
                            c->value.n, RV_REGISTRY_VALUE_MAX);
    return 0;
}

struct rv_registry_change *rv_registry_changes_copy(const struct rv_registry_change *v, size_t n) {
    struct rv_registry_change *copy = rv_calloc(n + 1, sizeof *copy);

    for (size_t i = 0; i < n; i++) {
        struct rv_str value = v[i].value;
        copy[i].key = rv_strdup(v[i].key);
        copy[i].value = value.s ? rv_strn(rv_memdup(value.s, value.n), value.n) : value;
    }
    return copy;
}

void rv_registry_changes_free(struct rv_registry_change *v, size_t n) {
    for (size_t i = 0; i < n; i++) {
        free((void *)(uintptr_t)v[i].key);
        free((void *)(uintptr_t)v[i].value.s);
    }
    free(v);
}
