/*
 * What the verbs share: options from a table per verb, and calls to master and agents that wait
 * for their answer.
 */
#ifndef RV_CLI_COMMON_H
#define RV_CLI_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/vec.h"
#include "reeve/v1/agent.pb-c.h"
#include "reeve/v1/master.pb-c.h"
#include "wire/codec.h"

/* Exit statuses of all verbs; `run` has more. */
enum { RV_CLI_OK = 0, RV_CLI_ERROR = 1, RV_CLI_USAGE = 2 };

/* --- options --- */

enum rv_cli_type {
    RV_CLI_FLAG,     /* bool */
    RV_CLI_TEXT,     /* const char *, borrowed from argv */
    RV_CLI_TEXTS,    /* struct rv_cli_texts: may be given again and again */
    RV_CLI_COUNT,    /* int64_t, 0 to 1,000,000 */
    RV_CLI_SCALAR,   /* int64_t, thousandths */
    RV_CLI_DURATION, /* int64_t, nanoseconds */
};
struct rv_cli_texts {
    const char **v;
    size_t n, cap;
};

/* --name=value, --name value, -l value; flags take no value. */
struct rv_cli_option {
    const char *name;
    char letter;       /* 0: none */
    const char *value; /* what the help calls it; NULL for flags */
    const char *help;  /* one line */
    enum rv_cli_type type;
    size_t offset; /* in the verb's struct */
};

struct rv_cli_verb {
    const char *name, *operands; /* "kill", "TASK..." */
    const char *about;           /* a few lines */
    const struct rv_cli_option *options;
    size_t n_options;
    size_t min_operands, max_operands;
    bool command; /* the first operand ends the options: the rest is a command's */
};

enum rv_cli_format { RV_CLI_TABLE, RV_CLI_WIDE, RV_CLI_JSON };

/* What every verb has. */
struct rv_cli {
    const struct rv_cli_verb *verb;
    const char *master; /* host:port, or several with commas between */
    enum rv_cli_format format;
    bool format_given;
    char **operands; /* borrowed */
    size_t n_operands;
    struct rv_arena arena; /* for as long as the verb runs */
};

/* True: go on, `values` (the verb's struct, with its defaults in it) is filled. False: end with
 * *status, help or a message was printed. rv_cli_end is due in both cases. */
bool rv_cli_begin(struct rv_cli *cli, const struct rv_cli_verb *verb, void *values, int argc,
                  char **argv, int *status);
void rv_cli_end(struct rv_cli *cli);

/* The leading master's host:port in the arena, as ZooKeeper tells, where `master` is a zk:// or a
 * file:// that has one; otherwise what is given (master.c). */
RV_MUST_USE int rv_cli_find_master(struct rv_cli *cli, struct rv_error *err);

/* "reeve VERB: message" on stderr; gives RV_CLI_ERROR, or RV_CLI_USAGE for the second. */
int rv_cli_fail(const struct rv_cli *cli, const char *format, ...) RV_PRINTF(2, 3);
int rv_cli_misuse(const struct rv_cli *cli, const char *format, ...) RV_PRINTF(2, 3);

/* What a person types as "cpus:4;mem:2048", in the arena; false: it is not that. */
struct rv_cli_amount {
    char *name;
    Reeve__V1__Value__Scalar *value; /* not negative */
};
bool rv_cli_amounts_parse(const char *text, struct rv_arena *arena, struct rv_cli_amount **out,
                          size_t *n);

/* --- calls --- */

struct rv_cli_address {
    char host[256];
    uint16_t port;
};
/* "host:port", "host" (default_port), "[v6]:port", with or without http:// and a path. */
RV_MUST_USE int rv_cli_address_parse(const char *text, uint16_t default_port,
                                     struct rv_cli_address *out, struct rv_error *err);

/* --master as libreeve takes it: "host:port,host:port". The caller frees; NULL: an error. */
char *rv_cli_master_list(const struct rv_cli *cli, struct rv_error *err);

/* One request and its whole answer, which the caller frees. Redirects (307) are followed, `at`
 * becomes who answered. A status that is not 2xx is an error with the answer's text: NOT_FOUND for
 * 404, CONFLICT for 409, UNSUPPORTED for 501, CLOSED for 503, PERMISSION for 401 and 403, else
 * INVALID. */
RV_MUST_USE int rv_cli_post(struct rv_cli_address *at, const char *path, enum rv_encoding send,
                            enum rv_encoding accept, struct rv_str body, struct rv_buf *answer,
                            struct rv_error *err);
/* The same to the master that leads, the first of --master that answers. */
RV_MUST_USE int rv_cli_post_master(const struct rv_cli *cli, const char *path,
                                   enum rv_encoding send, enum rv_encoding accept,
                                   struct rv_str body, struct rv_buf *answer,
                                   struct rv_cli_address *leader, struct rv_error *err);

/* An operator call that changes something. */
RV_MUST_USE int rv_cli_tell_master(const struct rv_cli *cli, const Reeve__V1__Master__Call *call,
                                   struct rv_error *err);
/* An operator call without parameters; the answer lives in the arena. */
RV_MUST_USE int rv_cli_ask_master(const struct rv_cli *cli, Reeve__V1__Master__Call__Type type,
                                  struct rv_arena *arena, Reeve__V1__Master__Response **out,
                                  struct rv_error *err);
/* The same, as JSON text. */
RV_MUST_USE int rv_cli_ask_master_json(const struct rv_cli *cli, Reeve__V1__Master__Call__Type type,
                                       struct rv_buf *out, struct rv_error *err);
RV_MUST_USE int rv_cli_ask_agent(const struct rv_cli_address *agent,
                                 const Reeve__V1__Agent__Call *call, struct rv_arena *arena,
                                 Reeve__V1__Agent__Response **out, struct rv_error *err);

/* What an answer of the API may take: a large cluster's state is large. */
extern const struct rv_wire_limits rv_cli_limits;

#endif
