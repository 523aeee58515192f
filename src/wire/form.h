/* Bodies of type application/x-www-form-urlencoded: "slaveId=S1&resources=%5B%5D". Linear. */
#ifndef RV_WIRE_FORM_H
#define RV_WIRE_FORM_H

#include "base/error.h"
#include "base/memory.h"
#include "base/str.h"

/* The first value of that name, decoded, in the arena; *out is NULL if there is none.
 * -RV_ERR_INVALID: a '%' without two hexadecimal digits, or a zero byte. */
RV_MUST_USE int rv_wire_form_value(struct rv_str form, const char *name, struct rv_arena *arena,
                                   char **out, struct rv_error *err);

#endif
