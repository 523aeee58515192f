/*
 * Regular expressions: parser, compiler to a small program, and simulation of all threads of that
 * program in step (Thompson, Pike). No backtracking: a match looks at each byte of the text once,
 * and does at most one visit of each instruction for it.
 *
 * Text and pattern are UTF-8; a "." and a class match one code point, as RE2 does. Bytes that are
 * no UTF-8 count as one code point each. Whether a match is greedy does not matter where only the
 * answer yes or no is wanted, so lazy quantifiers are read and treated as the greedy ones.
 *
 * Instructions hold indices, not pointers. Counted repetition copies its operand, hence the limit
 * on the program's size; the parser's recursion is bounded by MAX_DEPTH.
 */
#include "model/regex.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"

enum { MAX_PROGRAM = 10000, MAX_DEPTH = 200, MAX_REPEAT = 1000, MAX_RUNE = 0x10ffff };

struct span {
    uint32_t lo, hi;
};
struct class {
    struct span *v; /* sorted, disjoint */
    size_t n, cap;
};

/* --- the syntax tree, in the arena of one compilation --- */

enum node_kind { NODE_EMPTY, NODE_CLASS, NODE_CAT, NODE_ALT, NODE_REPEAT, NODE_ASSERT };
enum assertion { ASSERT_BEGIN, ASSERT_END, ASSERT_WORD, ASSERT_NOT_WORD };

struct node {
    enum node_kind kind;
    enum assertion assertion;
    size_t class;      /* index into the program's classes */
    struct node *a;    /* REPEAT: the operand; CAT, ALT: the first child */
    struct node *next; /* the next child of the same CAT or ALT */
    unsigned min, max; /* REPEAT; max UINT32_MAX: no end */
};

enum op { OP_CLASS, OP_SPLIT, OP_JUMP, OP_ASSERT, OP_MATCH };

struct instruction {
    enum op op;
    uint32_t x, y; /* SPLIT: both targets; JUMP: x; CLASS: y its index; ASSERT: y which */
};

struct rv_regex {
    struct instruction *code;
    size_t n, cap;
    struct class *classes;
    size_t n_classes, cap_classes;
};

struct parser {
    const char *start, *p;
    unsigned depth;
    bool fold;        /* (?i) */
    bool dot_newline; /* (?s) */
    struct rv_arena arena;
    struct rv_regex *regex;
    struct rv_error *err;
};

/* --- runes and classes --- */

/* Reads one code point; a byte that starts none counts for itself. */
static uint32_t rune_at(const char **p) {
    const unsigned char *s = (const unsigned char *)*p;
    unsigned extra = s[0] >= 0xf0 && s[0] < 0xf5   ? 3
                     : s[0] >= 0xe0 && s[0] < 0xf0 ? 2
                     : s[0] >= 0xc2 && s[0] < 0xe0 ? 1
                                                   : 0;
    uint32_t r = extra == 0 ? s[0] : s[0] & (0x3fu >> extra);
    for (unsigned i = 1; i <= extra; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            *p += 1;
            return s[0];
        }
        r = r << 6 | (s[i] & 0x3fu);
    }
    *p += extra + 1;
    return r;
}

static void class_add(struct class *c, uint32_t lo, uint32_t hi) {
    if (c->n == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 4;
        c->v = rv_realloc(c->v, c->cap * sizeof *c->v);
    }
    c->v[c->n++] = (struct span){lo, hi};
}

static int compare_spans(const void *a, const void *b) {
    const struct span *x = a, *y = b;
    return x->lo != y->lo ? (x->lo < y->lo ? -1 : 1) : x->hi < y->hi ? -1 : x->hi > y->hi;
}

static void class_sort(struct class *c) {
    if (c->n < 2)
        return;
    qsort(c->v, c->n, sizeof *c->v, compare_spans);
    size_t n = 0;
    for (size_t i = 1; i < c->n; i++) {
        if (c->v[i].lo <= c->v[n].hi + 1)
            c->v[n].hi = RV_MAX(c->v[n].hi, c->v[i].hi);
        else
            c->v[++n] = c->v[i];
    }
    c->n = n + 1;
}

/* Sorted in, sorted out. */
static void class_negate(struct class *c) {
    struct class out = {0};
    uint32_t next = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (c->v[i].lo > next)
            class_add(&out, next, c->v[i].lo - 1);
        next = c->v[i].hi + 1;
    }
    if (next <= MAX_RUNE)
        class_add(&out, next, MAX_RUNE);
    free(c->v);
    *c = out;
}

