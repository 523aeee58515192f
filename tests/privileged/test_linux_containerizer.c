/* The linux containerizer, as root, with real containers: life, limits, and what they see. */
#include <glob.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <linux/fs.h>

#include "../unit/wanted.h"
#include "linux_world.h"
#include "terminal_story.h"

static void test_describes_itself(void **state) {
    struct world *w = *state;
    const char *text = ops->describe(w->c);

    assert_non_null(strstr(text, "cgroups v"));
    assert_non_null(strstr(text, "seccomp"));
}

static void test_runs_and_tells_the_status(void **state) {
    struct world *w = *state;
    _cleanup_free_ char *text =
        output_of(w, "a", "echo out; echo err >&2; exit 7", 7, &(struct options){0});
    _cleanup_free_ char *errors = read_sandbox(w, "a", "stderr");

    assert_string_equal(text, "out\n");
    assert_string_equal(errors, "err\n");
    assert_int_equal(seen(w, "a")->reason, RV_REASON_NONE);
}

static void test_tells_a_signal(void **state) {
    struct world *w = *state;

    launch(w, "a", "kill -SEGV $$");
    run_until(w, &w->n_exited, 1);
    assert_true(seen(w, "a")->has_status);
    assert_true(WIFSIGNALED(seen(w, "a")->wait_status));
    assert_int_equal(WTERMSIG(seen(w, "a")->wait_status), SIGSEGV);
}

static void test_tells_what_cannot_be_started(void **state) {
    struct world *w = *state;
    const char *argv[] = {"/no/such/program", NULL};

    launch_argv(w, "a", argv, &(struct options){0});
    run_until(w, &w->n_launched, 1);
    assert_false(seen(w, "a")->ok);
    assert_non_null(strstr(seen(w, "a")->message, "/no/such/program"));
    launch_with(w, "b", "true", &(struct options){.user = "nobody-of-this-name"});
    run_until(w, &w->n_launched, 2);
    assert_false(seen(w, "b")->ok);
    assert_int_equal(w->n_exited, 0);
}

/* ---- what it sees ---- */

static void test_sees_only_its_own(void **state) {
    struct world *w = *state;
    _cleanup_free_ char *text = output_of(
        w, "alone",
        "hostname; set -- /proc/[0-9]*; echo pids $#; cat /proc/1/comm; readlink /proc/self;"
        "ls /dev | tr '\\n' ' '; echo; ls -A /tmp | wc -l; env | sort | tr '\\n' ' '; echo;"
        "grep -c . /proc/kcore /proc/timer_list; grep -E '^(NoNewPrivs|Seccomp|CapBnd):' "
        "/proc/self/status; awk '$2 == \"/sys/fs/cgroup/pids\" {print $4}' /proc/mounts; "
        "cat /proc/self/cgroup | cut -d: -f3 | sort -u; pwd; stat -c '%a %U' .; "
        "stat -c '%t:%T' /dev/null; ipcs -m | wc -l; "
        "echo agents $(find /sys/fs/cgroup -name reeve | wc -l)",
        0, &(struct options){0});

    assert_non_null(strstr(text, "alone\n"));
    assert_non_null(strstr(text, "reeve-init\n"));
    assert_non_null(strstr(text, "pids 2\n")); /* init and sh */
    assert_non_null(
        strstr(text, "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty"));
    assert_non_null(strstr(text, "NoNewPrivs:\t1"));
    assert_non_null(strstr(text, "Seccomp:\t2"));
    assert_non_null(strstr(text, "CapBnd:\t00000000a00405fb"));
    assert_non_null(strstr(text, "700 root"));
    assert_non_null(strstr(text, "1:3\n"));
    assert_non_null(strstr(text, "agents 0\n")); /* nothing of other groups than its own */
    assert_null(strstr(text, "MESOS"));
    assert_null(strstr(text, "HOME"));
}

static void test_sees_no_others_sandbox(void **state) {
    struct world *w = *state;
    _cleanup_free_ char *other =
        output_of(w, "other", "echo secret >file; pwd", 0, &(struct options){0});
    _cleanup_free_ char *script = NULL, *text = NULL;

    other[strcspn(other, "\n")] = '\0';
    script = rv_asprintf("cat %s/file; ls %s/.. %s/../..; touch %s/../x; echo mine >file; cat file",
                         other, other, other, other);
    text = output_of(w, "a", script, 0, &(struct options){0});
    assert_null(strstr(text, "secret"));
    assert_null(strstr(text, "other"));
    assert_non_null(strstr(text, "mine"));
}

