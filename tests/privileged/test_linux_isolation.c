/*
 * What a container of the `linux` containerizer may ask for beyond the default, on the real kernel:
 * volumes and secrets, and what their paths must not lead to; namespaces, limits of processes.
 */
#include <sys/prctl.h>
#include <sys/resource.h>

#include "linux_world.h"

/* A folder of the machine that is none of the agent's, with a file in it. */
static char *host_folder(const char *owner) {
    char *path = rv_strdup("/tmp/linux-host-XXXXXX");
    _cleanup_free_ char *script = NULL;

    assert_non_null(mkdtemp(path));
    script = rv_asprintf("cd %s && echo from outside >file && chmod 755 . && chown -R %s .", path,
                         owner);
    assert_int_equal(system(script), 0);
    return path;
}

static void remove_folder(char *path) {
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(path);
}

static struct rv_container_isolation with(const struct rv_container_volume *volumes, size_t n) {
    return (struct rv_container_isolation){.volumes = volumes, .n_volumes = n};
}

/* The launch fails, and its message has the text. */
static void assert_refused(struct world *w, const char *id, const char *user,
                           const struct rv_container_volume *volume, const char *text) {
    struct rv_container_isolation i = with(volume, 1);

    launch_with(w, id, "true", &(struct options){.isolation = &i, .user = user});
    run_until(w, &w->n_launched, w->n_launched + 1);
    if (seen(w, id)->ok)
        fail_msg("%s was launched", id);
    if (!strstr(seen(w, id)->message, text))
        fail_msg("%s: \"%s\" does not say \"%s\"", id, seen(w, id)->message, text);
}

/* ---- volumes of the machine ---- */

static void test_volumes_of_the_machine(void **state) {
    struct world *w = *state;
    char *folder = host_folder("nobody");
    _cleanup_free_ char *file = rv_asprintf("%s/file", folder), *text = NULL, *again = NULL;
    const struct rv_container_volume volumes[] = {
        {.source = RV_VOLUME_HOST, .path = folder, .target = "/tmp/deep/down/shared"},
        {.source = RV_VOLUME_HOST, .path = folder, .target = "in/sandbox", .read_only = true},
        {.source = RV_VOLUME_HOST, .path = file, .target = "/etc/hostname", .read_only = true},
        {.source = RV_VOLUME_HOST, .path = file, .target = "one"},
    };
    struct rv_container_isolation i = with(volumes, RV_COUNT(volumes));

    text = output_of(w, "a",
                     "echo written >/tmp/deep/down/shared/new; cat in/sandbox/new; "
                     "touch in/sandbox/x 2>/dev/null || echo read-only; cat /etc/hostname one; "
                     "stat -c %U in in/sandbox /tmp/deep; ls /tmp/deep/down",
                     0, &(struct options){.isolation = &i, .user = "nobody"});
    assert_string_equal(text, "written\nread-only\nfrom outside\nfrom outside\nnobody\nnobody\n"
                              "nobody\nshared\n");
    /* It is shared, and nothing but that is seen outside. */
    again = output_of(w, "b", "cat /tmp/deep/down/shared/new", 0,
                      &(struct options){.isolation = &i, .user = "nobody"});
    assert_string_equal(again, "written\n");
    assert_int_not_equal(access("/tmp/deep", F_OK), 0);
    remove_folder(folder);
}

static void test_a_volume_gives_no_more_than_its_user_has(void **state) {
    struct world *w = *state;
    char *folder = host_folder("root");
    _cleanup_free_ char *inner = rv_asprintf("%s/inner", folder);
    struct rv_container_volume v = {.source = RV_VOLUME_HOST, .path = inner, .target = "v"};

    assert_int_equal(mkdir(inner, 0777), 0);
    assert_int_equal(chmod(inner, 0777), 0);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_refused(w, "a", "nobody", &v, "Permission denied");
    remove_folder(folder);
}

