/* Forms, one pair of name and value after the other. Pure; the arena holds what is decoded. */
#include "wire/form.h"

/* Up to that byte, or all; rest is what comes behind it. */
static struct rv_str cut(struct rv_str *rest, char at) {
    const char *found = rest->n ? memchr(rest->s, at, rest->n) : NULL;
    struct rv_str head = {rest->s, found ? (size_t)(found - rest->s) : rest->n};

    *rest = found ? rv_strn(found + 1, rest->n - head.n - 1) : rv_strn(NULL, 0);
    return head;
}

/* NULL: it is not well-formed. */
static char *decoded(struct rv_str raw, struct rv_arena *arena) {
    char *out = rv_arena_alloc(arena, raw.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < raw.n; i++) {
        int c = raw.s[i] == '+' ? ' ' : (unsigned char)raw.s[i];

        if (c == '%') {
            int high = raw.n - i > 2 ? rv_hex_digit(raw.s[i + 1]) : -1;
            int low = high >= 0 ? rv_hex_digit(raw.s[i + 2]) : -1;

            if (low < 0)
                return NULL;
            c = high * 16 + low;
            i += 2;
        }
        if (!c)
            return NULL;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return out;
}

int rv_wire_form_value(struct rv_str form, const char *name, struct rv_arena *arena, char **out,
                       struct rv_error *err) {
    while (form.n) {
        struct rv_str value = cut(&form, '&'), raw = cut(&value, '=');
        const char *key = decoded(raw, arena);
        char *text;

        if (!key || !rv_streq(key, name))
            continue;
        text = decoded(value, arena);
        if (!text)
            return rv_error_set(err, RV_ERR_INVALID,
                                "'%s' of the form: '%%' needs two hexadecimal digits behind it, "
                                "and not those of a zero byte",
                                name);
        *out = text;
        return 0;
    }
    *out = NULL;
    return 0;
}
