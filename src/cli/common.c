/*
 * Options and calls of the verbs, see common.h. A call runs a loop of its own until its answer is
 * there: the verbs that only ask have nothing else to do meanwhile.
 */
#include "cli/common.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fixed.h"
#include "io/http_client.h"

#define DEFAULT_MASTER "127.0.0.1:5050"
#define DEFAULT_PORT 5050
#define MAX_REDIRECTS 5
#define CONNECT_MS 5000
#define ANSWER_MS 60000
#define MAX_COUNT 1000000

const struct rv_wire_limits rv_cli_limits = {
    .max_body = (size_t)1 << 30, .max_depth = 100, .max_fields = (size_t)1 << 28};

/* --- messages --- */

static void complain(const struct rv_cli *cli, const char *format, va_list args) {
    fprintf(stderr, "reeve %s: ", cli->verb->name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

int rv_cli_fail(const struct rv_cli *cli, const char *format, ...) {
    va_list args;

    va_start(args, format);
    complain(cli, format, args);
    va_end(args);
    return RV_CLI_ERROR;
}

int rv_cli_misuse(const struct rv_cli *cli, const char *format, ...) {
    va_list args;

    va_start(args, format);
    complain(cli, format, args);
    va_end(args);
    fprintf(stderr, "reeve %s --help tells more\n", cli->verb->name);
    return RV_CLI_USAGE;
}

/* --- options --- */

/* Those of every verb; their values are in struct rv_cli. */
static const struct rv_cli_option common_options[] = {
    {"master", 0, "HOST:PORT", "the master, or zk://...; REEVE_MASTER, else " DEFAULT_MASTER,
     RV_CLI_TEXT, offsetof(struct rv_cli, master)},
    {"output", 'o', "FORMAT", "table, wide (whole ids, more columns) or json", RV_CLI_TEXT, 0},
    {"help", 'h', NULL, "this text", RV_CLI_FLAG, 0},
};

static void help_option(const struct rv_cli_option *o) {
    char left[64], letter[8] = "    ";

    if (o->letter)
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->value ? "=" : "",
             o->value ? o->value : "");
    printf("  %-28s %s\n", left, o->help);
}

static void help(const struct rv_cli_verb *verb) {
    printf("reeve %s [options]%s%s\n\n%s\n\n", verb->name, *verb->operands ? " " : "",
           verb->operands, verb->about);
    for (size_t i = 0; i < verb->n_options; i++)
        help_option(&verb->options[i]);
    for (size_t i = 0; i < RV_COUNT(common_options); i++)
        help_option(&common_options[i]);
}

static bool set_value(const struct rv_cli *cli, const struct rv_cli_option *o, void *values,
                      const char *text) {
    void *to = (char *)values + o->offset;
    const char *expected = NULL;
    double number;

    switch (o->type) {
    case RV_CLI_FLAG:
        *(bool *)to = true;
        break;
    case RV_CLI_TEXT:
        *(const char **)to = text;
        break;
    case RV_CLI_TEXTS:
        rv_vec_push((struct rv_cli_texts *)to, text);
        break;
    case RV_CLI_COUNT:
        if (rv_parse_i64(text, 0, MAX_COUNT, to))
            expected = "a whole number up to 1000000";
        break;
    case RV_CLI_SCALAR:
        if (rv_parse_double(text, &number) || number < 0 || !rv_fixed_from_double(number, to))
            expected = "a number, such as 0.5";
        break;
    case RV_CLI_DURATION:
        if (rv_parse_duration_ns(text, to) || *(int64_t *)to < 0)
            expected = "a time, such as 30secs or 5mins";
        break;
    }
    if (expected)
        rv_cli_misuse(cli, "--%s: \"%s\" is not %s", o->name, text, expected);
    return !expected;
}

static bool set_format(struct rv_cli *cli, const char *text) {
    static const char *const names[] = {"table", "wide", "json"};

    cli->format_given = true;
    for (size_t i = 0; i < RV_COUNT(names); i++)
        if (rv_streq(text, names[i])) {
            cli->format = (enum rv_cli_format)i;
            return true;
        }
    rv_cli_misuse(cli, "--output: \"%s\" is not table, wide or json", text);
    return false;
}

static const struct rv_cli_option *find_in(const struct rv_cli_option *v, size_t n, const char *arg,
                                           size_t len) {
    for (size_t i = 0; i < n; i++)
        if (arg[1] == '-' ? strlen(v[i].name) == len - 2 && !strncmp(v[i].name, arg + 2, len - 2)
                          : v[i].letter && v[i].letter == arg[1])
            return &v[i];
    return NULL;
}

/* The option at argv[*i]. False: *status ends the verb. */
static bool take_option(struct rv_cli *cli, void *values, int argc, char **argv, int *i,
                        int *status) {
    const struct rv_cli_verb *verb = cli->verb;
    const char *arg = argv[*i], *value = NULL;
    bool is_long = arg[1] == '-';
    const char *equals = is_long ? strchr(arg, '=') : NULL;
    size_t len = equals ? (size_t)(equals - arg) : is_long ? strlen(arg) : 2;
    const struct rv_cli_option *o = find_in(verb->options, verb->n_options, arg, len), *common;

    *status = RV_CLI_USAGE;
    common = o ? NULL : find_in(common_options, RV_COUNT(common_options), arg, len);
    if (common && !common->value && !equals) {
        help(verb);
        *status = RV_CLI_OK;
        return false;
    }
    if (common)
        o = common;
    if (!o) {
        rv_cli_misuse(cli, "there is no option %.*s", (int)len, arg);
        return false;
    }
    if (!is_long && !o->value && arg[2]) { /* "-it" is "-i -t" */
        if (!set_value(cli, o, common ? (void *)cli : values, NULL))
            return false;
        argv[*i] = rv_arena_printf(&cli->arena, "-%s", arg + 2);
        return take_option(cli, values, argc, argv, i, status);
    }
    if (equals)
        value = equals + 1;
    else if (!is_long && arg[2])
        value = arg + 2;
    else if (o->value && *i + 1 < argc)
        value = argv[++*i];
    if (!o->value != !value) {
        rv_cli_misuse(cli, o->value ? "--%s needs a value" : "--%s takes no value", o->name);
        return false;
    }
    if (common && o->letter == 'o')
        return set_format(cli, value);
    return set_value(cli, o, common ? (void *)cli : values, value);
}

bool rv_cli_begin(struct rv_cli *cli, const struct rv_cli_verb *verb, void *values, int argc,
                  char **argv, int *status) {
    bool options = true;

    *cli = (struct rv_cli){.verb = verb};
    rv_arena_init(&cli->arena);
    cli->operands = RV_ARENA_ARRAY(&cli->arena, char *, (size_t)argc + 1);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < argc; i++) {
        if (options && rv_streq(argv[i], "--"))
            options = false;
        else if (options && argv[i][0] == '-' && argv[i][1]) {
            if (!take_option(cli, values, argc, argv, &i, status))
                return false;
        } else {
            cli->operands[cli->n_operands++] = argv[i];
            options = options && !verb->command;
        }
    }
    *status = RV_CLI_USAGE;
    if (cli->n_operands < verb->min_operands) {
        rv_cli_misuse(cli, "%s is missing", verb->operands);
        return false;
    }
    if (cli->n_operands > verb->max_operands) {
        rv_cli_misuse(cli, "\"%s\" is too much", cli->operands[verb->max_operands]);
        return false;
    }
    if (!cli->master)
        cli->master = getenv("REEVE_MASTER");
    if (!cli->master || !*cli->master)
        cli->master = DEFAULT_MASTER;
    struct rv_error err;
    if (rv_cli_find_master(cli, &err)) {
        *status = rv_cli_fail(cli, "%s", err.message);
        return false;
    }
    return true;
}