static void test_volumes_keep_off_what_is_the_machines(void **state) {
    struct world *w = *state;
    char *folder = host_folder("root");
    _cleanup_free_ char *other = sandbox_of(w, "other"), *link = rv_asprintf("%s/link", folder);
    const struct {
        const char *path, *target, *says;
    } cases[] = {
        {"/", "v", "the root is not allowed"},
        {"/proc/1", "v", "/proc is not allowed"},
        {"/proc/self/root", "v", ""}, /* a magic link */
        {"/sys/kernel", "v", "/sys is not allowed"},
        {"/dev/null", "v", "/dev is not allowed"},
        {w->root, "v", "where the agent keeps its own"},
        {other, "v", "where the agent keeps its own"},
        {"/tmp", "v", "where the agent keeps its own"}, /* above it */
        {link, "v", "where the agent keeps its own"},
        {folder, "/proc/sys", "/proc is not allowed"},
        {folder, "/sys/fs", "/sys is not allowed"},
        {folder, "/dev/shm", "/dev is not allowed"},
        {folder, "/nothing/here", "it must be there"},
        {folder, w->root, "would cover the sandbox"},
        {folder, "/tmp", "would cover the sandbox"},
        {"/nothing/here", "v", "No such file"},
        {folder, "/etc/hostname", "it is a file"},
        {folder, "out/link/x", "leads out of the sandbox"},
    };

    free(output_of(w, "other", "true", 0, &(struct options){0}));
    assert_int_equal(symlink(w->state_dir, link), 0);
    for (size_t n = 0; n < RV_COUNT(cases); n++) {
        struct rv_container_volume v = {
            .source = RV_VOLUME_HOST, .path = cases[n].path, .target = cases[n].target};
        _cleanup_free_ char *id = rv_asprintf("c%zu", n), *sandbox = sandbox_of(w, id);
        _cleanup_free_ char *trap =
            rv_asprintf("mkdir -p %s/out && ln -s %s %s/out/link", sandbox, folder, sandbox);
        assert_int_equal(system(trap), 0);
        assert_refused(w, id, NULL, &v, cases[n].says);
    }
    remove_folder(folder);
}

/* Lets `path` in the folder lead to a good place and a bad one in turn, until it is killed. In one
 * process, so that nothing is done any more when it has ended. */
_Noreturn static void change_links(const char *folder, const char *bad) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (chdir(folder) != 0 || mkdir("good", 0755) != 0)
        _exit(1);
    for (bool good = true;; good = !good)
        if (symlink(good ? "good" : bad, "next") != 0 || rename("next", "path") != 0)
            _exit(1);
}

