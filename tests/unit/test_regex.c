/* Regular expressions, and offer constraints, which use them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/str.h"
#include "model/attributes.h"
#include "model/framework.h"
#include "model/regex.h"

static bool matches(const char *pattern, const char *text) {
    struct rv_regex *r;
    struct rv_error err;
    if (rv_regex_compile(pattern, &r, &err) < 0)
        fail_msg("%s: %s", pattern, err.message);
    bool m = rv_regex_matches_all(r, text);
    rv_regex_free(r);
    return m;
}

static void test_matches(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool expected;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"a", "a", true},
        {"a", "ab", false},
        {"ab", "ab", true},
        {"a|b", "b", true},
        {"a|b", "ab", false},
        {"a|", "", true},
        {"(a|b)*c", "abbac", true},
        {"(a|b)*c", "abdac", false},
        {"a+", "", false},
        {"a+", "aaa", true},
        {"a?b", "b", true},
        {"a*", "aaab", false},
        {".+", "x.y", true},
        {".", "\n", false},
        {"(?s).", "\n", true},
        {"[a-c]+", "abcab", true},
        {"[^a-c]", "b", false},
        {"[^a-c]", "d", true},
        {"[]a]+", "]a", true},
        {"[a\\]b-]+", "a]b-", true},
        {"[[:digit:]x]+", "1x2", true},
        {"[[:^digit:]]+", "1", false},
        {"\\d+-\\w+\\s", "12-ab_ ", true},
        {"\\D", "1", false},
        {"[\\d.]+", "1.2", true},
        {"a{3}", "aaa", true},
        {"a{3}", "aa", false},
        {"a{2,}", "aaaa", true},
        {"a{2,3}", "aaaa", false},
        {"a{2,3}", "aaa", true},
        {"a{0}", "", true},
        {"a{,2}", "a{,2}", true},
        {"{", "{", true},
        {"x{a}", "x{a}", true},
        {"(ab){2}c", "ababc", true},
        {"^rack-[0-9]+$", "rack-12", true},
        {"^a^b", "ab", false},
        {"a$b", "ab", false},
        {"\\bfoo\\b.*", "foo bar", true},
        {"foo\\b.*", "foobar", false},
        {"fo\\Bo", "foo", true},
        {"\\Aa\\z", "a", true},
        {"(?i)Rack", "rACK", true},
        {"(?i)[^a]", "A", false},
        {"a(?i)b", "aB", true},
        {"a(?i:b)c", "aBC", false},
        {"(?P<name>a)b", "ab", true},
        {"(?:a|b)", "b", true},
        {"\\x41\\x{42}", "AB", true},
        {"\\.\\*", ".*", true},
        {"a.c",
         "a\xc3\xa9"
         "c",
         true},
        {"[\xc3\xa0-\xc3\xbf]", "\xc3\xa9", true},
        {"..", "\xc3\xa9", false},
        {"\xc3\xa9", "\xc3\xa9", true},
        {"a+?b*?", "aab", true},
        {"(((a))|(b))+", "abab", true},
        {"(|a)+", "aaa", true},
        {"(a*)*", "aaa", true},
        {"\\n", "\n", true},
        {".", "\xff", true},
    };
    for (size_t i = 0; i < RV_COUNT(cases); i++)
        if (matches(cases[i].pattern, cases[i].text) != cases[i].expected)
            fail_msg("'%s' on '%s'", cases[i].pattern, cases[i].text);
}

static void test_errors(void **state) {
    (void)state;
    static const struct {
        const char *pattern;
        int code;
        const char *where; /* part of the message */
    } cases[] = {
        {"(", RV_ERR_INVALID, "offset 0"},
        {"ab(c", RV_ERR_INVALID, "offset 2"},
        {"a)", RV_ERR_INVALID, "offset 1"},
        {"[", RV_ERR_INVALID, "offset 0"},
        {"x[a", RV_ERR_INVALID, "offset 1"},
        {"*a", RV_ERR_INVALID, "offset 0"},
        {"a|+", RV_ERR_INVALID, "offset 2"},
        {"a**", RV_ERR_INVALID, "offset 2"},
        {"[b-a]", RV_ERR_INVALID, "offset 1"},
        {"a{2,1}", RV_ERR_INVALID, "offset 1"},
        {"a{1001}", RV_ERR_INVALID, "offset 1"},
        {"a{99999999999,2}", RV_ERR_INVALID, "offset 1"},
        {"a\\", RV_ERR_INVALID, "offset 1"},
        {"\\q", RV_ERR_INVALID, "offset 0"},
        {"(?=a)", RV_ERR_INVALID, "offset 0"},
        {"(?<=a)", RV_ERR_INVALID, "offset 0"},
        {"[[:foo:]]", RV_ERR_INVALID, "offset 1"},
        {"\\xZZ", RV_ERR_INVALID, "offset 0"},
        {"\\1", RV_ERR_INVALID, "offset 0"},
        {"(?P<>a)", RV_ERR_INVALID, "offset 0"},
        {"((((a{100}){100}){100}){100})", RV_ERR_LIMIT, "10000"},
        {"((x{1000}){1000}){1000}", RV_ERR_LIMIT, "10000"},
        {"(a|b|c|d|e|f){1000}(a|b|c|d|e|f){1000}", RV_ERR_LIMIT, "10000"},
    };
    for (size_t i = 0; i < RV_COUNT(cases); i++) {
        struct rv_regex *r = NULL;
        struct rv_error err = {0};
        int code = rv_regex_compile(cases[i].pattern, &r, &err);
        if (code != -cases[i].code || !strstr(err.message, cases[i].where))
            fail_msg("'%s': %d %s", cases[i].pattern, code, err.message);
        assert_null(r);
    }
    /* Empty operands cost nothing, however often they are repeated. */
    assert_true(matches("((((((){1000}){1000}){1000}){1000}){1000}){1000}", ""));
    struct rv_buf deep = {0};
    for (int i = 0; i < 100000; i++)
        rv_buf_putc(&deep, '(');
    struct rv_regex *r;
    assert_int_equal(rv_regex_compile(deep.data, &r, NULL), -RV_ERR_LIMIT);
    rv_buf_free(&deep);
}

