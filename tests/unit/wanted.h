/* Which containers of an earlier agent a test wants back, and which of them are there. */
#ifndef RV_TESTS_WANTED_H
#define RV_TESTS_WANTED_H

#include "base/str.h"
#include "containerizer/containerizer.h"

struct wanted {
    const char *const *ids; /* NULL-terminated */
    char there[256];        /* "a b " in the order they were asked for */
    unsigned asked;
};

static bool is_wanted(void *ctx, const struct rv_container_found *found) {
    struct wanted *w = ctx;
    size_t n = strlen(w->there);

    w->asked++;
    for (const char *const *id = w->ids; *id; id++) {
        if (!rv_streq(*id, found->id))
            continue;
        if (found->there)
            snprintf(w->there + n, sizeof w->there - n, "%s ", found->id);
        return true;
    }
    return false;
}

static inline bool is_there(const struct wanted *w, const char *id) {
    _cleanup_free_ char *word = rv_asprintf(" %s ", id), *all = rv_asprintf(" %s", w->there);

    return strstr(all, word) != NULL;
}

#endif
