/* The base library: each module's behaviour, and the map and the heap against naive models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"

static void test_streq(void **state) {
    (void)state;
    assert_true(rv_streq(NULL, NULL));
    assert_false(rv_streq("", NULL));
    assert_true(rv_streq("a", "a"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_streq)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