static void test_own_network(void **state) {
    struct world *w = *state;
    struct rv_container_isolation i = {.own_network = true};
    _cleanup_free_ char *text =
        output_of(w, "a",
                  "ls /sys/class/net | tr '\\n' ' '; cat /sys/class/net/lo/flags; "
                  "find /sys/fs/cgroup -name pids.max | wc -l",
                  0, &(struct options){.isolation = &i});

    assert_string_equal(text, "lo 0x9\n1\n");
}

static void test_user_and_limits(void **state) {
    struct world *w = *state;
    struct rv_container_rlimit limit = {RLIMIT_NOFILE, 100, 200};
    struct rv_container_isolation i = {.rlimits = &limit, .n_rlimits = 1};
    _cleanup_free_ char *text = output_of(
        w, "a",
        "id -un; stat -c %U . stdout; ulimit -Sn; ulimit -Hn; grep CapEff /proc/self/status", 0,
        &(struct options){.user = "nobody", .isolation = &i});

    assert_string_equal(text, "nobody\nnobody\nnobody\n100\n200\nCapEff:\t0000000000000000\n");
}

static void test_capabilities_asked_for(void **state) {
    struct world *w = *state;
    struct rv_container_isolation i = {.has_capabilities = true,
                                       .bounding = 1 << 10 | 1 << 13,
                                       .effective = 1 << 10,
                                       .ambient = true};
    _cleanup_free_ char *text = output_of(w, "a", "grep -E 'Cap(Eff|Bnd|Amb)' /proc/self/status", 0,
                                          &(struct options){.user = "nobody", .isolation = &i});
    _cleanup_free_ char *root = output_of(w, "b", "grep -E 'Cap(Eff|Bnd)' /proc/self/status", 0,
                                          &(struct options){.isolation = &i});

    assert_non_null(strstr(text, "CapEff:\t0000000000000400"));
    assert_non_null(strstr(text, "CapBnd:\t0000000000002400"));
    assert_non_null(strstr(text, "CapAmb:\t0000000000000400"));
    assert_non_null(strstr(root, "CapEff:\t0000000000000400"));
}

/* What a program that tries to get out tells. */
static char *escape(struct world *w, const char *argument, const struct options *o) {
    const char *elsewhere = getenv("RV_ESCAPE"); /* on the machine of vm/run */
    const char *argv[] = {elsewhere ? elsewhere : RV_ESCAPE, argument, NULL};

    launch_argv(w, "a", argv, o);
    run_until(w, &w->n_exited, 1);
    assert_int_equal(seen(w, "a")->wait_status, 0);
    return read_sandbox(w, "a", "stdout");
}

/* Each line tells of an error, but those that are listed. */
static void assert_all_refused(char *text, const char *const *but, size_t n) {
    char *save = NULL;

    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save), n--) {
        bool fine = !rv_ends_with(line, " 0");
        for (size_t i = 0; but[i]; i++)
            fine = fine || rv_streq(line, but[i]);
        if (!fine)
            fail_msg("not refused: %s", line);
    }
    assert_int_equal(n, 0);
}

static void test_escapes_are_refused(void **state) {
    static const char *const no_effect[] = {"kill_init 0", "chroot_is_there 0", "leaked 0", NULL};
    struct world *w = *state;
    int leak = open("/", O_RDONLY | O_DIRECTORY); /* for whoever inherits it */
    _cleanup_free_ char *text = NULL;

    assert_true(leak >= 0 && fcntl(leak, F_DUPFD, 77) == 77);
    text = escape(w, NULL, &(struct options){0});
    close(77);
    close(leak);
    assert_non_null(strstr(text, "leaked 0\n"));
    assert_non_null(strstr(text, "clone3 38\n")); /* ENOSYS, so that libraries fall back */
    assert_all_refused(text, no_effect, 45);
}