void rv_cli_end(struct rv_cli *cli) {
    rv_arena_free(&cli->arena);
}

/* --- addresses --- */

int rv_cli_address_parse(const char *text, uint16_t default_port, struct rv_cli_address *out,
                         struct rv_error *err) {
    const char *host = text, *scheme = strstr(text, "://"), *end, *port = NULL;
    int64_t number = default_port;
    size_t n;

    if (scheme)
        host = scheme + 3;
    else if (rv_starts_with(host, "//"))
        host += 2;
    size_t whole = strcspn(host, "/");
    _cleanup_free_ char *copy = rv_strndup(host, whole);
    if (*copy == '[') {
        end = strchr(copy, ']');
        n = end ? (size_t)(end - copy) - 1 : 0;
        port = end && end[1] == ':' ? end + 2 : NULL;
        host = copy + 1;
    } else {
        end = strrchr(copy, ':');
        n = end ? (size_t)(end - copy) : strlen(copy);
        port = end ? end + 1 : NULL;
        host = copy;
    }
    if (!n || n >= sizeof out->host || (port && rv_parse_i64(port, 1, 65535, &number)))
        return rv_error_set(err, RV_ERR_INVALID, "\"%s\" is not host:port", text);
    memcpy(out->host, host, n);
    out->host[n] = 0;
    out->port = (uint16_t)number;
    return 0;
}