/* Patterns that take exponential time with backtracking. */
static void test_linear(void **state) {
    (void)state;
    struct rv_buf text = {0};
    for (int i = 0; i < 20000; i++)
        rv_buf_putc(&text, 'a');
    assert_true(matches("(a*)*", text.data));
    rv_buf_putc(&text, 'b');
    assert_false(matches("(a*)*", text.data));
    assert_false(matches("(a|aa)+", text.data));
    assert_false(matches("(.*)(.*)(.*)(.*)(.*)[^ab]", text.data));
    rv_buf_free(&text);
}

static struct rv_constraint constraint(enum rv_constraint_selector selector, const char *attribute,
                                       enum rv_constraint_predicate predicate, const char *text) {
    struct rv_constraint c = {.selector = selector, .predicate = predicate};
    c.attribute = rv_strdup(attribute);
    if (predicate >= RV_PREDICATE_TEXT_MATCHES)
        assert_int_equal(rv_regex_compile(text, &c.regex, NULL), 0);
    else
        c.text = rv_strdup(text);
    return c;
}

static struct rv_attributes attributes;

/* Of one group with one constraint, for role "r". */
static bool holds(struct rv_constraint c) {
    struct rv_offer_constraints *all = rv_calloc(1, sizeof *all);
    all->refs = 1;
    all->n = 1;
    all->v = rv_calloc(1, sizeof *all->v);
    all->v[0].role = rv_strdup("r");
    all->v[0].n = 1;
    all->v[0].groups = rv_calloc(1, sizeof *all->v[0].groups);
    all->v[0].groups[0].n = 1;
    all->v[0].groups[0].v = rv_memdup(&c, sizeof c);
    bool held = rv_offer_constraints_match(all, "r", &attributes, "host", "eu", NULL);
    assert_true(rv_offer_constraints_match(all, "other", &attributes, "host", "eu", NULL));
    rv_offer_constraints_unref(all);
    return held;
}

