/*
 * Ids as people write them: by a prefix that only one of them has. The ids that a master gives
 * are its own long id with a short end (-S0, -0007): there the end alone will do too.
 */
#ifndef RV_CLI_IDS_H
#define RV_CLI_IDS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/vec.h"

/* A set of ids. Borrows the strings. */
struct rv_cli_ids {
    struct {
        const char **v;
        size_t n, cap;
    } all;
    bool sorted;
};

void rv_cli_ids_add(struct rv_cli_ids *ids, const char *id);
void rv_cli_ids_free(struct rv_cli_ids *ids);
/* The end of an id that a master gave, "S0"; NULL if it is of another make. */
const char *rv_cli_id_end(const char *id);
/* How much `text` means the id: 3 it is, 2 its end, 1 a prefix of either; 0 not. */
int rv_cli_id_match(const char *id, const char *text);
/* The shortest text, of eight characters or more, that means this id alone; in the arena. */
const char *rv_cli_id_short(struct rv_cli_ids *ids, const char *id, struct rv_arena *arena);

#endif
