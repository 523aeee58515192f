/*
 * Resources to and from text, as in flags and log lines (attributes-resources.md).
 *
 * What is written by rv_resources_format reads back equal if everything in it is unreserved or has
 * one static reservation: "mem(role):64". The rest has a form for the eye only: a dynamic
 * reservation "(role,principal)", one pair of parentheses for each of a stack, "[id]" for a
 * persistent volume, "{REV}" for revocable, "<SHARED>" for shared, "@role" for the allocation.
 */
#include <stdlib.h>

#include "base/fixed.h"
#include "model/ids.h"
#include "model/value_text.h"

static const char how[] = "write name:4, name:[1-2] or name:{a,b}";

struct token {
    struct rv_str text;
    size_t at; /* bytes from the start */
};

static int refuse(struct rv_error *err, const struct token *t, const char *why) {
    return rv_error_set(err, RV_ERR_INVALID, "resources: '%.*s' at byte %zu: %s; %s",
                        RV_TEXT_ARGS(t->text), t->at, why, how);
}

/* Splits "name(role)" and checks both. */
static const char *parse_name(struct rv_str head, const char *default_role, char **name,
                              char **role) {
    struct rv_str in_parens = {0};
    const char *open = memchr(head.s, '(', head.n);
    if (open) {
        if (head.s[head.n - 1] != ')') {
            return "the ')' behind the role is missing";
        }
        in_parens = rv_text_trim((struct rv_str){open + 1, (size_t)(head.s + head.n - open) - 2});
        head = rv_text_trim((struct rv_str){head.s, (size_t)(open - head.s)});
    }
    if (head.n == 0) {
        return "the name is missing";
    }
    for (size_t i = 0; i < head.n; i++) {
        if (strchr("()[]{}<>,@", head.s[i]) || (unsigned char)head.s[i] < 0x20) {
            return "a name must not contain brackets, ',', '@' or control characters";
        }
    }
    _cleanup_free_ char *given =
        open ? rv_strndup(in_parens.s, in_parens.n) : rv_strdup(default_role);
    const char *problem = given ? rv_role_problem(given) : NULL;
    if (problem) {
        return problem;
    }
    *name = rv_strndup(head.s, head.n);
    *role = given && strcmp(given, "*") != 0 ? TAKE_PTR(given) : NULL;
    return NULL;
}

static const char *parse_amount(struct rv_str value, enum rv_value_type *type,
                                struct rv_resource *out) {
    if (value.n == 0) {
        return "the value is missing";
    }
    if (value.s[0] == '[') {
        *type = RV_RANGES;
        return rv_text_ranges(value, &out->ranges);
    }
    if (value.s[0] == '{') {
        *type = RV_SET;
        return rv_text_set(value, &out->set);
    }
    *type = RV_SCALAR;
    switch (rv_text_scalar(value, &out->scalar)) {
    case RV_NUMBER_NOT:
        return "not a number";
    case RV_NUMBER_TOO_LARGE:
        return "the number is too large";
    case RV_NUMBER_OK:
        break;
    }
    return out->scalar < 0 ? "a resource cannot be negative" : NULL;
}

static bool other_type_of_name(const struct rv_resources *in, const struct rv_kind *k) {
    for (size_t i = 0; i < in->n; i++) {
        if (in->v[i].kind->type != k->type && strcmp(in->v[i].kind->name, k->name) == 0) {
            return true;
        }
    }
    return false;
}

static const char *parse_token(struct rv_str text, const char *default_role,
                               struct rv_resources *out) {
    struct rv_str value = text;
    struct rv_str head = rv_text_next(&value, ':');
    if (!value.s) {
        return "the ':' is missing";
    }
    _cleanup_free_ char *name = NULL;
    _cleanup_free_ char *role = NULL;
    const char *problem =
        head.n ? parse_name(head, default_role, &name, &role) : "the name is missing";
    if (problem) {
        return problem;
    }
    struct rv_reservation reservation = {.role = role};
    struct rv_kind template = {
        .name = name, .reservations = &reservation, .n_reservations = role ? 1 : 0};
    struct rv_resource one = {.copies = 1};
    problem = parse_amount(rv_text_trim(value), &template.type, &one);
    if (problem) {
        return problem;
    }
    one.kind = rv_kind_new(&template);
    if (other_type_of_name(out, one.kind)) {
        problem = "the name stands before with a value of another type";
    } else {
        rv_resources_add_one(out, &one);
    }
    rv_resource_clear(&one);
    return problem;
}

int rv_resources_parse(const char *text, const char *default_role, struct rv_resources *out,
                       struct rv_error *err) {
    _cleanup_(rv_resources_free) struct rv_resources parsed = {0};
    for (struct rv_str rest = rv_str(text); rest.s;) {
        struct token t = {.text = rv_text_next(&rest, ';')};
        if (t.text.n == 0) {
            continue; /* a ';' at the end does no harm */
        }
        t.at = (size_t)(t.text.s - text);
        const char *problem = parse_token(t.text, default_role, &parsed);
        if (problem) {
            return refuse(err, &t, problem);
        }
    }
    for (size_t i = 0; i < parsed.n; i++) {
        const struct rv_resource *one = &parsed.v[i];
        if ((one->kind->type == RV_SCALAR && one->scalar > RV_FIXED_MAX) ||
            (one->kind->type == RV_RANGES && rv_ranges_count(&one->ranges) > RV_RANGES_COUNT_MAX)) {
            return rv_error_set(err, RV_ERR_INVALID, "resources: the sum of all %s is too large",
                                one->kind->name);
        }
    }
    rv_resources_move(out, &parsed);
    return 0;
}

static void format_kind(const struct rv_kind *k, struct rv_buf *out) {
    rv_buf_puts(out, k->name);
    if (k->allocation_role) {
        rv_buf_putc(out, '@');
        rv_buf_puts(out, k->allocation_role);
    }
    for (size_t i = 0; i < k->n_reservations; i++) {
        const struct rv_reservation *r = &k->reservations[i];
        rv_buf_putc(out, '(');
        rv_buf_puts(out, r->role);
        if (r->dynamic) {
            rv_buf_putc(out, ',');
            rv_buf_puts(out, r->principal ? r->principal : "");
        }
        rv_buf_putc(out, ')');
    }
    if (rv_kind_is_volume(k)) {
        rv_buf_putc(out, '[');
        rv_buf_puts(out, k->disk->persistence_id);
        rv_buf_putc(out, ']');
    }
    if (k->revocable) {
        rv_buf_puts(out, "{REV}");
    }
    if (k->shared) {
        rv_buf_puts(out, "<SHARED>");
    }
}

void rv_resources_format(const struct rv_resources *r, struct rv_buf *out) {
    for (size_t i = 0; i < r->n; i++) {
        const struct rv_resource *one = &r->v[i];
        char number[24];
        if (i > 0) {
            rv_buf_puts(out, "; ");
        }
        format_kind(one->kind, out);
        rv_buf_putc(out, ':');
        if (one->kind->type == RV_SCALAR) {
            rv_fixed_format(one->scalar, number);
            rv_buf_puts(out, number);
        } else if (one->kind->type == RV_RANGES) {
            rv_ranges_format(&one->ranges, out);
        } else if (one->kind->type == RV_SET) {
            rv_set_format(&one->set, out);
        }
    }
}