static void test_constraints(void **state) {
    (void)state;
    struct rv_error err;
    assert_int_equal(rv_attributes_parse("rack:r1;rack:r2;level:3", &attributes, &err), 0);
    const enum rv_constraint_selector attribute = RV_SELECT_ATTRIBUTE;
    assert_true(holds(constraint(attribute, "rack", RV_PREDICATE_EXISTS, NULL)));
    assert_false(holds(constraint(attribute, "none", RV_PREDICATE_EXISTS, NULL)));
    assert_true(holds(constraint(attribute, "none", RV_PREDICATE_NOT_EXISTS, NULL)));
    assert_false(holds(constraint(attribute, "rack", RV_PREDICATE_NOT_EXISTS, NULL)));
    /* the first one counts */
    assert_true(holds(constraint(attribute, "rack", RV_PREDICATE_TEXT_EQUALS, "r1")));
    assert_false(holds(constraint(attribute, "rack", RV_PREDICATE_TEXT_EQUALS, "r2")));
    assert_false(holds(constraint(attribute, "none", RV_PREDICATE_TEXT_EQUALS, "r2")));
    assert_true(holds(constraint(attribute, "none", RV_PREDICATE_TEXT_NOT_EQUALS, "r2")));
    assert_true(holds(constraint(attribute, "rack", RV_PREDICATE_TEXT_NOT_EQUALS, "r2")));
    assert_true(holds(constraint(attribute, "rack", RV_PREDICATE_TEXT_MATCHES, "r[0-9]")));
    assert_false(holds(constraint(attribute, "rack", RV_PREDICATE_TEXT_MATCHES, "r")));
    assert_false(holds(constraint(attribute, "rack", RV_PREDICATE_TEXT_NOT_MATCHES, "r.")));
    assert_true(holds(constraint(attribute, "none", RV_PREDICATE_TEXT_NOT_MATCHES, ".*")));
    /* what is no text is left to the scheduler */
    assert_true(holds(constraint(attribute, "level", RV_PREDICATE_TEXT_EQUALS, "4")));
    assert_true(holds(constraint(attribute, "level", RV_PREDICATE_TEXT_NOT_EQUALS, "3")));
    assert_true(holds(constraint(RV_SELECT_HOSTNAME, NULL, RV_PREDICATE_TEXT_EQUALS, "host")));
    assert_true(holds(constraint(RV_SELECT_REGION, NULL, RV_PREDICATE_TEXT_MATCHES, "e.")));
    assert_false(holds(constraint(RV_SELECT_ZONE, NULL, RV_PREDICATE_EXISTS, NULL)));
    assert_true(rv_offer_constraints_match(NULL, "r", &attributes, "host", NULL, NULL));
    rv_attributes_free(&attributes);
}

/* Groups are alternatives, within a group all must hold; no group accepts nothing. */
static void test_groups(void **state) {
    (void)state;
    struct rv_constraint a[] = {
        {.selector = RV_SELECT_HOSTNAME, .predicate = RV_PREDICATE_EXISTS},
        {.selector = RV_SELECT_REGION, .predicate = RV_PREDICATE_EXISTS},
    };
    struct rv_constraint b[] = {{.selector = RV_SELECT_ZONE, .predicate = RV_PREDICATE_EXISTS}};
    struct rv_constraint_group groups[] = {{a, 2}, {b, 1}};
    char role[] = "r";
    struct rv_role_constraints of_role = {role, groups, 2};
    struct rv_offer_constraints c = {1, &of_role, 1, NULL};
    assert_true(rv_offer_constraints_match(&c, "r", NULL, "h", "eu", NULL));
    assert_false(rv_offer_constraints_match(&c, "r", NULL, "h", NULL, NULL));
    assert_true(rv_offer_constraints_match(&c, "r", NULL, NULL, NULL, "z"));
    of_role.n = 0;
    assert_false(rv_offer_constraints_match(&c, "r", NULL, "h", "eu", "z"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_linear),  cmocka_unit_test(test_constraints),
        cmocka_unit_test(test_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
