/* Thousandths from and to the doubles of the wire. */
#include "base/fixed.h"

#include <math.h>
#include <stdio.h>

bool rv_fixed_from_double(double d, int64_t *out) {
    double scaled = d * RV_FIXED_ONE, rest;
    int64_t whole;

    if (!isfinite(scaled) || scaled > (double)RV_FIXED_MAX || scaled < -(double)RV_FIXED_MAX)
        return false;
    /* Under 2^52 the difference is exact: this is rounding without the mathematics library. */
    whole = (int64_t)scaled;
    rest = scaled - (double)whole;
    if (rest >= 0.5)
        whole++;
    else if (rest <= -0.5)
        whole--;
    if (whole > RV_FIXED_MAX || whole < -RV_FIXED_MAX)
        return false;
    *out = whole;
    return true;
}

void rv_fixed_format(int64_t f, char out[24]) {
    uint64_t magnitude = f < 0 ? 0 - (uint64_t)f : (uint64_t)f;
    unsigned int thousandths = (unsigned int)(magnitude % RV_FIXED_ONE);
    int n = snprintf(out, 24, "%s%llu", f < 0 ? "-" : "",
                     (unsigned long long)(magnitude / RV_FIXED_ONE));

    if (!thousandths)
        return;
    n += snprintf(out + n, 24 - (size_t)n, ".%03u", thousandths);
    while (out[n - 1] == '0')
        out[--n] = '\0';
}