char *rv_cli_master_list(const struct rv_cli *cli, struct rv_error *err) {
    _cleanup_free_ char *copy = rv_strdup(cli->master);
    _cleanup_(rv_buf_free) struct rv_buf list = {0};
    struct rv_cli_address at;

    for (char *save = NULL, *one = strtok_r(copy, ",", &save); one;
         one = strtok_r(NULL, ",", &save)) {
        if (rv_cli_address_parse(one, DEFAULT_PORT, &at, err))
            return NULL;
        bool v6 = strchr(at.host, ':') != NULL;
        rv_buf_printf(&list, "%s%s%s%s:%u", list.n ? "," : "", v6 ? "[" : "", at.host,
                      v6 ? "]" : "", at.port);
    }
    return rv_buf_take(&list, NULL);
}

/* --- amounts --- */

bool rv_cli_amounts_parse(const char *text, struct rv_arena *arena, struct rv_cli_amount **out,
                          size_t *n) {
    char *copy = rv_arena_strdup(arena, text), *save = NULL;

    *n = 0;
    *out = RV_ARENA_ARRAY(arena, struct rv_cli_amount, strlen(text) / 2 + 1);
    for (char *part = strtok_r(copy, ";", &save); part; part = strtok_r(NULL, ";", &save)) {
        char *colon = strchr(part, ':');
        struct rv_cli_amount *a = &(*out)[*n];

        a->name = part + strspn(part, " ");
        a->value = RV_ARENA_NEW(arena, Reeve__V1__Value__Scalar);
        reeve__v1__value__scalar__init(a->value);
        if (!colon || colon == a->name || rv_parse_double(colon + 1, &a->value->value) ||
            a->value->value < 0)
            return false;
        *colon = 0;
        ++*n;
    }
    return true;
}

/* --- calls --- */

struct exchange {
    struct rv_buf *answer;
    char *location;
    int result, status;
    struct rv_error err;
};

static void on_done(void *ctx, int result, int status, const struct rv_http1_header *headers,
                    size_t n, struct rv_str body, const struct rv_error *err) {
    struct exchange *x = ctx;

    x->result = result;
    x->status = status;
    if (result) {
        x->err = *err;
        return;
    }
    x->location = rv_strdup(rv_http1_header(headers, n, "Location"));
    rv_buf_clear(x->answer);
    rv_buf_append(x->answer, body.s, body.n);
}

static void exchange(const struct rv_cli_address *at, const char *path, const char *headers,
                     struct rv_str body, struct exchange *x) {
    static const struct rv_http_call_handler handler = {.on_done = on_done};
    const struct rv_http_client_config config = {.host = at->host,
                                                 .port = at->port,
                                                 .connect_timeout_ms = CONNECT_MS,
                                                 .call_timeout_ms = ANSWER_MS,
                                                 .idle_close_ms = 1};
    uv_loop_t loop;

    uv_loop_init(&loop);
    struct rv_http_client *client = rv_http_client_new(&loop, &config);
    rv_http_client_call(client, "POST", path, headers, body, false, &handler, x);
    uv_run(&loop, UV_RUN_DEFAULT);
    rv_http_client_free(client);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}

static enum rv_err code_of(int status) {
    switch (status) {
    case 404:
        return RV_ERR_NOT_FOUND;
    case 401:
    case 403:
        return RV_ERR_PERMISSION;
    case 409:
        return RV_ERR_CONFLICT;
    case 501:
        return RV_ERR_UNSUPPORTED;
    case 503:
        return RV_ERR_CLOSED;
    default:
        return RV_ERR_INVALID;
    }
}

int rv_cli_post(struct rv_cli_address *at, const char *path, enum rv_encoding send,
                enum rv_encoding accept, struct rv_str body, struct rv_buf *answer,
                struct rv_error *err) {
    _cleanup_free_ char *headers =
        rv_asprintf("Content-Type: %s\r\nAccept: %s\r\n", rv_encoding_media_type(send),
                    rv_encoding_media_type(accept));

    for (int i = 0; i <= MAX_REDIRECTS; i++) {
        struct exchange x = {.answer = answer};
        exchange(at, path, headers, body, &x);
        _cleanup_free_ char *location = x.location;
        if (x.result)
            return rv_error_set(err, x.err.code ? x.err.code : RV_ERR_IO, "%s", x.err.message);
        if (x.status >= 200 && x.status < 300)
            return 0;
        if (x.status != 307 || !location) {
            while (answer->n && strchr("\r\n ", answer->data[answer->n - 1]))
                answer->n--;
            return rv_error_set(err, code_of(x.status), "%s:%u answers %d%s%.*s", at->host,
                                at->port, x.status, answer->n ? ": " : "",
                                (int)RV_MIN(answer->n, 400u), answer->n ? answer->data : "");
        }
        int r = rv_cli_address_parse(location, at->port, at, err);
        if (r)
            return r;
    }
    return rv_error_set(err, RV_ERR_CONFLICT, "%s:%u: too many redirects", at->host, at->port);
}

