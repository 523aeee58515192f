/*
 * Project quotas on a real file system: an ext4 of its own in a file. Skipped where the kernel or
 * the tools cannot do it.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/capability.h>

#include "base/folder.h"
#include "base/memory.h"
#include "base/str.h"
#include "containerizer/project_quota.h"
#include "containerizer/watch.h"
#include "loop_until.h"

#define MIB ((uint64_t)1 << 20)

enum { FIRST = 5000, LAST = 5002, WAIT_MS = 30000 };

static char root[] = "/tmp/quota-XXXXXX"; /* the image, and the folder it is mounted on */
static char mounted[64];

static bool run(const char *format, const char *a, const char *b) {
    char command[512];

    snprintf(command, sizeof command, format, a, b);
    return system(command) == 0; // NOLINT(cert-env33-c): our own words
}

/* Why it cannot be; NULL: it is mounted. */
static const char *make(void) {
    char image[64];

    if (!mkdtemp(root))
        return "mkdtemp";
    snprintf(image, sizeof image, "%s/image", root);
    snprintf(mounted, sizeof mounted, "%s/mounted", root);
    if (!run("mkdir %s && truncate -s 96M %s", mounted, image))
        return "no room for an image";
    if (!run("mkfs.ext4 -q -O project,quota -E quotatype=prjquota %s%s", image, ""))
        return "no mkfs.ext4";
    if (!run("mount -t ext4 -o loop,prjquota %s %s 2>/dev/null", image, mounted))
        return "the kernel has no project quotas on ext4";
    return NULL;
}

static void unmake(void) {
    umount(mounted);
    rv_folder_remove(root);
}

static struct rv_project_quota *open_quota(void) {
    struct rv_project_quota *q = NULL;
    struct rv_error err = {0};

    if (rv_project_quota_open(mounted, FIRST, LAST, &q, &err))
        fail_msg("%s", err.message);
    return q;
}

static char *folder(const char *name) {
    char *path = rv_asprintf("%s/%s", mounted, name);
    int fd = rv_folder_make(path, 0700, NULL);

    assert_true(fd >= 0);
    close(fd);
    return path;
}

/* With this capability there is no quota; containers have not got it. */
static void be_limited(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];

    assert_int_equal(syscall(SYS_capget, &header, data), 0);
    data[0].effective &= ~(1u << CAP_SYS_RESOURCE);
    assert_int_equal(syscall(SYS_capset, &header, data), 0);
}

/* How much could be written. */
static uint64_t fill(const char *path, const char *name, uint64_t size) {
    static const char block[65536] = "x";
    _cleanup_free_ char *file = rv_asprintf("%s/%s", path, name);
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    uint64_t done = 0;

    assert_true(fd >= 0);

    while (done < size && write(fd, block, sizeof block) == (ssize_t)sizeof block)
        done += sizeof block;
    fsync(fd);
    close(fd);
    return done;
}

static uint64_t usage(const struct rv_project_quota *q, uint32_t project) {
    uint64_t bytes = 0;

    assert_int_equal(rv_project_quota_usage(q, project, &bytes, NULL), 0);
    return bytes;
}

static void test_counts_and_limits(void **state) {
    struct rv_project_quota *q = open_quota();
    _cleanup_free_ char *a = folder("a"), *b = folder("b");
    uint32_t pa = 0, pb = 0;
    (void)state;

    assert_true(rv_project_quota_enforces(q));
    assert_int_equal(rv_project_quota_of(q, a), 0);
    assert_int_equal(rv_project_quota_assign(q, a, &pa, NULL), 0);
    assert_int_equal(rv_project_quota_assign(q, b, &pb, NULL), 0);
    assert_in_range(pa, FIRST, LAST);
    assert_int_not_equal(pa, pb);
    assert_int_equal(rv_project_quota_of(q, a), pa);
    assert_int_equal(fill(a, "file", MIB), MIB);
    assert_in_range(usage(q, pa), MIB, MIB + 65536);
    assert_in_range(usage(q, pb), 0, 65536);
    assert_int_equal(rv_project_quota_limit(q, pa, 3 * MIB, NULL), 0);
    assert_in_range(fill(a, "more", 10 * MIB), MIB, 2 * MIB);
    assert_int_equal(fill(b, "file", 10 * MIB), 10 * MIB);
    assert_int_equal(rv_project_quota_limit(q, pa, UINT64_MAX, NULL), 0);
    assert_int_equal(fill(a, "more", 10 * MIB), 10 * MIB);
    rv_project_quota_close(q);
    q = open_quota(); /* a later agent */
    assert_int_equal(rv_project_quota_of(q, a), pa);
    assert_int_equal(rv_folder_remove(a), 0);
    assert_int_equal(rv_folder_remove(b), 0);
    rv_project_quota_close(q);
}