/* The name is not looked at twice: what was opened is mounted. */
static void test_a_link_that_is_swapped_leads_nowhere_else(void **state) {
    struct world *w = *state;
    char *folder = host_folder("root");
    _cleanup_free_ char *path = rv_asprintf("%s/path", folder);
    struct rv_container_volume v = {.source = RV_VOLUME_HOST, .path = path, .target = "v"};
    struct rv_container_isolation i = with(&v, 1);
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        change_links(folder, w->root);
    for (int n = 0; n < 40; n++) {
        _cleanup_free_ char *id = rv_asprintf("c%d", n);
        size_t exited = w->n_exited;
        launch_with(w, id, "test -e v/meta && exit 9; exit 0", &(struct options){.isolation = &i});
        run_until(w, &w->n_launched, (size_t)n + 1);
        if (!seen(w, id)->ok)
            continue;
        if (!seen(w, id)->exited)
            run_until(w, &w->n_exited, exited + 1);
        assert_int_equal(seen(w, id)->wait_status, 0);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    remove_folder(folder);
}

/* ---- volumes of a sandbox ---- */

static void test_volumes_of_the_sandbox(void **state) {
    struct world *w = *state;
    const struct rv_container_volume volumes[] = {
        {.source = RV_VOLUME_SANDBOX, .path = "tmp", .target = "/tmp"},
        {.source = RV_VOLUME_SANDBOX, .path = "a/b", .target = "/mnt", .read_only = true},
    };
    struct rv_container_isolation i = with(volumes, RV_COUNT(volumes));
    _cleanup_free_ char *text = output_of(
        w, "a",
        "echo x >/tmp/y; cat tmp/y; touch /mnt/z 2>/dev/null || echo read-only; stat -c %U a a/b",
        0, &(struct options){.isolation = &i, .user = "nobody"});

    assert_string_equal(text, "x\nread-only\nnobody\nnobody\n");
}

static void test_volumes_do_not_leave_the_sandbox(void **state) {
    struct world *w = *state;
    static const char *const paths[] = {"link", "link/x", "up/../../.."};
    _cleanup_free_ char *sandbox = NULL, *trap = NULL;

    for (size_t n = 0; n < RV_COUNT(paths); n++) {
        struct rv_container_volume v = {
            .source = RV_VOLUME_SANDBOX, .path = paths[n], .target = "/mnt"};
        _cleanup_free_ char *id = rv_asprintf("c%zu", n);
        free(sandbox);
        free(trap);
        sandbox = sandbox_of(w, id);
        trap = rv_asprintf("mkdir -p %s/up && ln -s /etc %s/link", sandbox, sandbox);
        assert_int_equal(system(trap), 0);
        assert_refused(w, id, NULL, &v, "leads out of the sandbox");
    }
}

static void test_nested_containers_have_volumes(void **state) {
    struct world *w = *state;
    char *folder = host_folder("root");
    const struct rv_container_volume volumes[] = {
        {.source = RV_VOLUME_PARENT, .path = "shared", .target = "of-parent"},
        {.source = RV_VOLUME_HOST, .path = folder, .target = "/tmp/of-host", .read_only = true},
        {.source = RV_VOLUME_SECRET, .data = RV_STR("hush"), .target = "hush"},
    };
    struct rv_container_isolation i = with(volumes, RV_COUNT(volumes));
    _cleanup_free_ char *text = NULL, *outside = NULL;

    launch(w, "a", "mkdir shared; echo from above >shared/file; echo up; exec sleep 1000");
    wait_text(w, "a", "stdout", "up");
    text = output_of(w, "a.b", "cat of-parent/file /tmp/of-host/file hush; echo back >of-parent/b",
                     0, &(struct options){.isolation = &i});
    assert_string_equal(text, "from above\nfrom outside\nhush");
    outside = output_of(w, "a.c", "cat ../../shared/b; ls /tmp/of-host", 0, &(struct options){0});
    assert_string_equal(outside, "back\n"); /* the folder is there, what was in it is not */
    ops->destroy(w->c, "a");
    run_until(w, &w->n_exited, 3);
    remove_folder(folder);
}

/* ---- secrets ---- */

static void test_secrets_are_files_of_the_user_in_memory(void **state) {
    struct world *w = *state;
    const struct rv_container_volume volumes[] = {
        {.source = RV_VOLUME_SECRET, .data = RV_STR("open sesame"), .target = "secrets/door"},
        {.source = RV_VOLUME_SECRET, .data = RV_STR("mellon"), .target = "/tmp/gate"},
    };
    struct rv_container_isolation i = with(volumes, RV_COUNT(volumes));
    _cleanup_free_ char *text = NULL, *kept = NULL;

    text = output_of(w, "a",
                     "cat secrets/door /tmp/gate; echo; stat -c '%a %U' secrets/door /tmp/gate; "
                     "stat -f -c %T secrets/door; echo x 2>/dev/null >secrets/door || echo fixed; "
                     "chmod 777 secrets/door 2>/dev/null || echo fixed",
                     0, &(struct options){.isolation = &i, .user = "nobody"});
    assert_string_equal(text, "open sesamemellon\n400 nobody\n400 nobody\ntmpfs\nfixed\nfixed\n");
    kept = read_sandbox(w, "a", "secrets/door");
    assert_string_equal(kept, ""); /* outside there is only the place */
}

/* ---- namespaces ---- */

static void test_shares_processes_and_ipc_with_the_machine(void **state) {
    struct world *w = *state;
    struct rv_container_isolation i = {.share_pid_namespace = true, .share_ipc = true};
    _cleanup_free_ char *script =
        rv_asprintf("test -d /proc/%d && echo seen; readlink /proc/self/ns/ipc; "
                    "cat /proc/sysrq-trigger 2>/dev/null; echo x 2>/dev/null "
                    ">/proc/sys/kernel/domainname || echo read-only; sleep 1000 & exit 0",
                    (int)getpid());
    _cleanup_free_ char *text = output_of(w, "a", script, 0, &(struct options){.isolation = &i});
    char ours[64];
    ssize_t n = readlink("/proc/self/ns/ipc", ours, sizeof ours - 1);
    _cleanup_free_ char *want = NULL;

    assert_true(n > 0);
    ours[n] = '\0';
    want = rv_asprintf("seen\n%s\nread-only\n", ours);
    assert_string_equal(text, want);
}

static void test_ipc_and_shared_memory_of_its_own(void **state) {
    struct world *w = *state;
    struct rv_container_isolation own = {.own_ipc = true, .shm_bytes = 1 << 20},
                                  sized = {.shm_bytes = 2 << 20};
    _cleanup_free_ char *shared = NULL, *nested = NULL;

    launch_with(w, "a", "echo x >/dev/shm/mark; echo up; exec sleep 1000",
                &(struct options){.isolation = &sized});
    wait_text(w, "a", "stdout", "up");
    shared =
        output_of(w, "a.b", "cat /dev/shm/mark; stat -f -c %b /dev/shm; stat -f -c %S /dev/shm", 0,
                  &(struct options){0});
    assert_string_equal(shared, "x\n512\n4096\n");
    nested = output_of(w, "a.c", "ls /dev/shm; stat -f -c %b /dev/shm", 0,
                       &(struct options){.isolation = &own});
    assert_string_equal(nested, "256\n");
    ops->destroy(w->c, "a");
    run_until(w, &w->n_exited, 3);
}

static void test_names_and_networks(void **state) {
    struct world *w = *state;
    struct rv_container_isolation named = {.hostname = "web-1"},
                                  nested = {.hostname = "web-2", .own_network = true};
    _cleanup_free_ char *text = NULL, *below = NULL, *after = NULL;

    launch_with(w, "a", "hostname; echo up; exec sleep 1000",
                &(struct options){.isolation = &named});
    wait_text(w, "a", "stdout", "up");
    text = read_sandbox(w, "a", "stdout");
    assert_string_equal(text, "web-1\nup\n");
    below = output_of(w, "a.b", "hostname; ls /sys/class/net", 0,
                      &(struct options){.isolation = &nested});
    assert_non_null(strstr(below, "web-2\n"));
    after = output_of(w, "a.c", "hostname", 0, &(struct options){0});
    assert_string_equal(after, "web-1\n");
    ops->destroy(w->c, "a");
    run_until(w, &w->n_exited, 3);
}

/* ---- limits ---- */

static void test_rlimits_stay_below_the_agents(void **state) {
    struct world *w = *state;
    struct rlimit ours;
    struct rv_container_rlimit limits[] = {{RLIMIT_NOFILE, 100, RLIM_INFINITY},
                                           {RLIMIT_CORE, 0, 0},
                                           {RLIMIT_NPROC, RLIM_INFINITY, RLIM_INFINITY}};
    struct rv_container_isolation i = {.rlimits = limits, .n_rlimits = RV_COUNT(limits)};
    _cleanup_free_ char *text = NULL, *want = NULL;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &ours), 0);
    text = output_of(w, "a", "ulimit -Sn; ulimit -Hn; ulimit -Hc", 0,
                     &(struct options){.isolation = &i});
    want = ours.rlim_max == RLIM_INFINITY
               ? rv_strdup("100\nunlimited\n0\n")
               : rv_asprintf("100\n%llu\n0\n", (unsigned long long)ours.rlim_max);
    assert_string_equal(text, want);
}

