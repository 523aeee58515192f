/* Tables and JSON, see output.h. A table is held whole, since its widths need all rows. */
#include "cli/output.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/fixed.h"
#include "wire/tree.h"

#define BOLD "\033[1m"

/* --- JSON --- */

void rv_cli_json_string(const char *s, struct rv_buf *out) {
    rv_buf_putc(out, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            rv_buf_printf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            rv_buf_printf(out, "\\u%04x", c);
        else
            rv_buf_putc(out, (char)c);
    }
    rv_buf_putc(out, '"');
}

static void new_line(struct rv_buf *out, size_t depth) {
    rv_buf_putc(out, '\n');
    for (size_t i = 0; i < depth; i++)
        rv_buf_puts(out, "  ");
}

void rv_cli_json_pretty(struct rv_str json, struct rv_buf *out) {
    bool quoted = false;
    size_t depth = 0;

    for (size_t i = 0; i < json.n; i++) {
        char c = json.s[i];
        if (quoted) {
            rv_buf_putc(out, c);
            if (c == '\\' && i + 1 < json.n)
                rv_buf_putc(out, json.s[++i]);
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
            rv_buf_putc(out, c);
        } else if (c == '{' || c == '[') {
            rv_buf_putc(out, c);
            if (i + 1 < json.n && (json.s[i + 1] == '}' || json.s[i + 1] == ']'))
                rv_buf_putc(out, json.s[++i]);
            else
                new_line(out, ++depth);
        } else if (c == '}' || c == ']') {
            new_line(out, depth ? --depth : 0);
            rv_buf_putc(out, c);
        } else if (c == ',') {
            rv_buf_putc(out, c);
            new_line(out, depth);
        } else if (c == ':')
            rv_buf_puts(out, ": ");
        else if (!strchr(" \t\r\n", c))
            rv_buf_putc(out, c);
    }
    rv_buf_putc(out, '\n');
}

/* --- colours --- */

bool rv_cli_colours(FILE *file) {
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    return isatty(fileno(file)) && !(no && *no) && term && !rv_streq(term, "dumb");
}

const char *rv_cli_state_colour(const char *state) {
    static const struct {
        const char *state, *colour;
    } colours[] = {
        {"running", "\033[32m"},      {"active", "\033[32m"},     {"finished", "\033[34m"},
        {"failed", "\033[31m"},       {"error", "\033[31m"},      {"lost", "\033[31m"},
        {"dropped", "\033[31m"},      {"gone", "\033[31m"},       {"unreachable", "\033[31m"},
        {"killed", "\033[33m"},       {"killing", "\033[33m"},    {"deactivated", "\033[33m"},
        {"draining", "\033[33m"},     {"drained", "\033[33m"},    {"inactive", "\033[33m"},
        {"disconnected", "\033[33m"}, {"recovering", "\033[33m"},
    };

    for (size_t i = 0; i < RV_COUNT(colours); i++)
        if (rv_streq(state, colours[i].state))
            return colours[i].colour;
    return "";
}

/* --- cells --- */