/* Where the operator lets it see the machine's processes, it does no more than that. */
static void test_the_machines_processes_are_only_seen(void **state) {
    static const char *const none[] = {NULL};
    struct world *w = *state;
    struct rv_container_isolation i = {.share_pid_namespace = true};
    char us[16];
    _cleanup_free_ char *text = NULL;

    snprintf(us, sizeof us, "%d", (int)getpid());
    text = escape(w, us, &(struct options){.isolation = &i});
    assert_null(strstr(text, " 2\n")); /* ENOENT: it is seen */
    assert_all_refused(text, none, 12);
}

/* /dev is the parent's, and its root may put there what it likes: nothing is masked less. */
static void test_swapped_devices_hide_nothing_less(void **state) {
    static const char show[] = "cat /proc/timer_list /proc/keys 2>/dev/full | wc -c";
    static const char *const swaps[] = {"rm /dev/null", "ln -sf /proc/timer_list /dev/null",
                                        "rm /dev/null; echo something >/dev/null",
                                        "rm /dev/null; mkfifo /dev/null"};
    struct world *w = *state;

    for (size_t n = 0; n < RV_COUNT(swaps); n++) {
        _cleanup_free_ char *id = rv_asprintf("p%zu", n), *below = rv_asprintf("p%zu.b", n);
        _cleanup_free_ char *script =
            rv_asprintf("mkdir -p containers; %s; echo up; exec sleep 1000", swaps[n]);
        launch(w, id, script);
        wait_text(w, id, "stdout", "up");
        _cleanup_free_ char *text = output_of(w, below, show, 0, &(struct options){0});
        assert_string_equal(text, "0\n");
        ops->destroy(w->c, id);
        run_until(w, &w->n_exited, 2 * n + 2);
    }
}

#define ASK_TERMINAL                                                                               \
    "tty; stty size; test -c $(tty) && ls /dev/pts && echo to >$(tty); echo and </dev/tty"

/* It has a name in the container's own /dev/pts, whoever it is made for. */
static void test_terminal(void **state) {
    struct world *w = *state;
    struct rv_container_isolation debug = {.debug = true, .share_cgroup = true}, nested = {0};
    struct options tty = {.tty = true};

    launch_with(w, "a", ASK_TERMINAL "; sleep 1000", &tty);
    run_until(w, &w->n_launched, 1);
    assert_true(seen(w, "a")->ok);
    tty.isolation = &debug;
    launch_with(w, "a.session", ASK_TERMINAL "; sleep 1000", &tty);
    tty.isolation = &nested;
    launch_with(w, "a.nested", ASK_TERMINAL "; sleep 1000", &tty);
    run_until(w, &w->n_launched, 3);
    for (const char *const *id = (const char *const[]){"a.session", "a.nested", NULL}; *id; id++) {
        struct rv_terminal t = ops->terminal(w->c, *id);
        _cleanup_free_ char *text = read_terminal_until(&t, "to\r\nand");
        rv_terminal_close(&t);
        if (!strstr(text, "/dev/pts/") || !strstr(text, "33 44") || !strstr(text, "to\r\nand"))
            fail_msg("%s: %s", *id, text);
        ops->destroy(w->c, *id);
    }
    run_until(w, &w->n_exited, 2);
    ops->destroy(w->c, "a");
    run_until(w, &w->n_exited, 3);
}

/* ---- limits ---- */

static void test_memory_hog_is_killed_alone(void **state) {
    struct world *w = *state;

    launch_with(w, "neighbour", "sleep 1000", &(struct options){.mem_mib = 32});
    launch_with(w, "hog", "head -c 100m /dev/zero | tail -c 100m | wc -c; sleep 1000",
                &(struct options){.mem_mib = 48});
    run_until(w, &w->n_exited, 1);
    assert_true(seen(w, "hog")->exited);
    assert_int_equal(seen(w, "hog")->reason, RV_REASON_CONTAINER_LIMITATION_MEMORY);
    assert_non_null(strstr(seen(w, "hog")->message, "limit 49152 KiB"));
    assert_in_range(rv_resources_quantity(&seen(w, "hog")->limitation, "mem"), 47000, 49000);
    assert_false(seen(w, "neighbour")->exited);
    assert_true(ops->pid(w->c, "neighbour") > 0);
}

