/*
 * Numbers between text and memory. Integers are exact in all 64 bits; doubles go out as the
 * shortest decimal that reads back the same. The common cases (few decimals) never reach the C
 * library.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/tree.h"

size_t rv_wire_put_i64(char *out, int64_t v) {
    if (v >= 0) {
        return rv_put_u64(out, (uint64_t)v);
    }
    *out = '-';
    return 1 + rv_put_u64(out + 1, -(uint64_t)v);
}

/* A non-negative double that is k / scale for an integer k below 2^52 is read back from exactly
 * that decimal, and no shorter one does: there doubles lie closer to each other than decimals of
 * that many places, so that no two of these are the same double. (Times in microseconds have 16
 * digits.) */
static size_t put_scaled(char *out, double d, uint64_t scale) {
    double product = d * (double)scale + 0.5;
    if (product >= 0x1p52) {
        return 0;
    }
    uint64_t k = (uint64_t)product;
    if ((double)k / (double)scale != d) {
        return 0;
    }
    size_t n = rv_put_u64(out, k / scale);
    out[n++] = '.';
    uint64_t rest = k % scale;
    do {
        scale /= 10;
        out[n++] = (char)('0' + rest / scale);
        rest %= scale;
    } while (rest);
    return n;
}

size_t rv_wire_put_double(char *out, double d) {
    size_t n = 0;
    if (signbit(d)) {
        out[n++] = '-';
        d = -d;
    }
    size_t size = put_scaled(out + n, d, 1000);
    if (size == 0) {
        size = put_scaled(out + n, d, 1000000);
    }
    if (size > 0) {
        return n + size;
    }
    for (int precision = 15; precision <= 17; precision++) {
        size = (size_t)snprintf(out + n, RV_WIRE_NUMBER_MAX - n, "%.*g", precision, d);
        if (precision == 17 || strtod(out + n, NULL) == d) {
            break;
        }
    }
    if (!memchr(out + n, '.', size) && !memchr(out + n, 'e', size)) {
        memcpy(out + n + size, ".0", 2);
        size += 2;
    }
    return n + size;
}

static size_t digits(const char *s, size_t n) {
    size_t i = 0;
    while (i < n && s[i] >= '0' && s[i] <= '9') {
        i++;
    }
    return i;
}

size_t rv_wire_scan_number(const char *s, size_t n) {
    size_t i = n > 0 && s[0] == '-' ? 1 : 0;
    size_t whole = digits(s + i, n - i);
    if (whole == 0) {
        return 0;
    }
    i += s[i] == '0' ? 1 : whole;
    if (i < n && s[i] == '.') {
        size_t decimals = digits(s + i + 1, n - i - 1);
        if (decimals == 0) {
            return 0;
        }
        i += 1 + decimals;
    }
    if (i < n && (s[i] == 'e' || s[i] == 'E')) {
        size_t sign = i + 1 < n && (s[i + 1] == '+' || s[i + 1] == '-') ? 1 : 0;
        size_t exponent = digits(s + i + 1 + sign, n - i - 1 - sign);
        if (exponent == 0) {
            return 0;
        }
        i += 1 + sign + exponent;
    }
    return i;
}

bool rv_wire_read_double(struct rv_str s, double *out) {
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    uint64_t mantissa = 0;
    size_t n_digits = 0, n_decimals = 0, i = 0;
    bool negative = s.n > 0 && s.s[0] == '-', point = false;
    for (i = negative; i < s.n && n_digits <= 15; i++) {
        if (s.s[i] == '.') {
            point = true;
        } else if (s.s[i] >= '0' && s.s[i] <= '9') {
            mantissa = mantissa * 10 + (uint64_t)(s.s[i] - '0');
            n_digits++;
            n_decimals += point;
        } else {
            break;
        }
    }
    if (i == s.n && n_digits <= 15) {
        /* Both are exact, so the quotient is the nearest double. */
        double d = (double)mantissa / powers[n_decimals];
        *out = negative ? -d : d;
        return true;
    }
    char small[64], *large = NULL;
    char *text = s.n < sizeof small ? small : (large = (char *)rv_malloc(s.n + 1));
    memcpy(text, s.s, s.n);
    text[s.n] = '\0';
    double d = strtod(text, NULL);
    free(large);
    if (!isfinite(d)) {
        return false;
    }
    *out = d;
    return true;
}

bool rv_wire_read_integer(struct rv_str s, bool *negative, uint64_t *magnitude) {
    bool minus = s.n > 0 && s.s[0] == '-';
    size_t n = digits(s.s + minus, s.n - minus);
    uint64_t v = 0;
    if (n + minus == s.n) {
        for (size_t i = minus; i < s.n; i++) {
            if (__builtin_mul_overflow(v, 10, &v) ||
                __builtin_add_overflow(v, (uint64_t)(s.s[i] - '0'), &v)) {
                return false;
            }
        }
    } else {
        double d;
        if (!rv_wire_read_double(s, &d) || d != trunc(d) || fabs(d) >= 0x1p64) {
            return false;
        }
        v = (uint64_t)fabs(d);
    }
    *negative = minus && v != 0;
    *magnitude = v;
    return true;
}