static void test_limits_of_cpus_and_memory(void **state) {
    struct world *w = *state;
    struct rv_container_isolation limited = {.limits = {500, 256 << 20}},
                                  free_of = {.limits = {-1, -1}};
    struct rv_resources r = {0};
    static const char script[] =
        "d=/sys/fs/cgroup; if [ -e $d/memory.max ]; then cat $d/memory.max $d/cpu.max; "
        "else cat $d/memory/memory.limit_in_bytes $d/cpu/cpu.cfs_quota_us; fi";
    _cleanup_free_ char *text = NULL, *none = NULL, *resized = NULL;

    text = output_of(w, "a", script, 0,
                     &(struct options){.isolation = &limited, .cpus_milli = 250, .mem_mib = 64});
    assert_non_null(strstr(text, "268435456\n50000"));
    none = output_of(w, "b", script, 0,
                     &(struct options){.isolation = &free_of, .cpus_milli = 250, .mem_mib = 64});
    assert_true(strstr(none, "max\nmax") || strstr(none, "\n-1\n"));
    launch_with(w, "c",
                "echo up; while [ ! -e go ]; do sleep 0.1; done; d=/sys/fs/cgroup; "
                "cat $d/memory.max $d/memory/memory.limit_in_bytes 2>/dev/null; true",
                &(struct options){.mem_mib = 64});
    wait_text(w, "c", "stdout", "up");
    rv_resources_add_scalar(&r, "mem", 64000);
    ops->update(w->c, "c", &r, &(struct rv_container_limits){0, 128 << 20});
    rv_resources_free(&r);
    _cleanup_free_ char *sandbox = sandbox_of(w, "c"), *go = rv_asprintf("%s/go", sandbox);
    assert_int_equal(mkdir(go, 0755), 0);
    run_until(w, &w->n_exited, 3);
    resized = read_sandbox(w, "c", "stdout");
    assert_string_equal(resized, "up\n134217728\n");
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_volumes_of_the_machine),
        T(test_a_volume_gives_no_more_than_its_user_has),
        T(test_volumes_keep_off_what_is_the_machines),
        T(test_a_link_that_is_swapped_leads_nowhere_else),
        T(test_volumes_of_the_sandbox),
        T(test_volumes_do_not_leave_the_sandbox),
        T(test_nested_containers_have_volumes),
        T(test_secrets_are_files_of_the_user_in_memory),
        T(test_shares_processes_and_ipc_with_the_machine),
        T(test_ipc_and_shared_memory_of_its_own),
        T(test_names_and_networks),
        T(test_rlimits_stay_below_the_agents),
        T(test_limits_of_cpus_and_memory),
    };

    if (geteuid() != 0) {
        puts("skipped: needs root");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
