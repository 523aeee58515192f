/* The parts of the command line that need no cluster: ids, addresses, JSON for people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/common.h"
#include "cli/ids.h"
#include "cli/output.h"

#define MASTER "057bbb47-e68b-48e9-9123-448ca2d3921b"
#define OTHER "157bbb47-e68b-48e9-9123-448ca2d3921b"

static void ends_of_ids(void **state) {
    (void)state;
    assert_string_equal(rv_cli_id_end(MASTER "-S0"), "S0");
    assert_string_equal(rv_cli_id_end(MASTER "-0007"), "0007");
    assert_null(rv_cli_id_end(MASTER));
    assert_null(rv_cli_id_end(MASTER "-"));
    assert_null(rv_cli_id_end("x57bbb47-e68b-48e9-9123-448ca2d3921b-S0"));
    assert_null(rv_cli_id_end("sleep-1234"));
}

static void matches(void **state) {
    (void)state;
    assert_int_equal(rv_cli_id_match(MASTER "-S1", "S1"), 2);
    assert_int_equal(rv_cli_id_match(MASTER "-S10", "S1"), 1);
    assert_int_equal(rv_cli_id_match(MASTER "-S10", "057b"), 1);
    assert_int_equal(rv_cli_id_match(MASTER "-S10", "S2"), 0);
    assert_int_equal(rv_cli_id_match("web.1", "web.1"), 3);
    assert_int_equal(rv_cli_id_match("web.10", "web.1"), 1);
    assert_int_equal(rv_cli_id_match("web.10", ""), 0);
}

static void short_forms(void **state) {
    struct rv_cli_ids ids = {0};
    struct rv_arena arena;

    (void)state;
    rv_arena_init(&arena);
    rv_cli_ids_add(&ids, "wordcount-map-abcdefgh-0001");
    rv_cli_ids_add(&ids, "wordcount-xyz-abcdefgh-0001");
    rv_cli_ids_add(&ids, "wordcount-xyz-abcdefgh-0001"); /* of another framework */
    rv_cli_ids_add(&ids, "short");
    assert_string_equal(rv_cli_id_short(&ids, "wordcount-map-abcdefgh-0001", &arena),
                        "wordcount-m");
    assert_string_equal(rv_cli_id_short(&ids, "wordcount-xyz-abcdefgh-0001", &arena),
                        "wordcount-x");
    assert_string_equal(rv_cli_id_short(&ids, "short", &arena), "short");
    rv_cli_ids_free(&ids);
    rv_arena_free(&arena);
}

static void ends_of_two_masters(void **state) {
    struct rv_cli_ids ids = {0};
    struct rv_arena arena;

    (void)state;
    rv_arena_init(&arena);
    rv_cli_ids_add(&ids, MASTER "-S0");
    rv_cli_ids_add(&ids, MASTER "-S1");
    assert_string_equal(rv_cli_id_short(&ids, MASTER "-S0", &arena), "S0");
    rv_cli_ids_add(&ids, OTHER "-S0");
    assert_string_equal(rv_cli_id_short(&ids, MASTER "-S1", &arena), "S1");
    assert_string_equal(rv_cli_id_short(&ids, OTHER "-S0", &arena), "157bbb47");
    rv_cli_ids_free(&ids);
    rv_arena_free(&arena);
}

static void addresses(void **state) {
    static const struct {
        const char *text, *host; /* NULL: refused */
        int port;
    } cases[] = {
        {"127.0.0.1:5050", "127.0.0.1", 5050},
        {"host", "host", 7},
        {"http://host:81/master/redirect", "host", 81},
        {"//host:82/api/v1", "host", 82},
        {"[::1]:83", "::1", 83},
        {"[fe80::1]", "fe80::1", 7},
        {"", NULL, 0},
        {"host:", NULL, 0},
        {"host:0", NULL, 0},
        {"host:65536", NULL, 0},
        {":5050", NULL, 0},
        {"[::1", NULL, 0},
        {"[]:80", NULL, 0},
    };

    (void)state;
    for (size_t i = 0; i < RV_COUNT(cases); i++) {
        struct rv_cli_address at = {.port = 0};
        struct rv_error err;
        int r = rv_cli_address_parse(cases[i].text, 7, &at, &err);
        if (!cases[i].host) {
            assert_int_equal(r, -RV_ERR_INVALID);
            continue;
        }
        assert_int_equal(r, 0);
        assert_string_equal(at.host, cases[i].host);
        assert_int_equal(at.port, cases[i].port);
    }
}

static void json(void **state) {
    struct rv_buf out = {0};

    (void)state;
    rv_cli_json_string("a\"b\\c\n\x7f\xc3\xbc", &out);
    assert_string_equal(out.data, "\"a\\\"b\\\\c\\u000a\\u007f\xc3\xbc\"");
    rv_buf_clear(&out);
    rv_cli_json_pretty(RV_STR("{\"a\":[1,{}],\"b,{\\\"\":{\"c\":[]}}"), &out);
    assert_string_equal(out.data, "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b,{\\\"\": {\n"
                                  "    \"c\": []\n  }\n}\n");
    rv_buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_of_ids), cmocka_unit_test(matches),
        cmocka_unit_test(short_forms), cmocka_unit_test(ends_of_two_masters),
        cmocka_unit_test(addresses),   cmocka_unit_test(json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
