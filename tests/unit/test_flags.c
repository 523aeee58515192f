/* Flags: where they come from, and what is wrong with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/flags.h"

static struct rv_master_flags flags;
static struct rv_error err;

static int parse(const char *const *arguments, const char *const *environment) {
    int n = 0;

    while (arguments && arguments[n])
        n++;
    return rv_flags_parse(&rv_master_flag_table, &flags, n, (char *const *)(uintptr_t)arguments,
                          (char *const *)(uintptr_t)environment, &err);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

/* A file with these lines, for as long as the test runs. */
static char *file_with(const char *lines) {
    static char path[64], flag[96];
    FILE *f;
    int fd;

    snprintf(path, sizeof path, "/tmp/reeve-flags-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    f = fdopen(fd, "w");
    assert_non_null(f);
    fputs(lines, f);
    fclose(f);
    snprintf(flag, sizeof flag, "--flags_file=%s", path);
    return flag;
}

static void remove_file(const char *flag) {
    unlink(flag + sizeof "--flags_file=" - 1);
}

/* The command line goes before the environment, that before the file, that before the default. */
static void goes_by_precedence(void **state) {
    char *file = file_with("# ours\n--port=3\nhostname=file\ncluster=file\n");

    (void)state;
    assert_int_equal(parse(LIST("--port=1", file),
                           LIST("REEVE_PORT=2", "REEVE_HOSTNAME=environment", "REEVE_OTHER=x")),
                     0);
    assert_int_equal(flags.port, 1);
    assert_string_equal(flags.hostname, "environment");
    assert_string_equal(flags.cluster, "file");
    rv_flags_free(&rv_master_flag_table, &flags);
    remove_file(file);
}

/* Twice in one place: which of them was meant? */
static void is_given_once(void **state) {
    char *file = file_with("port=3\nport=3\n");

    (void)state;
    assert_int_equal(parse(LIST("--port=1", "--port", "2"), NULL), -RV_ERR_INVALID);
    assert_string_equal(err.message, "--port (from the command line): is given twice there");
    assert_int_equal(parse(LIST("--work-dir=a", "--work_dir=a"), NULL), -RV_ERR_INVALID);
    assert_non_null(strstr(err.message, "--work_dir"));
    assert_int_equal(parse(LIST(file), NULL), -RV_ERR_INVALID);
    assert_non_null(strstr(err.message, "line 2): is given twice there"));
    remove_file(file);
}

static void names_what_is_wrong(void **state) {
    (void)state;
    assert_int_equal(parse(LIST("--nope=1"), NULL), -RV_ERR_INVALID);
    assert_non_null(strstr(err.message, "--nope: no such flag"));
    assert_int_equal(parse(LIST("--port=x"), NULL), -RV_ERR_INVALID);
    assert_non_null(strstr(err.message, "--port (from the command line): \"x\" is not"));
    assert_int_equal(parse(LIST("--port"), NULL), -RV_ERR_INVALID);
    assert_non_null(strstr(err.message, "--port: needs a value"));
    assert_int_equal(parse(LIST("port=1"), NULL), -RV_ERR_INVALID);
    assert_int_equal(parse(NULL, LIST("REEVE_PORT=x")), -RV_ERR_INVALID);
    assert_non_null(strstr(err.message, "the environment"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_by_precedence),
        cmocka_unit_test(is_given_once),
        cmocka_unit_test(names_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
