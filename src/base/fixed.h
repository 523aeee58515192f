/*
 * Scalars are int64 thousandths (three decimals, as the v1 API rounds them). Conversion refuses
 * what is not finite and what would overflow; sums of valid values cannot overflow because a
 * value is at most RV_FIXED_MAX.
 */
#ifndef RV_BASE_FIXED_H
#define RV_BASE_FIXED_H

#include <stdbool.h>
#include <stdint.h>

#define RV_FIXED_ONE 1000
#define RV_FIXED_MAX (INT64_MAX / 1000000) /* thousandths; sums of a million values fit */

bool rv_fixed_from_double(double d, int64_t *out); /* rounds half away from zero; false: refused */
static inline double rv_fixed_to_double(int64_t f) {
    return (double)f / RV_FIXED_ONE;
}
/* Shortest text: "1", "0.5", "0.125"; at most 24 bytes with NUL. */
void rv_fixed_format(int64_t f, char out[24]);

#endif
