/*
 * The fetcher's program, which the one binary carries, so that libcurl and libarchive are in no
 * process but its own. The agent writes it to a file at start.
 */
#ifndef RV_FETCHER_EMBED_H
#define RV_FETCHER_EMBED_H

#include <stddef.h>

extern const unsigned char rv_fetcher_elf[];
extern const size_t rv_fetcher_elf_size; /* bytes */

#endif