static void test_fork_bomb_stops_at_its_limit(void **state) {
    struct world *w = *state;
    struct rv_container_usage u = {0};

    launch(w, "bomb", "sh -c 'while :; do sleep 1000 & done' 2>/dev/null & exec sleep 1000");
    run_until(w, &w->n_launched, 1);
    for (int ms = 0; ms < WAIT_MS && u.processes < 250; ms += 20) {
        run_for(w, 20);
        assert_false(seen(w, "bomb")->exited);
        rv_container_usage_free(&u);
        assert_int_equal(ops->usage(w->c, "bomb", &u, NULL), 0);
    }
    rv_container_usage_free(&u);
    assert_in_range(u.processes, 250, 256);
    ops->destroy(w->c, "bomb");
    if (!seen(w, "bomb")->exited)
        run_until(w, &w->n_exited, 1);
}

/* A nested container over its own limit does not count as its parent's. */
static void test_a_nested_memory_hog_is_killed_alone(void **state) {
    struct world *w = *state;

    launch_with(w, "a", "mkdir -p containers; echo up; sleep 1000",
                &(struct options){.mem_mib = 128});
    wait_text(w, "a", "stdout", "up");
    launch_with(w, "a.hog", "head -c 100m /dev/zero | tail -c 100m | wc -c; sleep 1000",
                &(struct options){.mem_mib = 40});
    run_until(w, &w->n_exited, 1);
    assert_true(seen(w, "a.hog")->exited);
    assert_int_equal(seen(w, "a.hog")->reason, RV_REASON_CONTAINER_LIMITATION_MEMORY);
    run_for(w, 300);
    assert_false(seen(w, "a")->exited);
    ops->destroy(w->c, "a");
    run_until(w, &w->n_exited, 2);
    assert_int_equal(seen(w, "a")->reason, RV_REASON_NONE);
}

/* What failed after it could make no more processes has that as its reason. */
static void test_tells_that_the_limit_of_processes_was_reached(void **state) {
    struct world *w = *state;
    struct rv_container_end why;

    launch(w, "fails", "for i in $(seq 300); do sleep 1000 & done; echo all are there");
    run_until(w, &w->n_exited, 1);
    assert_true(seen(w, "fails")->wait_status != 0);
    assert_int_equal(seen(w, "fails")->reason, RV_REASON_CONTAINER_LIMITATION);
    assert_non_null(strstr(seen(w, "fails")->message, "256"));
    launch(w, "goes-on",
           "(for i in $(seq 300); do sleep 1000 & done) 2>/dev/null; echo up; sleep 1000");
    wait_text(w, "goes-on", "stdout", "up");
    assert_true(ops->is_limited(w->c, "goes-on", true, &why));
    assert_int_equal(why.reason, RV_REASON_CONTAINER_LIMITATION);
    assert_false(
        ops->is_limited(w->c, "goes-on", false, &why)); /* what it could not have is its matter */
    assert_false(ops->is_limited(w->c, "none", true, &why));
    launch(w, "small", "exit 1");
    run_until(w, &w->n_exited, 2);
    assert_int_equal(seen(w, "small")->reason, RV_REASON_NONE);
    ops->destroy(w->c, "goes-on");
    run_until(w, &w->n_exited, 3);
    assert_int_equal(seen(w, "goes-on")->reason, RV_REASON_NONE);
}

/* The agent's own limits, as of the disk, end a container with their reason. */
static void test_ends_with_the_reason_that_it_is_given(void **state) {
    struct world *w = *state;
    struct rv_resources over = {0};
    struct rv_container_end why = {
        .reason = RV_REASON_CONTAINER_LIMITATION_DISK, .message = "too much", .limitation = &over};

    rv_resources_add_scalar(&over, "disk", 7000);
    launch(w, "a", "sleep 1000");
    run_until(w, &w->n_launched, 1);
    ops->limit(w->c, "a", &why);
    rv_resources_free(&over);
    ops->destroy(w->c, "a");
    run_until(w, &w->n_exited, 1);
    assert_int_equal(seen(w, "a")->reason, RV_REASON_CONTAINER_LIMITATION_DISK);
    assert_string_equal(seen(w, "a")->message, "too much");
    assert_int_equal(rv_resources_quantity(&seen(w, "a")->limitation, "disk"), 7000);
}

static struct rv_container_usage usage_of(struct world *w, const char *id) {
    struct rv_container_usage u;
    struct rv_error err = {0};

    if (ops->usage(w->c, id, &u, &err))
        fail_msg("%s", err.message);
    return u;
}

