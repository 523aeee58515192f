/*
 * Transcripts of the master's core: tests/transcripts/NAME.txt holds events in and effects out, in
 * the language of master_script.h. The effects must come again as they stand there. With UPDATE=1
 * in the environment the files are written anew: read the difference before committing it.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "master_script.h"

static char *read_whole(const char *path) {
    struct rv_buf b = {0};
    char chunk[4096];
    size_t n;
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        rv_buf_append(&b, chunk, n);
    fclose(f);
    rv_buf_putc(&b, '\0');
    return rv_buf_take(&b, NULL);
}

/* Says where the two part. */
static void print_difference(const char *name, const char *was, const char *is) {
    size_t line = 1, start = 0, i = 0;

    for (; was[i] && was[i] == is[i]; i++)
        if (was[i] == '\n') {
            line++;
            start = i + 1;
        }
    fprintf(stderr, "%s, line %zu:\n  file: %.*s\n  now:  %.*s\n", name, line,
            (int)strcspn(was + start, "\n"), was + start, (int)strcspn(is + start, "\n"),
            is + start);
}

static bool run_one(const char *dir, const char *name, bool update) {
    struct script s = {0};
    char *path = rv_asprintf("%s/%s", dir, name), *was = read_whole(path);
    bool ok;

    script_run(&s, was);
    ok = !s.failed && rv_streq(was, s.text.data);
    if (!ok && !update)
        print_difference(name, was, s.text.data ? s.text.data : "");
    if (!ok && update && !s.failed) {
        FILE *f = fopen(path, "w");

        assert_non_null(f);
        ok = fwrite(s.text.data, 1, s.text.n, f) == s.text.n;
        assert_int_equal(fclose(f), 0);
    }
    script_free(&s);
    free(path);
    free(was);
    return ok;
}

static int is_transcript(const struct dirent *d) {
    return rv_ends_with(d->d_name, ".txt");
}

static void test_transcripts(void **state) {
    const char *dir = getenv("RV_TRANSCRIPTS");
    bool update = getenv("UPDATE") != NULL, ok = true;
    struct dirent **names;
    int n;

    (void)state;
    dir = dir ? dir : RV_TESTS_DIR "/transcripts";
    n = scandir(dir, &names, is_transcript, alphasort);
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        ok &= run_one(dir, names[i]->d_name, update);
        free(names[i]);
    }
    free(names);
    assert_true(ok);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_transcripts)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
