/* The first line of a small file, such as one that keeps a password out of command lines. */
#ifndef RV_IO_FIRST_LINE_H
#define RV_IO_FIRST_LINE_H

#include "base/error.h"

/* The caller frees. -RV_ERR_INVALID: it is empty, or longer than 4 KiB. */
RV_MUST_USE int rv_first_line(const char *path, char **out, struct rv_error *err);

#endif