static void test_numbers_are_used_again(void **state) {
    struct rv_project_quota *q = open_quota();
    struct rv_error err = {0};
    char *paths[LAST - FIRST + 2];
    uint32_t project, freed;
    (void)state;

    for (int i = 0; i < LAST - FIRST + 2; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        paths[i] = folder(name);
    }
    for (int i = 0; i < LAST - FIRST + 1; i++)
        assert_int_equal(rv_project_quota_assign(q, paths[i], &project, &err), 0);
    assert_int_equal(rv_project_quota_assign(q, paths[LAST - FIRST + 1], &project, &err),
                     -RV_ERR_LIMIT);
    freed = rv_project_quota_of(q, paths[1]);
    assert_int_equal(rv_folder_remove(paths[1]), 0);
    assert_int_equal(rv_project_quota_assign(q, paths[LAST - FIRST + 1], &project, &err), 0);
    assert_int_equal(project, freed);
    for (int i = 0; i < LAST - FIRST + 2; i++) {
        assert_int_equal(rv_folder_remove(paths[i]), 0);
        free(paths[i]);
    }
    rv_project_quota_close(q);
}

/* ---- the watch ---- */

struct fake {
    struct rv_containerizer base;
    bool limited;
    enum rv_reason reason;
    int64_t disk;
};

static void limit(struct rv_containerizer *c, const char *id, const struct rv_container_end *why) {
    struct fake *f = RV_CONTAINER_OF(c, struct fake, base);

    assert_string_equal(id, "c");
    f->limited = true;
    f->reason = why->reason;
    f->disk = rv_resources_quantity(why->limitation, "disk");
}

static void test_the_watch_uses_them(void **state) {
    static const struct rv_containerizer_ops ops = {.limit = limit};
    struct fake f = {.base.ops = &ops};
    _cleanup_free_ char *path = rv_asprintf("%s/slaves/s/c", mounted);
    _cleanup_(rv_resources_free) struct rv_resources r = {0};
    struct rv_watch_config config = {.containerizer = &f.base,
                                     .folder = mounted,
                                     .disk_interval_ms = 20,
                                     .ports_interval_ms = 1000,
                                     .enforce_disk = true,
                                     .projects = {FIRST, LAST}};
    struct rv_watch_disk disk = {0};
    struct rv_error err = {0};
    struct rv_watch *w;
    uv_loop_t loop;
    (void)state;

    assert_int_equal(uv_loop_init(&loop), 0);
    config.loop = &loop;
    if (rv_watch_new(&config, &w, &err))
        fail_msg("%s", err.message);
    assert_non_null(strstr(rv_watch_describe(w), "project quota"));
    rv_resources_add_scalar(&r, "disk", 2000);
    rv_watch_add(w, "c", path, &r); /* makes the folder */
    assert_int_equal(fill(path, "file", MIB), MIB);
    for (int i = 0; i < WAIT_MS / 10 && !disk.has_used; i++) {
        loop_for(&loop, 10);
        assert_true(rv_watch_disk(w, "c", &disk));
    }
    assert_in_range(disk.used_bytes, MIB, MIB + 65536);
    assert_int_equal(disk.limit_bytes, 2 * MIB);
    assert_false(f.limited);
    /* Before the watch looks, the kernel lets it have some more, but not without end. */
    assert_in_range(fill(path, "more", 40 * MIB), 8 * MIB, 12 * MIB);
    LOOP_UNTIL(&loop, f.limited, WAIT_MS);
    assert_int_equal(f.reason, RV_REASON_CONTAINER_LIMITATION_DISK);
    assert_true(f.disk > 2000);
    rv_watch_free(w);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_and_limits),
        cmocka_unit_test(test_numbers_are_used_again),
        cmocka_unit_test(test_the_watch_uses_them),
    };
    const char *missing = geteuid() == 0 ? make() : "needs root";
    int status = 77;

    if (missing)
        printf("skipped: %s\n", missing);
    else {
        be_limited();
        status = cmocka_run_group_tests(tests, NULL, NULL);
    }
    if (geteuid() == 0)
        unmake();
    return status;
}