static void test_usage(void **state) {
    struct world *w = *state;
    struct rv_container_usage u;

    launch_with(w, "a", "head -c 20m /dev/zero | tail -c 20m >/dev/null; echo done; sleep 1000",
                &(struct options){.cpus_milli = 500, .mem_mib = 64});
    wait_text(w, "a", "stdout", "done");
    u = usage_of(w, "a");
    assert_true(u.timestamp_ns > 0);
    assert_in_range(u.processes, 2, 4); /* init, sh, sleep, and tail until it is waited for */
    assert_true(u.has_threads && u.threads >= u.processes);
    assert_true(u.groups.has & RV_CGROUP_CPU && u.groups.has & RV_CGROUP_MEMORY);
    assert_true(u.groups.cpu_user_s + u.groups.cpu_system_s > 0);
    assert_true(u.groups.mem_total > 0 && u.groups.mem_peak >= (20 << 20));
    assert_true(u.groups.has_throttling);
    assert_false(u.has_network);
    rv_container_usage_free(&u);
    assert_int_equal(ops->usage(w->c, "none", &u, NULL), -RV_ERR_NOT_FOUND);
}

static void test_usage_of_a_network(void **state) {
    struct world *w = *state;
    struct rv_container_isolation i = {.own_network = true};
    struct rv_container_usage u;

    launch_with(w, "a", "echo up; sleep 1000", &(struct options){.isolation = &i});
    wait_text(w, "a", "stdout", "up");
    u = usage_of(w, "a");
    assert_true(u.has_network);
    assert_int_equal(u.network.rx_bytes, 0); /* only loopback, which does not count */
    rv_container_usage_free(&u);
}

/* Its limits follow what it has, up and down. */
static void test_resize(void **state) {
    static const struct {
        int64_t cpus_milli, mem_mib, limit_milli;
    } sizes[] = {{500, 128, 0}, {2000, 256, 1500}, {100, 48, 0}};
    struct world *w = *state;

    launch_with(w, "a", "echo up; sleep 1000",
                &(struct options){.cpus_milli = 1000, .mem_mib = 64});
    wait_text(w, "a", "stdout", "up");
    for (size_t i = 0; i < RV_COUNT(sizes); i++) {
        const struct rv_container_limits limits = {.cpu_milli = sizes[i].limit_milli};
        _cleanup_(rv_resources_free) struct rv_resources r = {0};
        struct rv_container_usage u;
        rv_resources_add_scalar(&r, "cpus", sizes[i].cpus_milli);
        rv_resources_add_scalar(&r, "mem", sizes[i].mem_mib * 1000);
        ops->update(w->c, "a", &r, &limits);
        u = usage_of(w, "a");
        assert_int_equal(u.groups.mem_limit, sizes[i].mem_mib << 20);
        assert_int_equal(u.groups.mem_soft_limit, sizes[i].mem_mib << 20);
        assert_int_equal(u.groups.cpu_limit_milli,
                         sizes[i].limit_milli ? sizes[i].limit_milli : -1);
        assert_in_range(u.groups.cpu_request_milli, sizes[i].cpus_milli - 10,
                        sizes[i].cpus_milli + 10);
        rv_container_usage_free(&u);
    }
}

static bool has_file(const char *pattern, const char *text) {
    char line[100] = "";
    glob_t found;
    bool has = false;

    if (glob(pattern, 0, NULL, &found))
        return false;
    for (size_t i = 0; i < found.gl_pathc && !has; i++) {
        FILE *f = fopen(found.gl_pathv[i], "re");
        has = f && fgets(line, sizeof line, f) && rv_streq(line, text);
        if (f)
            fclose(f);
    }
    globfree(&found);
    return has;
}

