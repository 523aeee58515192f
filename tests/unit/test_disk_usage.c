/* How much disk lies below a folder, whatever its owner put there. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/folder.h"
#include "base/memory.h"
#include "containerizer/disk_usage.h"

enum { FILE_SIZE = 1 << 20, DEPTH = 3000 };

struct place {
    char root[64];
    atomic_bool stop;
};

static int setup(void **state) {
    struct place *p = rv_calloc(1, sizeof *p);
    const char *folder = getenv("TMPDIR");

    snprintf(p->root, sizeof p->root, "%.40s/usage-XXXXXX", folder ? folder : "/tmp");
    assert_non_null(mkdtemp(p->root));
    *state = p;
    return 0;
}

static int teardown(void **state) {
    struct place *p = *state;

    assert_int_equal(rv_folder_remove(p->root), 0);
    free(p);
    return 0;
}

static void fill(const char *folder, const char *name, size_t size) {
    _cleanup_free_ char *path = rv_asprintf("%s/%s", folder, name);
    _cleanup_free_ char *bytes = rv_malloc(size + 1);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    memset(bytes, 'x', size);
    assert_int_equal(write(fd, bytes, size), size);
    assert_int_equal(fsync(fd), 0); /* until then some file systems have no blocks for it */
    close(fd);
}

static uint64_t usage(struct place *p, const char *folder) {
    struct rv_error err = {0};
    uint64_t bytes = 0;

    if (rv_disk_usage(folder, &p->stop, &bytes, &err))
        fail_msg("%s", err.message);
    return bytes;
}

static void test_counts_what_lies_below(void **state) {
    struct place *p = *state;
    _cleanup_free_ char *below = rv_asprintf("%s/a/b", p->root);
    uint64_t empty = usage(p, p->root);

    assert_true(rv_folder_make(below, 0700, NULL) >= 0);
    fill(p->root, "one", FILE_SIZE);
    fill(below, "two", FILE_SIZE);
    assert_in_range(usage(p, p->root), empty + 2 * FILE_SIZE, empty + 2 * FILE_SIZE + 65536);
}

static void test_counts_a_file_with_two_names_once(void **state) {
    struct place *p = *state;
    _cleanup_free_ char *one = rv_asprintf("%s/one", p->root);
    _cleanup_free_ char *two = rv_asprintf("%s/two", p->root);

    fill(p->root, "one", FILE_SIZE);
    assert_int_equal(link(one, two), 0);
    assert_in_range(usage(p, p->root), FILE_SIZE, FILE_SIZE + 65536);
}

static void test_follows_no_link(void **state) {
    struct place *p = *state;
    _cleanup_free_ char *other = rv_asprintf("%s/other", p->root);
    _cleanup_free_ char *mine = rv_asprintf("%s/mine", p->root);
    _cleanup_free_ char *path = rv_asprintf("%s/link", mine);

    assert_int_equal(mkdir(other, 0700), 0);
    assert_int_equal(mkdir(mine, 0700), 0);
    fill(other, "file", FILE_SIZE);
    assert_int_equal(symlink(other, path), 0);
    assert_in_range(usage(p, mine), 0, 65536);
    assert_int_not_equal(rv_disk_usage(path, &p->stop, &(uint64_t){0}, NULL), 0);
}

/* Deeper than descriptors and paths reach. */
static void test_however_deep(void **state) {
    struct place *p = *state;
    int dir = open(p->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), below;

    for (int i = 0; i < DEPTH; i++) {
        assert_int_equal(mkdirat(dir, "deeper-and-deeper", 0700), 0);
        below = openat(dir, "deeper-and-deeper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(below >= 0);
        close(dir);
        dir = below;
    }
    below = openat(dir, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(posix_fallocate(below, 0, FILE_SIZE), 0);
    close(below);
    close(dir);
    assert_true(usage(p, p->root) >= FILE_SIZE);
}

static void test_stops(void **state) {
    struct place *p = *state;
    struct rv_error err;
    uint64_t bytes = 7;

    for (int i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        fill(p->root, name, 0);
    }
    atomic_store(&p->stop, true);
    assert_int_equal(rv_disk_usage(p->root, &p->stop, &bytes, &err), -RV_ERR_CLOSED);
    assert_int_equal(bytes, 7);
    assert_int_equal(rv_disk_usage("/there/is/none", &p->stop, &bytes, &err), -RV_ERR_NOT_FOUND);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(counts_what_lies_below),
        TEST(counts_a_file_with_two_names_once),
        TEST(follows_no_link),
        TEST(however_deep),
        TEST(stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