/* ASCII only: names of machines and racks are ASCII. */
static void class_fold(struct class *c) {
    size_t n = c->n;
    for (size_t i = 0; i < n; i++) {
        uint32_t lo = RV_MAX(c->v[i].lo, 'a'), hi = RV_MIN(c->v[i].hi, 'z');
        if (lo <= hi)
            class_add(c, lo - 32, hi - 32);
        lo = RV_MAX(c->v[i].lo, 'A'), hi = RV_MIN(c->v[i].hi, 'Z');
        if (lo <= hi)
            class_add(c, lo + 32, hi + 32);
    }
}

static bool class_has(const struct class *c, uint32_t r) {
    size_t lo = 0, hi = c->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (r > c->v[mid].hi)
            lo = mid + 1;
        else if (r < c->v[mid].lo)
            hi = mid;
        else
            return true;
    }
    return false;
}

struct named_class {
    const char *name;
    const char *spans; /* pairs of characters */
};
static const struct named_class perl_classes[] = {
    {"d", "09"}, {"w", "09AZaz__"}, {"s", "\t\n\f\r  "}};
static const struct named_class posix_classes[] = {{"alnum", "09AZaz"},
                                                   {"alpha", "AZaz"},
                                                   {"ascii", "\001\177"},
                                                   {"blank", "\t\t  "},
                                                   {"cntrl", "\001\037\177\177"},
                                                   {"digit", "09"},
                                                   {"graph", "!~"},
                                                   {"lower", "az"},
                                                   {"print", " ~"},
                                                   {"punct", "!/:@[`{~"},
                                                   {"space", "\t\r  "},
                                                   {"upper", "AZ"},
                                                   {"word", "09AZaz__"},
                                                   {"xdigit", "09AFaf"}};

static void add_named(struct class *to, const struct named_class *named, bool negate) {
    struct class c = {0};
    for (const char *s = named->spans; *s; s += 2)
        class_add(&c, (unsigned char)s[0], (unsigned char)s[1]);
    if (negate) {
        class_sort(&c);
        class_negate(&c);
    }
    for (size_t i = 0; i < c.n; i++)
        class_add(to, c.v[i].lo, c.v[i].hi);
    free(c.v);
}

/* --- parser --- */

static int fail(const struct parser *p, const char *at, const char *what) {
    return rv_error_set(p->err, RV_ERR_INVALID, "%s at offset %zu of the pattern", what,
                        (size_t)(at - p->start));
}

static struct node *new_node(struct parser *p, enum node_kind kind) {
    struct node *n = RV_ARENA_NEW(&p->arena, struct node);
    n->kind = kind;
    return n;
}

/* Takes the class over. */
static struct node *class_node(struct parser *p, struct class *c) {
    struct rv_regex *r = p->regex;
    if (p->fold)
        class_fold(c);
    class_sort(c);
    if (r->n_classes == r->cap_classes) {
        r->cap_classes = r->cap_classes ? r->cap_classes * 2 : 16;
        r->classes = rv_realloc(r->classes, r->cap_classes * sizeof *r->classes);
    }
    r->classes[r->n_classes] = *c;
    *c = (struct class){0};
    struct node *n = new_node(p, NODE_CLASS);
    n->class = r->n_classes++;
    return n;
}