/* What it asks for by name is as the kernel can: of processors only some, of disks a weight. */
static void test_processors_and_io_on_request(void **state) {
    struct world *w = *state;
    _cleanup_(rv_resources_free) struct rv_resources r = {0}, wrong = {0};
    _cleanup_free_ char *cpus = NULL;
    struct rv_error err = {0};
    int rc;

    assert_int_equal(rv_resources_parse("cpuset:[0-0];cpus:1", "*", &r, &err), 0);
    assert_int_equal(rv_linux_containerizer_offers(w->c, &r, &err), 0);
    assert_int_equal(rv_resources_parse("cpuset:[0-9999]", "*", &wrong, &err), 0);
    assert_int_not_equal(rv_linux_containerizer_offers(w->c, &wrong, &err), 0);
    assert_int_equal(count_groups(w, false), 0);
    cpus = output_of(w, "a", "grep Cpus_allowed_list /proc/self/status", 0,
                     &(struct options){.more = &r});
    assert_string_equal(cpus, "Cpus_allowed_list:\t0\n");
    rv_resources_add_scalar(&r, "io_weight", 300000);
    rc = rv_linux_containerizer_offers(w->c, &r, &err);
    if (rc) { /* a kernel without such a scheduler of disks */
        assert_int_equal(rc, -RV_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.message, "no I/O scheduler"));
        return;
    }
    launch_with(w, "b", "echo up; sleep 1000", &(struct options){.more = &r});
    wait_text(w, "b", "stdout", "up");
    assert_true(has_file("/sys/fs/cgroup/reeve/*/b/io*weight", "default 300\n") ||
                has_file("/sys/fs/cgroup/blkio*/reeve/*/b/blkio.*weight", "300\n"));
    ops->destroy(w->c, "b");
    run_until(w, &w->n_exited, 2);
}

/* ---- ends ---- */

static void test_destroys_a_tree(void **state) {
    struct world *w = *state;

    launch(w, "a",
           "for i in 1 2 3; do (setsid sh -c 'trap \"\" TERM INT HUP; sleep 1000 & (sleep 1000 &) ;"
           " while :; do sleep 0.01; done' &) done; echo up; sleep 1000");
    wait_text(w, "a", "stdout", "up");
    ops->destroy(w->c, "a");
    ops->destroy(w->c, "unknown");
    run_until(w, &w->n_exited, 1);
    assert_true(seen(w, "a")->has_status);
    assert_int_equal(WTERMSIG(seen(w, "a")->wait_status), SIGKILL);
}

static void test_the_rest_ends_with_the_command(void **state) {
    struct world *w = *state;

    free(output_of(w, "a", "setsid sleep 1000 & exit 3", 3, &(struct options){0}));
}

static void test_init_passes_signals_on(void **state) {
    struct world *w = *state;

    launch(w, "a", "trap 'exit 5' TERM; echo up; while :; do sleep 0.01; done");
    wait_text(w, "a", "stdout", "up");
    assert_int_equal(kill(ops->pid(w->c, "a"), SIGTERM), 0);
    run_until(w, &w->n_exited, 1);
    assert_int_equal(WEXITSTATUS(seen(w, "a")->wait_status), 5);
}

static void test_many_at_once(void **state) {
    struct world *w = *state;
    char id[16];

    for (int i = 0; i < 20; i++) {
        snprintf(id, sizeof id, "c%d", i);
        launch(w, id, "exit 1");
    }
    run_until(w, &w->n_exited, 20);
}

/* The container with what a process of it holds that the kernel keeps from being killed. */
static void test_tells_what_cannot_be_removed(void **state) {
    struct world *w = *state;
    const struct seen *s = seen(w, "stuck");
    const struct rv_linux_settings settings = {.work_dir = w->root, .give_up_ms = 1000};
    _cleanup_free_ char *folder = sandbox_of(w, "stuck");
    _cleanup_free_ char *make =
        rv_asprintf("mkdir -p %s && truncate -s 16M %s/image && mkfs.ext4 -q %s/image && "
                    "mount -t ext4 -o loop %s/image %s",
                    folder, w->root, w->root, w->root, folder);
    int fd;

    if (system(make) != 0) { // NOLINT(cert-env33-c): our own words
        print_message("no ext4 can be made and mounted here\n");
        skip();
    }
    rv_linux_containerizer_set(w->c, &settings);
    launch(w, "stuck", "echo up; while :; do echo again; sleep 0.01; done");
    wait_text(w, "stuck", "stdout", "again");
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, FIFREEZE, 0), 0);
    run_for(w, 200); /* by now it waits in the kernel for its write */
    ops->destroy(w->c, "stuck");
    /* Nobody else waits for it. */
    free(output_of(w, "other", "exit 0", 0, &(struct options){0}));
    while (!s->exited)
        run_until(w, &w->n_exited, w->n_exited + 1);
    assert_int_equal(ioctl(fd, FITHAW, 0), 0);
    close(fd);
    assert_non_null(strstr(s->message, "Not all of it could be removed: "));
    for (int ms = 0; ms < WAIT_MS && count_groups(w, false); ms += 20)
        run_for(w, 20);
    assert_int_equal(count_groups(w, false), 0);
    assert_int_equal(w->n_exited, 2);
    assert_int_equal(umount(folder), 0);
}

