/*
 * What a verb shows: a table for people with aligned columns, or the same rows as JSON. Colours
 * are for terminals only, and not where NO_COLOR is set.
 */
#ifndef RV_CLI_OUTPUT_H
#define RV_CLI_OUTPUT_H

#include <stdio.h>

#include "cli/common.h"
#include "cli/ids.h"

enum rv_cli_kind {
    RV_CLI_CELL_TEXT,
    RV_CLI_CELL_ID,     /* shortened in tables; whole in the others */
    RV_CLI_CELL_NUMBER, /* to the right; a number in JSON */
    RV_CLI_CELL_STATE,  /* coloured */
    RV_CLI_CELL_TIME,   /* seconds since the epoch; tables show how long ago */
    RV_CLI_CELL_RATIO,  /* "used/total": to the right, for tables only */
};
enum { RV_CLI_ONLY_WIDE = 1, RV_CLI_ONLY_JSON = 2, RV_CLI_NOT_JSON = 4 };

struct rv_cli_column {
    const char *title, *key; /* in tables, in JSON */
    enum rv_cli_kind kind;
    unsigned where;               /* RV_CLI_ONLY_...; 0: everywhere */
    const struct rv_cli_ids *ids; /* ID: among which its short form must be unique */
};

struct rv_cli_table {
    const struct rv_cli_column *columns;
    size_t n_columns;
    RV_VEC(char *) cells; /* row after row; NULL: nothing */
    double now_s;
};

void rv_cli_table_init(struct rv_cli_table *t, const struct rv_cli_column *columns, size_t n);
void rv_cli_table_free(struct rv_cli_table *t);
/* The next cell of the row, in the order of the columns. */
void rv_cli_cell(struct rv_cli_table *t, const char *text); /* copied; NULL: nothing */
void rv_cli_cell_number(struct rv_cli_table *t, double number);
/* "used/total", thousandths */
void rv_cli_cell_ratio(struct rv_cli_table *t, int64_t used, int64_t total);
void rv_cli_cell_fixed(struct rv_cli_table *t, int64_t thousandths);
/* NULL or 0: nothing. */
void rv_cli_cell_time(struct rv_cli_table *t, double seconds);
/* Prints it on stdout as asked for. */
void rv_cli_table_print(const struct rv_cli_table *t, enum rv_cli_format format);

/* Compact JSON with line breaks and indents. */
void rv_cli_json_pretty(struct rv_str json, struct rv_buf *out);
/* A JSON string with its quotes. */
void rv_cli_json_string(const char *s, struct rv_buf *out);

/* Whether colours fit on this file. */
bool rv_cli_colours(FILE *file);
/* The colour of a task's, agent's or framework's state: an escape sequence, "" for none. */
const char *rv_cli_state_colour(const char *state);
#define RV_CLI_PLAIN "\033[0m"

#endif
