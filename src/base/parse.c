/*
 * Numbers, durations and sizes from text, independent of the locale. Every parser takes the whole
 * string or nothing: no blanks, no sign but '-', no rest. RV_ERR_INVALID: not of the form;
 * RV_ERR_LIMIT: of the form, but out of range. Durations are computed in integers, so that
 * "0.1secs" is what it says.
 */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Digits up to the first other character, at least one. */
static int scan_u64(const char **s, uint64_t *out) {
    uint64_t v = 0;
    bool over = false;

    if (!is_digit(**s))
        return -RV_ERR_INVALID;
    for (; is_digit(**s); (*s)++) {
        over |= __builtin_mul_overflow(v, (uint64_t)10, &v);
        over |= __builtin_add_overflow(v, (uint64_t)(**s - '0'), &v);
    }
    if (over)
        return -RV_ERR_LIMIT;
    *out = v;
    return 0;
}

/* The whole string; keeps the complaint about the form before that about the range. */
static int whole_u64(const char *s, uint64_t *out) {
    int r = scan_u64(&s, out);

    return *s ? -RV_ERR_INVALID : r;
}

int rv_parse_u64(const char *s, uint64_t max, uint64_t *out) {
    uint64_t v = 0;
    int r;

    if (!s)
        return -RV_ERR_INVALID;
    r = whole_u64(s, &v);
    if (r < 0)
        return r;
    if (v > max)
        return -RV_ERR_LIMIT;
    *out = v;
    return 0;
}

int rv_parse_i64(const char *s, int64_t min, int64_t max, int64_t *out) {
    uint64_t magnitude = 0;
    bool negative;
    int64_t v;
    int r;

    if (!s)
        return -RV_ERR_INVALID;
    negative = *s == '-';
    r = whole_u64(s + negative, &magnitude);
    if (r < 0)
        return r;
    if (magnitude > (uint64_t)INT64_MAX + negative)
        return -RV_ERR_LIMIT;
    v = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    if (v < min || v > max)
        return -RV_ERR_LIMIT;
    *out = v;
    return 0;
}

/* [-] digits [. digits] [e [+-] digits]; one side of the point may be empty. */
static bool double_form(const char *s) {
    size_t digits = 0;

    if (*s == '-')
        s++;
    for (; is_digit(*s); s++)
        digits++;
    if (*s == '.')
        s++;
    for (; is_digit(*s); s++)
        digits++;
    if (digits == 0)
        return false;
    if (*s == 'e' || *s == 'E') {
        s++;
        if (*s == '-' || *s == '+')
            s++;
        if (!is_digit(*s))
            return false;
        while (is_digit(*s))
            s++;
    }
    return *s == '\0';
}

int rv_parse_double(const char *s, double *out) {
    locale_t c;
    double d;

    if (!s || !double_form(s))
        return -RV_ERR_INVALID;
    c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c)
        return -RV_ERR_INTERNAL;
    d = strtod_l(s, NULL, c);
    freelocale(c);
    if (!isfinite(d))
        return -RV_ERR_LIMIT;
    *out = d;
    return 0;
}

struct unit {
    const char *name;
    uint64_t size;
};

#define NS_SECOND UINT64_C(1000000000)

/* Ascending; the spellings that are written come first. */
static const struct unit durations[] = {
    {"ns", 1},
    {"us", 1000},
    {"ms", 1000000},
    {"secs", NS_SECOND},
    {"mins", 60 * NS_SECOND},
    {"hrs", 3600 * NS_SECOND},
    {"days", 86400 * NS_SECOND},
    {"weeks", 7 * 86400 * NS_SECOND},
};
static const struct unit short_durations[] = {
    {"s", NS_SECOND},
    {"m", 60 * NS_SECOND},
    {"h", 3600 * NS_SECOND},
};
static const struct unit sizes[] = {
    {"B", 1},
    {"KB", UINT64_C(1) << 10},
    {"MB", UINT64_C(1) << 20},
    {"GB", UINT64_C(1) << 30},
    {"TB", UINT64_C(1) << 40},
};

static uint64_t unit_size(const struct unit *units, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++) {
        if (rv_streq(units[i].name, name))
            return units[i].size;
    }
    return 0;
}

int rv_parse_duration_ns(const char *s, int64_t *out) {
    uint64_t whole = 0, fraction = 0, scale = 1, unit;
    unsigned __int128 ns;
    bool negative, digits;
    int r = 0;

    if (!s)
        return -RV_ERR_INVALID;
    negative = *s == '-';
    s += negative;
    digits = is_digit(*s);
    if (digits)
        r = scan_u64(&s, &whole);
    if (*s == '.') {
        s++;
        digits |= is_digit(*s);
        for (; is_digit(*s); s++) {
            if (scale >= UINT64_C(1000000000000000000))
                continue; /* beyond any unit's nanoseconds */
            fraction = fraction * 10 + (uint64_t)(*s - '0');
            scale *= 10;
        }
    }
    unit = unit_size(durations, RV_COUNT(durations), s);
    if (!unit)
        unit = unit_size(short_durations, RV_COUNT(short_durations), s);
    if (!digits || !unit)
        return -RV_ERR_INVALID;
    if (r < 0)
        return r;
    ns = (unsigned __int128)whole * unit + ((unsigned __int128)fraction * unit + scale / 2) / scale;
    if (ns > (uint64_t)INT64_MAX)
        return -RV_ERR_LIMIT;
    *out = negative ? -(int64_t)ns : (int64_t)ns;
    return 0;
}

void rv_format_duration(int64_t ns, char out[32]) {
    uint64_t magnitude = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns, part;
    const struct unit *unit = &durations[0];
    unsigned int thousandths;
    int n;

    /* The largest unit in which three decimals are exact: reading it back gives the same. */
    for (size_t i = RV_COUNT(durations); i-- > 1;) {
        part = durations[i].size / 1000;
        if (magnitude >= durations[i].size && magnitude % part == 0) {
            unit = &durations[i];
            break;
        }
    }
    n = snprintf(out, 32, "%s%llu", ns < 0 ? "-" : "",
                 (unsigned long long)(magnitude / unit->size));
    thousandths = (unsigned int)(magnitude % unit->size / RV_MAX(unit->size / 1000, 1));
    if (thousandths) {
        n += snprintf(out + n, 32 - (size_t)n, ".%03u", thousandths);
        while (out[n - 1] == '0')
            n--;
    }
    (void)snprintf(out + n, 32 - (size_t)n, "%s", unit->name);
}

int rv_parse_bytes(const char *s, uint64_t *out) {
    uint64_t v = 0, unit;
    int r;

    if (!s)
        return -RV_ERR_INVALID;
    r = scan_u64(&s, &v);
    unit = unit_size(sizes, RV_COUNT(sizes), s);
    if (r == -RV_ERR_INVALID || !unit)
        return -RV_ERR_INVALID;
    if (r < 0 || __builtin_mul_overflow(v, unit, &v))
        return -RV_ERR_LIMIT;
    *out = v;
    return 0;
}