/* ---- nested containers ---- */

static void test_nested(void **state) {
    struct world *w = *state;
    struct rv_container_isolation shared = {.share_pid_namespace = true, .share_cgroup = true};
    struct rv_container_isolation debug = {.debug = true, .share_cgroup = true};
    _cleanup_free_ char *own = NULL, *with_pids = NULL, *debugging = NULL;

    launch(w, "a", "echo here >/tmp/mark; mkdir -p containers; echo up; exec sleep 1000");
    run_until(w, &w->n_launched, 1);
    wait_text(w, "a", "stdout", "up");
    own = output_of(w, "a.own", "cat /tmp/mark; hostname; set -- /proc/[0-9]*; echo $#", 0,
                    &(struct options){0});
    assert_non_null(strstr(own, "here\na\n2\n"));
    with_pids = output_of(w, "a.pids", "cat /proc/1/comm; ps ax | grep -c 'slee[p] 1000'", 0,
                          &(struct options){.isolation = &shared});
    assert_string_equal(with_pids, "reeve-init\n1\n");
    debugging = output_of(w, "a.debug", "hostname; cat /proc/self/cgroup | cut -d: -f3 | sort -u",
                          0, &(struct options){.isolation = &debug});
    /* On v2 the nested one with limits has moved the parent's processes to their leaf. */
    assert_true(strstr(debugging, "a\n/\n") || strstr(debugging, "a\n/.own\n"));
    launch(w, "a.more", "sleep 1000");
    launch_with(w, "a.debugged", "sleep 1000 & sleep 1000", &(struct options){.isolation = &debug});
    run_until(w, &w->n_launched, 6);
    assert_true(seen(w, "a.more")->ok);
    ops->destroy(w->c, "a.debugged");
    run_until(w, &w->n_exited, 4);
    assert_false(seen(w, "a")->exited);
    ops->destroy(w->c, "a");
    run_until(w, &w->n_exited, 6);
    assert_true(seen(w, "a.more")->exited);
    launch(w, "b.nobody", "true");
    run_until(w, &w->n_launched, 7);
    assert_false(seen(w, "b.nobody")->ok);
}

/* ---- the agent dies ---- */

/* In a process of its own: launches, says so, and is killed. */
static void be_an_agent(struct world *w, int tell) {
    open_containerizer(w);
    launch_with(w, "stays", "sleep 1000", &(struct options){.survive = true});
    launch_with(w, "ends", "sleep 1; exit 9", &(struct options){.survive = true});
    launch_with(w, "unwanted", "sleep 1000", &(struct options){.survive = true});
    launch_with(w, "stays.nested", "sleep 1000", &(struct options){.survive = true});
    run_until(w, &w->n_launched, 4);
    if (write(tell, "x", 1) != 1)
        _exit(1);
    pause();
    _exit(1);
}

static void test_recovers_after_the_agents_death(void **state) {
    struct world *w = *state;
    static const char *const ids[] = {"stays", "ends", "stays.nested", "unknown", NULL};
    struct wanted wanted = {.ids = ids};
    char byte;
    struct rv_error err = {0};
    int pipe_fds[2], status;
    pid_t agent;

    close_containerizer(w);
    assert_int_equal(pipe(pipe_fds), 0);
    agent = fork();
    assert_true(agent >= 0);
    if (agent == 0)
        be_an_agent(w, pipe_fds[1]);
    close(pipe_fds[1]);
    assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
    close(pipe_fds[0]);
    assert_int_equal(kill(agent, SIGKILL), 0);
    assert_int_equal(waitpid(agent, &status, 0), agent);
    usleep(1500000);
    open_containerizer(w);
    assert_int_equal(ops->recover(w->c, is_wanted, &wanted, &err), 0);
    assert_true(is_there(&wanted, "stays") && is_there(&wanted, "ends"));
    assert_true(is_there(&wanted, "stays.nested"));
    assert_true(ops->pid(w->c, "stays") > 0);
    run_until(w, &w->n_exited, 1);
    assert_true(seen(w, "ends")->exited);
    assert_true(seen(w, "ends")->has_status);
    assert_int_equal(WEXITSTATUS(seen(w, "ends")->wait_status), 9);
    assert_false(seen(w, "unwanted")->exited);
    ops->destroy(w->c, "stays");
    run_until(w, &w->n_exited, 3);
    assert_true(seen(w, "stays.nested")->exited);
    run_for(w, 100);
}

