/*
 * Flags from the command line, the environment, a file and the table's defaults, in that order of
 * precedence; in one of them a flag is given once. Values live in the caller's struct; strings in
 * it are owned.
 */
#include "daemon/flags.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "io/zk_url.h"

#define ROW(strukt, type, name, fallback, help)                                                    \
    {#name, RV_FLAG_##type, fallback, help, offsetof(struct strukt, name)},

static const struct rv_flag master_flags[] = {
#define X(type, name, fallback, help) ROW(rv_master_flags, type, name, fallback, help)
    RV_MASTER_FLAGS(X)
#undef X
};
static const struct rv_flag agent_flags[] = {
#define X(type, name, fallback, help) ROW(rv_agent_flags, type, name, fallback, help)
    RV_AGENT_FLAGS(X)
#undef X
};
static const struct rv_flag local_flags[] = {
#define X(type, name, fallback, help) ROW(rv_local_flags, type, name, fallback, help)
    RV_LOCAL_FLAGS(X)
#undef X
};

const struct rv_flag_table rv_master_flag_table = {
    "master", "Runs a master: offers the agents' resources to frameworks.", master_flags,
    RV_COUNT(master_flags)};
const struct rv_flag_table rv_agent_flag_table = {
    "agent", "Runs an agent: offers this machine's resources and runs tasks on it.", agent_flags,
    RV_COUNT(agent_flags)};
const struct rv_flag_table rv_local_flag_table = {
    "local", "Runs a master and agents in one process, for one machine.", local_flags,
    RV_COUNT(local_flags)};

static int parse_bool(const char *text, bool *out) {
    static const char *const yes[] = {"true", "1", "yes", "on"};
    static const char *const no[] = {"false", "0", "no", "off"};

    for (size_t i = 0; i < RV_COUNT(yes); i++) {
        if (rv_streq(text, yes[i]))
            return *out = true, 0;
        if (rv_streq(text, no[i]))
            return *out = false, 0;
    }
    return -RV_ERR_INVALID;
}

static const char *type_example(enum rv_flag_type type) {
    switch (type) {
    case RV_FLAG_INT:
        return "a whole number, such as 5050";
    case RV_FLAG_BOOL:
        return "true or false";
    case RV_FLAG_DURATION:
        return "a duration, such as 10secs, 500ms or 2hrs";
    case RV_FLAG_BYTES:
        return "a size, such as 64KB or 8MB";
    case RV_FLAG_DOUBLE:
        return "a number, such as 0.5";
    case RV_FLAG_STRING:
        break;
    }
    return "text";
}

static int set_value(const struct rv_flag *flag, void *flags, const char *text, const char *from,
                     struct rv_error *err) {
    void *at = (char *)flags + flag->offset;
    uint64_t bytes = 0;
    int r = 0;

    switch (flag->type) {
    case RV_FLAG_STRING:
        free(*(char **)at);
        *(char **)at = rv_strdup(text);
        return 0;
    case RV_FLAG_INT:
        r = rv_parse_i64(text, 0, INT64_MAX, at);
        break;
    case RV_FLAG_BOOL:
        r = parse_bool(text, at);
        break;
    case RV_FLAG_DURATION:
        r = rv_parse_duration_ns(text, at);
        break;
    case RV_FLAG_BYTES:
        r = rv_parse_bytes(text, &bytes);
        if (!r && bytes > INT64_MAX)
            r = -RV_ERR_INVALID;
        if (!r)
            *(int64_t *)at = (int64_t)bytes;
        break;
    case RV_FLAG_DOUBLE:
        r = rv_parse_double(text, at);
        break;
    }
    if (r)
        return rv_error_set(err, RV_ERR_INVALID, "--%s (from %s): \"%s\" is not %s", flag->name,
                            from, text, type_example(flag->type));
    return 0;
}

static const struct rv_flag *find(const struct rv_flag_table *table, struct rv_str name) {
    for (size_t i = 0; i < table->n; i++) {
        struct rv_str one = rv_str(table->flags[i].name);
        if (one.n != name.n)
            continue;
        size_t k = 0; /* "work-dir" is "work_dir" */
        while (k < one.n && (one.s[k] == name.s[k] || (one.s[k] == '_' && name.s[k] == '-')))
            k++;
        if (k == one.n)
            return &table->flags[i];
    }
    return NULL;
}

/* Where a flag has its value from: the first of them that gives one. */
enum source { NOWHERE, ARGUMENTS, ENVIRONMENT, FLAGS_FILE };

/* seen[i]: where the flag has its value from. */
static int set_once(const struct rv_flag_table *table, void *flags, enum source *seen,
                    const struct rv_flag *flag, const char *text, enum source source,
                    const char *from, struct rv_error *err) {
    size_t i = (size_t)(flag - table->flags);

    if (seen[i] == source)
        return rv_error_set(err, RV_ERR_INVALID, "--%s (from %s): is given twice there", flag->name,
                            from);
    if (seen[i])
        return 0;
    seen[i] = source;
    return set_value(flag, flags, text, from, err);
}

static int from_arguments(const struct rv_flag_table *table, void *flags, enum source *seen,
                          int argc, char *const *argv, const char **file, struct rv_error *err) {
    for (int i = 0; i < argc; i++) {
        const char *arg = argv[i];
        if (!rv_starts_with(arg, "--"))
            return rv_error_set(err, RV_ERR_INVALID,
                                "\"%s\" is not a flag; write --name=value, see reeve %s --help",
                                arg, table->verb);
        const char *equals = strchr(arg, '=');
        struct rv_str name =
            rv_strn(arg + 2, equals ? (size_t)(equals - arg - 2) : strlen(arg + 2));
        const char *value = equals ? equals + 1 : NULL;
        if (rv_str_eq(name, RV_STR("flags_file"))) {
            if (!value && i + 1 < argc)
                value = argv[++i];
            if (!value)
                return rv_error_set(err, RV_ERR_INVALID, "--flags_file: name a file");
            *file = value;
            continue;
        }
        const struct rv_flag *flag = find(table, name);
        if (!flag && !equals && name.n > 3 && !strncmp(name.s, "no-", 3)) {
            flag = find(table, rv_strn(name.s + 3, name.n - 3));
            value = flag && flag->type == RV_FLAG_BOOL ? "false" : NULL;
            flag = value ? flag : NULL;
        }
        if (!flag)
            return rv_error_set(err, RV_ERR_INVALID, "--%.*s: no such flag; see reeve %s --help",
                                (int)name.n, name.s, table->verb);
        if (!value && flag->type == RV_FLAG_BOOL)
            value = "true";
        else if (!value && i + 1 < argc)
            value = argv[++i];
        if (!value)
            return rv_error_set(err, RV_ERR_INVALID, "--%s: needs a value: %s", flag->name,
                                type_example(flag->type));
        int r = set_once(table, flags, seen, flag, value, ARGUMENTS, "the command line", err);
        if (r)
            return r;
    }
    return 0;
}

static int from_environment(const struct rv_flag_table *table, void *flags, enum source *seen,
                            char *const *environ_, const char **file, struct rv_error *err) {
    for (; environ_ && *environ_; environ_++) {
        const char *equals = strchr(*environ_, '=');
        if (!equals || strncmp(*environ_, "REEVE_", 6) != 0)
            continue;
        char name[64];
        size_t n = (size_t)(equals - *environ_) - 6;
        if (n == 0 || n >= sizeof name)
            continue;
        for (size_t i = 0; i < n; i++)
            name[i] = (char)tolower((unsigned char)(*environ_)[6 + i]);
        if (!*file && rv_str_eq(rv_strn(name, n), RV_STR("flags_file")))
            *file = equals + 1;
        const struct rv_flag *flag = find(table, rv_strn(name, n));
        if (!flag) /* other programs' variables may begin like ours */
            continue;
        int r = set_once(table, flags, seen, flag, equals + 1, ENVIRONMENT, "the environment", err);
        if (r)
            return r;
    }
    return 0;
}

static int from_file(const struct rv_flag_table *table, void *flags, enum source *seen,
                     const char *path, struct rv_error *err) {
    FILE *f = fopen(path, "re");
    if (!f)
        return rv_error_set(err, RV_ERR_IO, "--flags_file: cannot open %s: %s", path,
                            strerror(errno));
    char *line = NULL;
    size_t cap = 0;
    int r = 0, number = 0;
    while (!r && getline(&line, &cap, f) >= 0) {
        number++;
        char *s = line;
        while (isspace((unsigned char)*s))
            s++;
        size_t n = strlen(s);
        while (n && isspace((unsigned char)s[n - 1]))
            s[--n] = 0;
        if (!n || *s == '#')
            continue;
        char from[300];
        snprintf(from, sizeof from, "%.200s line %d", path, number);
        s += rv_starts_with(s, "--") ? 2 : 0;
        char *equals = strchr(s, '=');
        const struct rv_flag *flag = equals ? find(table, rv_strn(s, (size_t)(equals - s))) : NULL;
        if (!flag)
            r = rv_error_set(err, RV_ERR_INVALID, "%s: \"%.100s\": not name=value of a flag", from,
                             s);
        else
            r = set_once(table, flags, seen, flag, equals + 1, FLAGS_FILE, from, err);
    }
    free(line);
    fclose(f);
    return r;
}

int rv_flags_parse(const struct rv_flag_table *table, void *flags, int argc, char *const *argv,
                   char *const *environ_, struct rv_error *err) {
    enum source *seen = rv_calloc(table->n, sizeof *seen);
    const char *file = NULL;
    int r = from_arguments(table, flags, seen, argc, argv, &file, err);

    if (!r)
        r = from_environment(table, flags, seen, environ_, &file, err);
    if (!r && file)
        r = from_file(table, flags, seen, file, err);
    for (size_t i = 0; !r && i < table->n; i++)
        if (!seen[i] && table->flags[i].fallback)
            r = set_value(&table->flags[i], flags, table->flags[i].fallback, "the default", err);
    free(seen);
    if (r)
        rv_flags_free(table, flags);
    return r;
}

void rv_flags_free(const struct rv_flag_table *table, void *flags) {
    for (size_t i = 0; i < table->n; i++)
        if (table->flags[i].type == RV_FLAG_STRING) {
            char **at = (char **)(void *)((char *)flags + table->flags[i].offset);
            free(*at);
            *at = NULL;
        }
}

char *rv_flag_text(const struct rv_flag *flag, const void *flags) {
    const void *at = (const char *)flags + flag->offset;
    char text[32];

    switch (flag->type) {
    case RV_FLAG_STRING:
        return *(char *const *)at ? rv_zk_url_hide(*(char *const *)at) : NULL;
    case RV_FLAG_INT:
        return rv_asprintf("%lld", (long long)*(const int64_t *)at);
    case RV_FLAG_BOOL:
        return rv_strdup(*(const bool *)at ? "true" : "false");
    case RV_FLAG_DURATION:
        rv_format_duration(*(const int64_t *)at, text);
        return rv_strdup(text);
    case RV_FLAG_BYTES:
        return rv_asprintf("%lldB", (long long)*(const int64_t *)at);
    case RV_FLAG_DOUBLE:
        return rv_asprintf("%g", *(const double *)at);
    }
    RV_UNREACHABLE();
}

void rv_flags_help(const struct rv_flag_table *table, struct rv_buf *out) {
    rv_buf_printf(out, "reeve %s [--flag=value ...]\n\n%s\n\n", table->verb, table->about);
    for (size_t i = 0; i < table->n; i++) {
        const struct rv_flag *f = &table->flags[i];
        rv_buf_printf(out, "  --%s=%s\n      %s\n", f->name, f->fallback ? f->fallback : "",
                      f->help);
    }
    rv_buf_puts(out, "  --flags_file=\n      File of name=value lines.\n\nEach flag can also come "
                     "from the environment, as REEVE_NAME.\n");
}

void rv_flags_markdown(const struct rv_flag_table *table, struct rv_buf *out) {
    rv_buf_printf(out,
                  "## reeve %s\n\n%s\n\n| flag | environment | default | what it does |\n"
                  "|---|---|---|---|\n",
                  table->verb, table->about);
    for (size_t i = 0; i < table->n; i++) {
        const struct rv_flag *f = &table->flags[i];
        rv_buf_printf(out, "| `--%s` | `REEVE_", f->name);
        for (const char *s = f->name; *s; s++)
            rv_buf_putc(out, (char)toupper((unsigned char)*s));
        rv_buf_printf(out, "` | %s%s%s | ", f->fallback ? "`" : "", f->fallback ? f->fallback : "",
                      f->fallback ? "`" : "");
        for (const char *s = f->help; *s; s++) {
            if (*s == '|')
                rv_buf_putc(out, '\\');
            rv_buf_putc(out, *s);
        }
        rv_buf_puts(out, " |\n");
    }
    rv_buf_putc(out, '\n');
}
