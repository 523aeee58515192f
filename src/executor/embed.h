/*
 * The executor's program, which the one binary carries: a static ELF image. Whoever launches it
 * writes it to a file once and executes that.
 */
#ifndef RV_EXECUTOR_EMBED_H
#define RV_EXECUTOR_EMBED_H

#include <stddef.h>

extern const unsigned char rv_executor_elf[];
extern const size_t rv_executor_elf_size; /* bytes */

#endif