static char *file_of(const struct world *w, const char *id, const char *name) {
    _cleanup_free_ char *folder = sandbox_of(w, id);

    return rv_asprintf("%s/%s", folder, name);
}

static void touch(const struct world *w, const char *id, const char *name) {
    _cleanup_free_ char *path = file_of(w, id, name);

    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
}

/* Those of one container and of one that is nested in it, of another user. */
static void test_terminals_survive(void **state) {
    struct world *w = *state;
    static const char *const ids[] = {"a", "a.b", NULL};
    struct options keep = {.survive = true, .tty = true, .user = "nobody"};
    struct wanted wanted = {.ids = ids};
    struct rv_terminal t[2];

    launch_with(w, "a", RV_TERMINAL_STORY, &keep);
    run_until(w, &w->n_launched, 1);
    launch_with(w, "a.b", RV_TERMINAL_STORY, &keep);
    run_until(w, &w->n_launched, 2);
    for (int i = 0; i < 2; i++) {
        t[i] = ops->terminal(w->c, ids[i]);
        converse(&t[i], "one\n", "got one");
    }
    for (int i = 0; i < 2; i++)
        rv_terminal_close(&t[i]);
    close_containerizer(w);
    for (int i = 0; i < 2; i++) {
        touch(w, ids[i], "go");
        await_in_file(file_of(w, ids[i], "stdout"), "alone");
    }
    open_containerizer(w);
    assert_int_equal(ops->recover(w->c, is_wanted, &wanted, NULL), 0);
    for (int i = 1; i >= 0; i--) {
        t[i] = ops->terminal(w->c, ids[i]);
        converse(&t[i], "two\n", "got two\r\n33 44");
        rv_terminal_close(&t[i]);
    }
    close_containerizer(w);
    for (int i = 1; i >= 0; i--) {
        touch(w, ids[i], "end");
        await_in_file(file_of(w, ids[i], "stdout"), "last words");
    }
    open_containerizer(w);
    assert_int_equal(ops->recover(w->c, is_wanted, &wanted, NULL), 0);
    /* They are children of the agent that has not died, but is here; what contains them ends only
     * when they have been waited for. */
    for (int i = 0; i < WAIT_MS / 10 && w->n_exited < 2; i++) {
        waitpid(-1, NULL, __WALL | WNOHANG);
        run_for(w, 10);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(seen(w, ids[i])->wait_status, 7 << 8);
    while (waitpid(-1, NULL, __WALL) > 0)
        continue;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_describes_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_runs_and_tells_the_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tells_a_signal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tells_what_cannot_be_started, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sees_only_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sees_no_others_sandbox, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_network, setup, teardown),
        cmocka_unit_test_setup_teardown(test_user_and_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_capabilities_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_escapes_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_machines_processes_are_only_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(test_swapped_devices_hide_nothing_less, setup, teardown),
        cmocka_unit_test_setup_teardown(test_terminal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_hog_is_killed_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fork_bomb_stops_at_its_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_nested_memory_hog_is_killed_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tells_that_the_limit_of_processes_was_reached, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_ends_with_the_reason_that_it_is_given, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_usage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_usage_of_a_network, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resize, setup, teardown),
        cmocka_unit_test_setup_teardown(test_processors_and_io_on_request, setup, teardown),
        cmocka_unit_test_setup_teardown(test_destroys_a_tree, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_rest_ends_with_the_command, setup, teardown),
        cmocka_unit_test_setup_teardown(test_init_passes_signals_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tells_what_cannot_be_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nested, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recovers_after_the_agents_death, setup, teardown),
        cmocka_unit_test_setup_teardown(test_terminals_survive, setup, teardown),
    };

    if (geteuid() != 0) {
        puts("skipped: needs root");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
