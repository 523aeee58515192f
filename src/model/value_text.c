/* Reads values from text. Pure; time and memory are linear in the text but for sorting. */
#include <stdlib.h>

#include "base/fixed.h"
#include "model/value_text.h"

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

struct rv_str rv_text_trim(struct rv_str s) {
    while (s.n > 0 && is_blank(s.s[0])) {
        s.s++;
        s.n--;
    }
    while (s.n > 0 && is_blank(s.s[s.n - 1])) {
        s.n--;
    }
    return s;
}

struct rv_str rv_text_next(struct rv_str *rest, char separator) {
    const char *end = rest->n ? memchr(rest->s, separator, rest->n) : NULL;
    struct rv_str part = {rest->s, end ? (size_t)(end - rest->s) : rest->n};
    if (end) {
        *rest = (struct rv_str){end + 1, rest->n - part.n - 1};
    } else {
        *rest = (struct rv_str){0};
    }
    return rv_text_trim(part);
}

/* The grammar by itself, so that "inf", "nan" and "0x1" are never taken for numbers. */
static bool looks_like_number(struct rv_str s) {
    size_t i = 0, digits = 0;
    if (i < s.n && (s.s[i] == '+' || s.s[i] == '-')) {
        i++;
    }
    for (; i < s.n && is_digit(s.s[i]); i++) {
        digits++;
    }
    if (i < s.n && s.s[i] == '.') {
        for (i++; i < s.n && is_digit(s.s[i]); i++) {
            digits++;
        }
    }
    if (digits == 0) {
        return false;
    }
    if (i < s.n && (s.s[i] == 'e' || s.s[i] == 'E')) {
        i++;
        if (i < s.n && (s.s[i] == '+' || s.s[i] == '-')) {
            i++;
        }
        size_t exponent = i;
        while (i < s.n && is_digit(s.s[i])) {
            i++;
        }
        if (i == exponent) {
            return false;
        }
    }
    return i == s.n;
}

enum rv_number rv_text_scalar(struct rv_str s, int64_t *out) {
    if (!looks_like_number(s)) {
        return RV_NUMBER_NOT;
    }
    char text[64];
    double value;
    bool plus = s.s[0] == '+';
    if (s.n - plus >= sizeof text) {
        return RV_NUMBER_TOO_LARGE;
    }
    memcpy(text, s.s + plus, s.n - plus);
    text[s.n - plus] = '\0';
    if (rv_parse_double(text, &value) != 0 || !rv_fixed_from_double(value, out) ||
        *out > RV_FIXED_MAX || *out < -RV_FIXED_MAX) {
        return RV_NUMBER_TOO_LARGE;
    }
    return RV_NUMBER_OK;
}

static bool text_u64(struct rv_str s, uint64_t *out) {
    uint64_t value = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_digit(s.s[i]) || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.s[i] - '0'), &value)) {
            return false;
        }
    }
    *out = value;
    return s.n > 0;
}

/* What stands between the brackets; false if they are not there. */
static bool strip(struct rv_str *s, char open, char close) {
    if (s->n < 2 || s->s[0] != open || s->s[s->n - 1] != close) {
        return false;
    }
    *s = rv_text_trim((struct rv_str){s->s + 1, s->n - 2});
    return true;
}

static size_t count_parts(struct rv_str s) {
    size_t n = 1;
    for (size_t i = 0; i < s.n; i++) {
        n += s.s[i] == ',';
    }
    return n;
}

const char *rv_text_ranges(struct rv_str s, struct rv_ranges *out) {
    if (!strip(&s, '[', ']')) {
        return "the ']' of a list of ranges is missing, or there is something behind it";
    }
    struct rv_ranges ranges = {0};
    if (s.n == 0) {
        *out = ranges;
        return NULL;
    }
    const char *problem = NULL;
    ranges.v = rv_malloc(count_parts(s) * sizeof *ranges.v);
    for (struct rv_str rest = s; rest.s && !problem;) {
        struct rv_str end = rv_text_next(&rest, ',');
        struct rv_str begin = rv_text_next(&end, '-');
        struct rv_range range;
        if (!end.s) {
            problem = "a range needs a '-' between its first and its last number";
        } else if (!text_u64(begin, &range.begin) || !text_u64(rv_text_trim(end), &range.end)) {
            problem = "the ends of a range are whole numbers from 0 to 18446744073709551615";
        } else if (range.begin > range.end) {
            problem = "a range begins after its end";
        } else {
            ranges.v[ranges.n++] = range;
        }
    }
    if (problem) {
        rv_ranges_free(&ranges);
        return problem;
    }
    rv_ranges_normalize(&ranges);
    *out = ranges;
    return NULL;
}

const char *rv_text_set(struct rv_str s, struct rv_set *out) {
    if (!strip(&s, '{', '}')) {
        return "the '}' of a set is missing, or there is something behind it";
    }
    struct rv_set set = {0};
    if (s.n == 0) {
        *out = set;
        return NULL;
    }
    const char *problem = NULL;
    set.v = rv_malloc(count_parts(s) * sizeof *set.v);
    for (struct rv_str rest = s; rest.s && !problem;) {
        struct rv_str item = rv_text_next(&rest, ',');
        if (item.n == 0) {
            problem = "an item of a set is empty";
        } else if (memchr(item.s, '{', item.n) || memchr(item.s, '}', item.n)) {
            problem = "an item of a set must not contain braces";
        } else {
            set.v[set.n++] = rv_strndup(item.s, item.n);
        }
    }
    if (problem) {
        rv_set_free(&set);
        return problem;
    }
    rv_set_normalize(&set);
    *out = set;
    return NULL;
}