/* Nobody answered there: another master may. */
static bool is_silence(int r) {
    return r == -RV_ERR_CLOSED || r == -RV_ERR_IO || r == -RV_ERR_TIMEOUT || r == -RV_ERR_NOT_FOUND;
}

int rv_cli_post_master(const struct rv_cli *cli, const char *path, enum rv_encoding send,
                       enum rv_encoding accept, struct rv_str body, struct rv_buf *answer,
                       struct rv_cli_address *leader, struct rv_error *err) {
    _cleanup_free_ char *copy = rv_strdup(cli->master);
    struct rv_error first = {0};
    struct rv_cli_address at;
    int r = 0;

    for (char *save = NULL, *one = strtok_r(copy, ",", &save); one;
         one = strtok_r(NULL, ",", &save)) {
        struct rv_error now = {0};
        r = rv_cli_address_parse(one, DEFAULT_PORT, &at, &now);
        if (!r)
            r = rv_cli_post(&at, path, send, accept, body, answer, &now);
        if (!r) {
            if (leader)
                *leader = at;
            return 0;
        }
        if (!first.code)
            first = now;
        if (!is_silence(r))
            break;
    }
    if (!first.code)
        return rv_error_set(err, RV_ERR_INVALID, "\"%s\" is not host:port", cli->master);
    if (strstr(first.message, " answers ") || first.code == RV_ERR_INVALID)
        return rv_error_set(err, first.code, "%s", first.message);
    return rv_error_set(err, first.code,
                        "cannot reach the master at %s; name one by --master or REEVE_MASTER",
                        first.message);
}

int rv_cli_tell_master(const struct rv_cli *cli, const Reeve__V1__Master__Call *call,
                       struct rv_error *err) {
    _cleanup_(rv_buf_free) struct rv_buf body = {0}, answer = {0};

    rv_wire_encode(&call->base, RV_ENC_PROTOBUF, &body);
    return rv_cli_post_master(cli, "/api/v1", RV_ENC_PROTOBUF, RV_ENC_JSON, rv_buf_str(&body),
                              &answer, NULL, err);
}

static int ask_master(const struct rv_cli *cli, Reeve__V1__Master__Call__Type type,
                      enum rv_encoding accept, struct rv_buf *out, struct rv_error *err) {
    Reeve__V1__Master__Call call;
    _cleanup_(rv_buf_free) struct rv_buf body = {0};

    reeve__v1__master__call__init(&call);
    call.has_type = true;
    call.type = type;
    rv_wire_encode(&call.base, RV_ENC_PROTOBUF, &body);
    return rv_cli_post_master(cli, "/api/v1", RV_ENC_PROTOBUF, accept, rv_buf_str(&body), out, NULL,
                              err);
}

int rv_cli_ask_master(const struct rv_cli *cli, Reeve__V1__Master__Call__Type type,
                      struct rv_arena *arena, Reeve__V1__Master__Response **out,
                      struct rv_error *err) {
    _cleanup_(rv_buf_free) struct rv_buf answer = {0};
    ProtobufCMessage *m;
    int r = ask_master(cli, type, RV_ENC_PROTOBUF, &answer, err);

    if (!r) {
        r = rv_wire_decode(&reeve__v1__master__response__descriptor, RV_ENC_PROTOBUF,
                           rv_buf_str(&answer), &rv_cli_limits, arena, &m, err);
        if (r)
            rv_error_prefix(err, "the master's answer");
        else
            *out = (Reeve__V1__Master__Response *)m;
    }
    return r;
}

int rv_cli_ask_master_json(const struct rv_cli *cli, Reeve__V1__Master__Call__Type type,
                           struct rv_buf *out, struct rv_error *err) {
    return ask_master(cli, type, RV_ENC_JSON, out, err);
}

int rv_cli_ask_agent(const struct rv_cli_address *agent, const Reeve__V1__Agent__Call *call,
                     struct rv_arena *arena, Reeve__V1__Agent__Response **out,
                     struct rv_error *err) {
    _cleanup_(rv_buf_free) struct rv_buf body = {0}, answer = {0};
    struct rv_cli_address at = *agent;
    ProtobufCMessage *m;

    rv_wire_encode(&call->base, RV_ENC_PROTOBUF, &body);
    int r = rv_cli_post(&at, "/api/v1", RV_ENC_PROTOBUF, RV_ENC_PROTOBUF, rv_buf_str(&body),
                        &answer, err);
    if (!r)
        r = rv_wire_decode(&reeve__v1__agent__response__descriptor, RV_ENC_PROTOBUF,
                           rv_buf_str(&answer), &rv_cli_limits, arena, &m, err);
    if (!r)
        *out = (Reeve__V1__Agent__Response *)m;
    return r;
}