static struct node *rune_node(struct parser *p, uint32_t r) {
    struct class c = {0};
    class_add(&c, r, r);
    return class_node(p, &c);
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* \x41 and \x{10ffff}; p->p stands behind the x. */
static int parse_hex(struct parser *p, const char *at, uint32_t *out) {
    uint32_t r = 0;
    bool braces = *p->p == '{';
    unsigned digits = 0;
    p->p += braces;
    while (hex_digit(*p->p) >= 0 && digits < (braces ? 6u : 2u)) {
        r = r * 16 + (uint32_t)hex_digit(*p->p++);
        digits++;
    }
    if (digits == 0 || (!braces && digits < 2) || (braces && *p->p++ != '}') || r > MAX_RUNE ||
        r == 0)
        return fail(p, at, "bad hexadecimal escape");
    *out = r;
    return 0;
}

/* An escape that stands for one character, in and out of classes; p->p behind the backslash. */
static int parse_escaped_rune(struct parser *p, uint32_t *out) {
    const char *at = p->p - 1;
    char c = *p->p;
    static const char from[] = "aftnrv", to[] = "\a\f\t\n\r\v";
    const char *known = c ? strchr(from, c) : NULL;
    if (known) {
        p->p++;
        *out = (unsigned char)to[known - from];
        return 0;
    }
    if (c == 'x') {
        p->p++;
        return parse_hex(p, at, out);
    }
    if (c == '\0')
        return fail(p, at, "backslash at the end");
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return fail(p, at, "unknown escape");
    *out = rune_at(&p->p);
    return 0;
}

/* \d \D and so on: the class, or NULL. */
static const struct named_class *perl_class(char c, bool *negate) {
    *negate = c >= 'A' && c <= 'Z';
    for (size_t i = 0; i < RV_COUNT(perl_classes); i++)
        if (perl_classes[i].name[0] == (*negate ? c + 32 : c))
            return &perl_classes[i];
    return NULL;
}

/* [:name:] within a class; p->p at the '['. 0 not one, 1 taken, negative error. */
static int parse_posix_class(struct parser *p, struct class *c) {
    if (p->p[1] != ':')
        return 0;
    const char *end = strstr(p->p + 2, ":]");
    if (!end)
        return 0;
    const char *name = p->p + 2;
    bool negate = *name == '^';
    name += negate;
    for (size_t i = 0; i < RV_COUNT(posix_classes); i++) {
        const char *known = posix_classes[i].name;
        if (strlen(known) == (size_t)(end - name) && memcmp(known, name, strlen(known)) == 0) {
            add_named(c, &posix_classes[i], negate);
            p->p = end + 2;
            return 1;
        }
    }
    return fail(p, p->p, "unknown character class");
}

static int parse_class_rune(struct parser *p, uint32_t *out) {
    if (*p->p != '\\') {
        *out = rune_at(&p->p);
        return 0;
    }
    p->p++;
    return parse_escaped_rune(p, out);
}

static int parse_class_item(struct parser *p, struct class *c) {
    if (*p->p == '[') {
        int r = parse_posix_class(p, c);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    bool negate;
    const struct named_class *perl = *p->p == '\\' ? perl_class(p->p[1], &negate) : NULL;
    if (perl) {
        add_named(c, perl, negate);
        p->p += 2;
        return 0;
    }
    const char *at = p->p;
    uint32_t lo, hi;
    int r = parse_class_rune(p, &lo);
    if (r < 0)
        return r;
    hi = lo;
    if (p->p[0] == '-' && p->p[1] != ']' && p->p[1] != '\0') {
        p->p++;
        if ((r = parse_class_rune(p, &hi)) < 0)
            return r;
        if (hi < lo)
            return fail(p, at, "range of a class is backwards");
    }
    class_add(c, lo, hi);
    return 0;
}

static int parse_class(struct parser *p, struct node **out) {
    const char *at = p->p++;
    struct class c = {0};
    bool negate = *p->p == '^';
    p->p += negate;
    bool first = true;
    while (*p->p && (*p->p != ']' || first)) {
        first = false;
        int r = parse_class_item(p, &c);
        if (r < 0) {
            free(c.v);
            return r;
        }
    }
    if (*p->p != ']') {
        free(c.v);
        return fail(p, at, "class without its end ']'");
    }
    p->p++;
    if (negate) {
        if (p->fold)
            class_fold(&c);
        class_sort(&c);
        class_negate(&c);
    }
    bool fold = p->fold;
    p->fold = fold && !negate; /* folding a negated class again would undo it */
    *out = class_node(p, &c);
    p->fold = fold;
    return 0;
}

static int parse_alternation(struct parser *p, struct node **out);

/* "(?:", "(?i)", "(?P<name>", "(?<name>" behind "(?". *flags_only: the group was only flags. */
static int parse_group_head(struct parser *p, const char *at, bool *flags_only) {
    *flags_only = false;
    if ((p->p[0] == 'P' && p->p[1] == '<') ||
        (p->p[0] == '<' && p->p[1] != '=' && p->p[1] != '!')) {
        const char *end = strchr(p->p, '>');
        if (!end || end == strchr(p->p, '<') + 1)
            return fail(p, at, "bad name of a group");
        p->p = end + 1;
        return 0;
    }
    bool on = true;
    for (;; p->p++) {
        switch (*p->p) {
        case 'i':
            p->fold = on;
            break;
        case 's':
            p->dot_newline = on;
            break;
        case 'm': /* lines: ^ and $ stay those of the text, which has one line */
        case 'U':
            break;
        case '-':
            on = false;
            break;
        case ')':
            *flags_only = true;
            p->p++;
            return 0;
        case ':':
            p->p++;
            return 0;
        default:
            return fail(p, at, "unknown kind of group");
        }
    }
}

static int parse_group(struct parser *p, struct node **out) {
    const char *at = p->p++;
    bool fold = p->fold, dot_newline = p->dot_newline;
    if (*p->p == '?') {
        p->p++;
        bool flags_only;
        int r = parse_group_head(p, at, &flags_only);
        if (r < 0)
            return r;
        if (flags_only) { /* hold until the end of the group around */
            *out = new_node(p, NODE_EMPTY);
            return 0;
        }
    }
    if (++p->depth > MAX_DEPTH)
        return rv_error_set(p->err, RV_ERR_LIMIT, "groups are nested deeper than %d", MAX_DEPTH);
    int r = parse_alternation(p, out);
    p->depth--;
    if (r < 0)
        return r;
    if (*p->p != ')')
        return fail(p, at, "group without its end ')'");
    p->p++;
    p->fold = fold;
    p->dot_newline = dot_newline;
    return 0;
}

static struct node *assertion_node(struct parser *p, enum assertion what) {
    struct node *n = new_node(p, NODE_ASSERT);
    n->assertion = what;
    return n;
}

static int parse_escape(struct parser *p, struct node **out) {
    p->p++;
    bool negate;
    const struct named_class *perl = perl_class(*p->p, &negate);
    if (perl) {
        struct class c = {0};
        add_named(&c, perl, negate);
        p->p++;
        *out = class_node(p, &c);
        return 0;
    }
    static const char letters[] = "AzbB";
    const char *found = *p->p ? strchr(letters, *p->p) : NULL;
    if (found) {
        p->p++;
        *out = assertion_node(p, (enum assertion)(found - letters));
        return 0;
    }
    uint32_t r;
    int e = parse_escaped_rune(p, &r);
    if (e == 0)
        *out = rune_node(p, r);
    return e;
}

static int parse_atom(struct parser *p, struct node **out) {
    switch (*p->p) {
    case '(':
        return parse_group(p, out);
    case '[':
        return parse_class(p, out);
    case '\\':
        return parse_escape(p, out);
    case '*':
    case '+':
    case '?':
        return fail(p, p->p, "nothing to repeat");
    case '^':
    case '$':
        *out = assertion_node(p, *p->p++ == '^' ? ASSERT_BEGIN : ASSERT_END);
        return 0;
    case '.': {
        p->p++;
        struct class c = {0};
        if (p->dot_newline) {
            class_add(&c, 1, MAX_RUNE);
        } else {
            class_add(&c, 1, '\n' - 1);
            class_add(&c, '\n' + 1, MAX_RUNE);
        }
        *out = class_node(p, &c);
        return 0;
    }
    default:
        *out = rune_node(p, rune_at(&p->p));
        return 0;
    }
}

static bool parse_number(const char **s, unsigned *out) {
    const char *at = *s;
    unsigned n = 0;
    for (; **s >= '0' && **s <= '9'; (*s)++)
        n = RV_MIN(n * 10 + (unsigned)(**s - '0'), (unsigned)MAX_REPEAT + 1);
    *out = n;
    return *s != at;
}

/* {m}, {m,}, {m,n}; anything else that begins with a brace is literal, as in RE2. False: it is
 * none. */
static bool parse_braces(const char **s, unsigned *min, unsigned *max) {
    const char *q = *s + 1;
    if (!parse_number(&q, min))
        return false;
    *max = *min;
    if (*q == ',') {
        q++;
        if (!parse_number(&q, max))
            *max = UINT32_MAX;
    }
    if (*q != '}')
        return false;
    *s = q + 1;
    return true;
}

static int parse_repeat(struct parser *p, struct node **out) {
    struct node *n;
    int r = parse_atom(p, &n);
    if (r < 0)
        return r;
    bool repeated = false;
    for (;;) {
        const char *at = p->p;
        unsigned min, max;
        if (*at == '*' || *at == '+' || *at == '?') {
            min = *at == '+';
            max = *at == '?' ? 1 : UINT32_MAX;
            p->p++;
        } else if (*at != '{' || !parse_braces(&p->p, &min, &max)) {
            break;
        }
        if (repeated)
            return fail(p, at, "repetition of a repetition");
        if (min > MAX_REPEAT || (max != UINT32_MAX && (max > MAX_REPEAT || max < min)))
            return fail(p, at, "bad repetition count");
        p->p += *p->p == '?';
        struct node *repeat = new_node(p, NODE_REPEAT);
        repeat->a = n;
        repeat->min = min;
        repeat->max = max;
        n = repeat;
        repeated = true;
    }
    *out = n;
    return 0;
}

static int parse_concatenation(struct parser *p, struct node **out) {
    struct node *cat = new_node(p, NODE_CAT);
    struct node **tail = &cat->a;
    while (*p->p && *p->p != '|' && *p->p != ')') {
        int r = parse_repeat(p, tail);
        if (r < 0)
            return r;
        tail = &(*tail)->next;
    }
    *out = cat;
    return 0;
}

static int parse_alternation(struct parser *p, struct node **out) {
    struct node *alt = new_node(p, NODE_ALT);
    struct node **tail = &alt->a;
    for (;;) {
        int r = parse_concatenation(p, tail);
        if (r < 0)
            return r;
        tail = &(*tail)->next;
        if (*p->p != '|')
            break;
        p->p++;
    }
    *out = alt;
    return 0;
}

/* --- compiler --- */

/* The index of the new instruction. Past the limit it only counts: the caller then fails. */
static uint32_t emit(struct rv_regex *r, enum op op, uint32_t x, uint32_t y) {
    if (r->n >= MAX_PROGRAM) {
        r->n = MAX_PROGRAM + 1;
        return 0;
    }
    if (r->n == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 32;
        r->code = rv_realloc(r->code, r->cap * sizeof *r->code);
    }
    r->code[r->n] = (struct instruction){op, x, y};
    return (uint32_t)r->n++;
}

static void compile(struct rv_regex *r, const struct node *n);

static void compile_alternatives(struct rv_regex *r, const struct node *alt) {
    uint32_t last_jump = UINT32_MAX; /* the jumps to the end, chained by x */
    for (const struct node *n = alt->a; n; n = n->next) {
        if (!n->next) {
            compile(r, n);
            break;
        }
        uint32_t split = emit(r, OP_SPLIT, (uint32_t)r->n + 1, 0);
        compile(r, n);
        last_jump = emit(r, OP_JUMP, last_jump, 0);
        if (r->n > MAX_PROGRAM)
            return;
        r->code[split].y = (uint32_t)r->n;
    }
    while (last_jump != UINT32_MAX && r->n <= MAX_PROGRAM) {
        uint32_t before = r->code[last_jump].x;
        r->code[last_jump].x = (uint32_t)r->n;
        last_jump = before;
    }
}

static void compile_repeat(struct rv_regex *r, const struct node *n) {
    for (unsigned i = 0; i < n->min && r->n <= MAX_PROGRAM; i++) {
        size_t before = r->n;
        compile(r, n->a);
        if (r->n == before) /* the operand is empty: once more adds nothing */
            break;
    }
    if (n->max == UINT32_MAX) {
        uint32_t split = emit(r, OP_SPLIT, (uint32_t)r->n + 1, 0);
        compile(r, n->a);
        emit(r, OP_JUMP, split, 0);
        if (r->n <= MAX_PROGRAM)
            r->code[split].y = (uint32_t)r->n;
        return;
    }
    for (unsigned i = n->min; i < n->max && r->n <= MAX_PROGRAM; i++) {
        uint32_t split = emit(r, OP_SPLIT, (uint32_t)r->n + 1, 0);
        compile(r, n->a);
        if (r->n <= MAX_PROGRAM)
            r->code[split].y = (uint32_t)r->n;
    }
}

static void compile(struct rv_regex *r, const struct node *n) {
    if (r->n > MAX_PROGRAM)
        return;
    switch (n->kind) {
    case NODE_EMPTY:
        break;
    case NODE_CLASS:
        emit(r, OP_CLASS, 0, (uint32_t)n->class);
        break;
    case NODE_ASSERT:
        emit(r, OP_ASSERT, 0, (uint32_t)n->assertion);
        break;
    case NODE_CAT:
        for (const struct node *c = n->a; c; c = c->next)
            compile(r, c);
        break;
    case NODE_ALT:
        compile_alternatives(r, n);
        break;
    case NODE_REPEAT:
        compile_repeat(r, n);
        break;
    }
}

int rv_regex_compile(const char *pattern, struct rv_regex **out, struct rv_error *err) {
    struct rv_regex *regex = rv_calloc(1, sizeof *regex);
    struct parser p = {.start = pattern, .p = pattern, .regex = regex, .err = err};
    rv_arena_init(&p.arena);
    struct node *root;
    int r = parse_alternation(&p, &root);
    if (r == 0 && *p.p)
        r = fail(&p, p.p, "')' without a group");
    if (r == 0) {
        compile(regex, root);
        emit(regex, OP_MATCH, 0, 0);
        if (regex->n > MAX_PROGRAM)
            r = rv_error_set(err, RV_ERR_LIMIT, "the pattern needs more than %d instructions",
                             MAX_PROGRAM);
    }
    rv_arena_free(&p.arena);
    if (r < 0)
        rv_regex_free(regex);
    else
        *out = regex;
    return r;
}

struct rv_regex *rv_regex_free(struct rv_regex *r) {
    if (r) {
        for (size_t i = 0; i < r->n_classes; i++)
            free(r->classes[i].v);
        free(r->classes);
        free(r->code);
        free(r);
    }
    return NULL;
}

/* --- simulation --- */

/* The instructions that wait for the next character, each once. */
struct threads {
    uint32_t *v;
    size_t n;
};

struct run {
    const struct rv_regex *regex;
    uint32_t *seen; /* by instruction: the step that visited it last */
    uint32_t *stack;
    uint32_t step;
    const char *text, *at;
};

static bool is_word(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool assertion_holds(const struct run *run, uint32_t what) {
    bool before = run->at > run->text && is_word(run->at[-1]);
    bool after = is_word(*run->at);
    switch ((enum assertion)what) {
    case ASSERT_BEGIN:
        return run->at == run->text;
    case ASSERT_END:
        return *run->at == '\0';
    case ASSERT_WORD:
        return before != after;
    case ASSERT_NOT_WORD:
        return before == after;
    }
    return false;
}

/* Adds an instruction and all that it reaches without reading. True: the match is reached. Each
 * instruction goes on the stack at most twice (it has at most two successors, and is expanded
 * once), so a stack of 2n + 1 suffices. */
static bool add_thread(struct run *run, struct threads *to, uint32_t pc) {
    bool matched = false;
    size_t depth = 0;
    run->stack[depth++] = pc;
    while (depth > 0) {
        pc = run->stack[--depth];
        if (run->seen[pc] == run->step)
            continue;
        run->seen[pc] = run->step;
        const struct instruction *i = &run->regex->code[pc];
        switch (i->op) {
        case OP_CLASS:
            to->v[to->n++] = pc;
            break;
        case OP_SPLIT:
            run->stack[depth++] = i->y;
            run->stack[depth++] = i->x;
            break;
        case OP_JUMP:
            run->stack[depth++] = i->x;
            break;
        case OP_ASSERT:
            if (assertion_holds(run, i->y))
                run->stack[depth++] = pc + 1;
            break;
        case OP_MATCH:
            matched = true;
            break;
        }
    }
    return matched;
}

bool rv_regex_matches_all(const struct rv_regex *r, const char *text) {
    /* seen, stack (2n + 1) and two lists of threads, in one block. */
    uint32_t *memory = rv_calloc(r->n * 5 + 1, sizeof *memory);
    struct run run = {r, memory, memory + r->n, 1, text, text};
    struct threads now = {memory + r->n * 3 + 1, 0}, next = {memory + r->n * 4 + 1, 0};
    bool matched = add_thread(&run, &now, 0);
    while (*run.at && now.n > 0) {
        uint32_t rune = rune_at(&run.at);
        run.step++;
        matched = false;
        next.n = 0;
        for (size_t i = 0; i < now.n; i++) {
            uint32_t pc = now.v[i];
            if (class_has(&r->classes[r->code[pc].y], rune))
                matched |= add_thread(&run, &next, pc + 1);
        }
        struct threads t = now;
        now = next;
        next = t;
    }
    matched &= *run.at == '\0';
    free(memory);
    return matched;
}