void rv_cli_table_init(struct rv_cli_table *t, const struct rv_cli_column *columns, size_t n) {
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    *t = (struct rv_cli_table){.columns = columns, .n_columns = n};
    t->now_s = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void rv_cli_table_free(struct rv_cli_table *t) {
    for (size_t i = 0; i < t->cells.n; i++)
        free(t->cells.v[i]);
    rv_vec_free(&t->cells);
}

void rv_cli_cell(struct rv_cli_table *t, const char *text) {
    rv_vec_push(&t->cells, rv_strdup(text));
}

void rv_cli_cell_fixed(struct rv_cli_table *t, int64_t thousandths) {
    char text[24];

    rv_fixed_format(thousandths, text);
    rv_cli_cell(t, text);
}

void rv_cli_cell_ratio(struct rv_cli_table *t, int64_t used, int64_t total) {
    char u[24], of[24];

    rv_fixed_format(used, u);
    rv_fixed_format(total, of);
    rv_vec_push(&t->cells, rv_asprintf("%s/%s", u, of));
}

/* As the codec writes them: the shortest text that reads back the same. */
void rv_cli_cell_number(struct rv_cli_table *t, double number) {
    char text[RV_WIRE_NUMBER_MAX];

    if (!isfinite(number)) {
        rv_cli_cell(t, NULL);
        return;
    }
    size_t n = fabs(number) < 1e15 && number == floor(number)
                   ? rv_wire_put_i64(text, (int64_t)number)
                   : rv_wire_put_double(text, number);
    rv_vec_push(&t->cells, rv_strndup(text, n));
}

void rv_cli_cell_time(struct rv_cli_table *t, double seconds) {
    rv_cli_cell_number(t, seconds > 0 ? seconds : NAN);
}

/* --- printing --- */

static char *age(double seconds) {
    int64_t s = seconds > 0 ? (int64_t)seconds : 0;

    if (s < 60)
        return rv_asprintf("%llds", (long long)s);
    if (s < 3600)
        return rv_asprintf("%lldm%02llds", (long long)(s / 60), (long long)(s % 60));
    if (s < 86400)
        return rv_asprintf("%lldh%02lldm", (long long)(s / 3600), (long long)(s / 60 % 60));
    return rv_asprintf("%lldd%02lldh", (long long)(s / 86400), (long long)(s / 3600 % 24));
}

static char *shown(const struct rv_cli_table *t, const struct rv_cli_column *c, const char *cell,
                   enum rv_cli_format format, struct rv_arena *arena) {
    double seconds;

    if (!cell)
        return rv_strdup("-");
    if (c->kind == RV_CLI_CELL_ID && c->ids && format == RV_CLI_TABLE)
        return rv_strdup(rv_cli_id_short((struct rv_cli_ids *)(uintptr_t)c->ids, cell, arena));
    if (c->kind == RV_CLI_CELL_TIME && !rv_parse_double(cell, &seconds))
        return age(t->now_s - seconds);
    /* What others wrote (names, messages) must not steer the terminal. */
    char *text = rv_strdup(cell);
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    return text;
}

/* Characters, not bytes: what follows a first byte of UTF-8 takes no place of its own. */
static size_t width_of(const char *s) {
    size_t n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void put_cell(struct rv_buf *out, const char *text, size_t width, bool right, bool last,
                     const char *colour) {
    size_t used = width_of(text), pad = width > used ? width - used : 0;

    for (size_t i = 0; right && i < pad; i++)
        rv_buf_putc(out, ' ');
    rv_buf_puts(out, colour);
    rv_buf_puts(out, text);
    if (*colour)
        rv_buf_puts(out, RV_CLI_PLAIN);
    for (size_t i = 0; !right && !last && i < pad; i++)
        rv_buf_putc(out, ' ');
    rv_buf_puts(out, last ? "\n" : "  ");
}

static void print_table(const struct rv_cli_table *t, enum rv_cli_format format,
                        struct rv_buf *out) {
    size_t n_rows = t->cells.n / t->n_columns, last = 0;
    _cleanup_free_ char **texts = rv_calloc(t->cells.n + 1, sizeof *texts);
    _cleanup_free_ size_t *widths = rv_calloc(t->n_columns, sizeof *widths);
    _cleanup_free_ bool *hidden = rv_calloc(t->n_columns, sizeof *hidden);
    bool colours = rv_cli_colours(stdout);
    struct rv_arena arena;

    rv_arena_init(&arena);
    for (size_t c = 0; c < t->n_columns; c++) {
        const struct rv_cli_column *column = &t->columns[c];
        hidden[c] = (column->where & RV_CLI_ONLY_JSON) ||
                    ((column->where & RV_CLI_ONLY_WIDE) && format != RV_CLI_WIDE);
        if (hidden[c])
            continue;
        last = c;
        widths[c] = width_of(column->title);
        for (size_t r = 0; r < n_rows; r++) {
            size_t i = r * t->n_columns + c;
            texts[i] = shown(t, column, t->cells.v[i], format, &arena);
            widths[c] = RV_MAX(widths[c], width_of(texts[i]));
        }
    }
    for (size_t r = 0; r <= n_rows; r++)
        for (size_t c = 0; c < t->n_columns; c++) {
            const struct rv_cli_column *column = &t->columns[c];
            const char *text = r ? texts[(r - 1) * t->n_columns + c] : column->title;
            bool state = r && colours && column->kind == RV_CLI_CELL_STATE;
            if (!hidden[c])
                put_cell(out, text, widths[c],
                         column->kind == RV_CLI_CELL_NUMBER || column->kind == RV_CLI_CELL_RATIO,
                         c == last,
                         state           ? rv_cli_state_colour(text)
                         : !r && colours ? BOLD
                                         : "");
        }
    for (size_t i = 0; i < t->cells.n; i++)
        free(texts[i]);
    rv_arena_free(&arena);
}

static void print_json(const struct rv_cli_table *t, struct rv_buf *out) {
    _cleanup_(rv_buf_free) struct rv_buf json = {0};

    rv_buf_putc(&json, '[');
    for (size_t i = 0; i < t->cells.n; i++) {
        const struct rv_cli_column *column = &t->columns[i % t->n_columns];
        const char *cell = t->cells.v[i];
        bool number = column->kind == RV_CLI_CELL_NUMBER || column->kind == RV_CLI_CELL_TIME;
        if (i % t->n_columns == 0)
            rv_buf_puts(&json, i ? ",{" : "{");
        if (!(column->where & RV_CLI_NOT_JSON)) {
            if (json.data[json.n - 1] != '{')
                rv_buf_putc(&json, ',');
            rv_cli_json_string(column->key, &json);
            rv_buf_putc(&json, ':');
            if (!cell)
                rv_buf_puts(&json, "null");
            else if (number)
                rv_buf_puts(&json, cell);
            else
                rv_cli_json_string(cell, &json);
        }
        if (i % t->n_columns == t->n_columns - 1)
            rv_buf_putc(&json, '}');
    }
    rv_buf_putc(&json, ']');
    rv_cli_json_pretty(rv_buf_str(&json), out);
}

void rv_cli_table_print(const struct rv_cli_table *t, enum rv_cli_format format) {
    _cleanup_(rv_buf_free) struct rv_buf out = {0};

    if (format == RV_CLI_JSON)
        print_json(t, &out);
    else
        print_table(t, format, &out);
    fwrite(out.data, 1, out.n, stdout);
}
