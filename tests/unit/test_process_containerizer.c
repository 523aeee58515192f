/* The process containerizer, with real processes. As root, also the change of user. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/vec.h"
#include "containerizer/containerizer.h"
#include "containerizer/logs.h"
#include "containerizer/proctree.h"
#include "containerizer/state.h"
#include "loop_until.h"
#include "terminal_story.h"
#include "wanted.h"

enum { WAIT_MS = 20000 };

struct seen {
    bool launched, ok, exited, has_status;
    unsigned times_exited;
    int32_t wait_status;
    enum rv_reason reason;
    int64_t disk; /* of the limitation */
    char message[300];
};

struct fixture {
    char root[64];
    char state_dir[128];
    const char *before; /* another such folder, of an earlier agent */
    uv_loop_t loop;
    struct rv_containerizer *c;
    struct rv_map seen; /* id -> struct seen */
    size_t n_launched, n_exited;
};

static const struct rv_containerizer_ops *const ops = &rv_process_containerizer;

static struct seen *seen(struct fixture *f, const char *id) {
    struct seen *s = rv_map_gets(&f->seen, id);

    if (!s) {
        s = rv_calloc(1, sizeof *s);
        rv_map_put(&f->seen, rv_str(id), s);
    }
    return s;
}

static void on_launched(void *ctx, const char *id, bool ok, const char *message) {
    struct fixture *f = ctx;
    struct seen *s = seen(f, id);

    assert_false(s->launched);
    assert_false(s->exited);
    s->launched = true;
    s->ok = ok;
    snprintf(s->message, sizeof s->message, "%s", message ? message : "");
    f->n_launched++;
}

static void on_exited(void *ctx, const char *id, const struct rv_container_end *end) {
    struct fixture *f = ctx;
    struct seen *s = seen(f, id);

    s->exited = true;
    s->times_exited++;
    s->has_status = end->has_status;
    s->wait_status = end->wait_status;
    s->reason = end->reason;
    if (end->message)
        snprintf(s->message, sizeof s->message, "%s", end->message);
    s->disk = end->limitation ? rv_resources_quantity(end->limitation, "disk") : 0;
    f->n_exited++;
}

static const struct rv_containerizer_callbacks callbacks = {on_launched, on_exited};

static void open_containerizer(struct fixture *f) {
    const struct rv_container_records records = {.folder = f->state_dir, .before = f->before};
    struct rv_error err = {0};

    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(ops->create(&f->loop, &records, &callbacks, f, &f->c, &err), 0);
}

static void close_containerizer(struct fixture *f) {
    ops->destroy_all(f->c);
    assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&f->loop), 0);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int setup(void **state) {
    struct fixture *f = rv_calloc(1, sizeof *f);

    strcpy(f->root, "/tmp/containerizer-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    assert_int_equal(chmod(f->root, 0755), 0);
    snprintf(f->state_dir, sizeof f->state_dir, "%s/state/containers", f->root);
    open_containerizer(f);
    *state = f;
    return 0;
}

/* Processes that carry the fixture's directory in their environment. */
static size_t leftovers(const struct fixture *f) {
    struct rv_proctree t = {0};
    size_t n = 0;

    rv_proctree_scan(&t);
    for (size_t i = 0; i < t.n; i++)
        if (t.v[i].pid != getpid() && rv_proc_alive(&t.v[i]) &&
            rv_proc_mentions(t.v[i].pid, f->root))
            n++;
    rv_proctree_free(&t);
    return n;
}

static size_t count_entries(const char *path) {
    DIR *dir = opendir(path);
    size_t n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    struct seen *s;

    close_containerizer(f);
    assert_int_equal(leftovers(f), 0);
    assert_int_equal(count_entries(f->state_dir), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombies either */
    assert_int_equal(errno, ECHILD);
    for (size_t it = 0; rv_map_next(&f->seen, &it, NULL, (void **)&s);)
        free(s);
    rv_map_free(&f->seen);
    nftw(f->root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static void run_until(struct fixture *f, const size_t *counter, size_t want) {
    LOOP_UNTIL(&f->loop, *counter >= want, WAIT_MS);
}

static void run_for(struct fixture *f, uint64_t ms) {
    loop_for(&f->loop, ms);
}

struct options {
    const char *user;
    uint64_t log_max_bytes;
    unsigned log_keep;
    bool survive, keep_status, tty;
    const struct rv_container_isolation *isolation;
};

static void launch_argv(struct fixture *f, const char *id, const char *const *argv,
                        const struct options *o) {
    char directory[256], variable[300];
    const char *env[] = {"PATH=/usr/bin:/bin", variable, "EMPTY=", NULL};
    struct rv_container_config config = {.id = id,
                                         .argv = argv,
                                         .env = env,
                                         .directory = directory,
                                         .user = o->user,
                                         .log_max_bytes = o->log_max_bytes,
                                         .log_keep = o->log_keep,
                                         .survive = o->survive,
                                         .keep_status = o->keep_status,
                                         .tty = o->tty,
                                         .rows = 33,
                                         .columns = 44,
                                         .isolation = o->isolation};

    snprintf(directory, sizeof directory, "%s/sandboxes/%s", f->root, id);
    snprintf(variable, sizeof variable, "MESOS_SANDBOX=%s", directory);
    ops->launch(f->c, &config);
}

static void launch_with(struct fixture *f, const char *id, const char *script,
                        const struct options *o) {
    const char *argv[] = {"sh", "-c", script, NULL};

    launch_argv(f, id, argv, o);
}

static void launch(struct fixture *f, const char *id, const char *script) {
    launch_with(f, id, script, &(struct options){0});
}

static char *sandbox_file(struct fixture *f, const char *id, const char *name) {
    return rv_asprintf("%s/sandboxes/%s/%s", f->root, id, name);
}

static char *read_sandbox(struct fixture *f, const char *id, const char *name) {
    _cleanup_free_ char *path = sandbox_file(f, id, name);
    struct rv_buf text = {0};
    char bytes[4096];
    FILE *file = fopen(path, "r");
    size_t n;

    if (file) {
        while ((n = fread(bytes, 1, sizeof bytes, file)) > 0)
            rv_buf_append(&text, bytes, n);
        fclose(file);
    }
    rv_buf_append(&text, "", 0);
    return text.data ? text.data : rv_strdup("");
}

static void wait_text(struct fixture *f, const char *id, const char *name, const char *want) {
    for (int i = 0; i < WAIT_MS / 10; i++) {
        _cleanup_free_ char *text = read_sandbox(f, id, name);
        if (strstr(text, want))
            return;
        run_for(f, 10);
    }
    fail_msg("%s of %s never had '%s'", name, id, want);
}

static void expect_text(struct fixture *f, const char *id, const char *name, const char *want) {
    _cleanup_free_ char *text = read_sandbox(f, id, name);

    assert_string_equal(text, want);
}

static void touch(struct fixture *f, const char *id, const char *name) {
    _cleanup_free_ char *path = sandbox_file(f, id, name);

    close(open(path, O_CREAT | O_WRONLY, 0600));
}

#define UNTIL_END "echo ready; while ! test -e end; do sleep 0.05; done; exit "

static void test_exit_statuses(void **state) {
    struct fixture *f = *state;

    launch(f, "ok", "echo out; echo err >&2");
    launch(f, "three", "exit 3");
    launch(f, "signal", "kill -TERM $$");
    assert_int_equal(f->n_launched, 0); /* never from within the call */
    run_until(f, &f->n_exited, 3);
    assert_true(seen(f, "ok")->ok && seen(f, "three")->ok && seen(f, "signal")->ok);
    assert_true(seen(f, "ok")->has_status);
    assert_int_equal(seen(f, "ok")->wait_status, 0);
    assert_int_equal(WEXITSTATUS(seen(f, "three")->wait_status), 3);
    assert_int_equal(WTERMSIG(seen(f, "signal")->wait_status), SIGTERM);
    expect_text(f, "ok", "stdout", "out\n");
    expect_text(f, "ok", "stderr", "err\n");
}

static void test_environment_is_exact(void **state) {
    struct fixture *f = *state;
    const char *argv[] = {"env", NULL};
    char want[400];

    setenv("NOT_INHERITED", "1", 1);
    launch_argv(f, "env", argv, &(struct options){0});
    run_until(f, &f->n_exited, 1);
    snprintf(want, sizeof want, "PATH=/usr/bin:/bin\nMESOS_SANDBOX=%s/sandboxes/env\nEMPTY=\n",
             f->root);
    expect_text(f, "env", "stdout", want);
}

static void test_process_attributes(void **state) {
    struct fixture *f = *state;
    int fd = open("/dev/null", O_RDONLY); /* without CLOEXEC: must not be passed on */
    char want[400];
    sigset_t set, old;
    struct stat st;
    _cleanup_free_ char *sandbox = sandbox_file(f, "a", "");

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &old);
    signal(SIGPIPE, SIG_IGN);
    launch(f, "a",
           "ls /proc/self/fd | tr '\\n' ' '; pwd; readlink /proc/self/fd/0; umask;"
           "read a b c d e session rest < /proc/self/stat;"
           "grep -E 'SigBlk|SigIgn' /proc/self/status | cut -f2;"
           "read pid name s ppid group sid rest < /proc/$$/stat;"
           "test $sid = $$ && echo leader");
    run_until(f, &f->n_exited, 1);
    sigprocmask(SIG_SETMASK, &old, NULL);
    signal(SIGPIPE, SIG_DFL);
    close(fd);
    snprintf(want, sizeof want,
             "0 1 2 3 %s/sandboxes/a\n/dev/null\n0022\n0000000000000000\n0000000000000000\n"
             "leader\n",
             f->root); /* 3 is that of ls for the directory */
    expect_text(f, "a", "stdout", want);
    assert_int_equal(stat(sandbox, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
}

static void test_cannot_execute(void **state) {
    struct fixture *f = *state;
    const char *missing[] = {"/no/such/program", NULL}, *searched[] = {"no-such-program", NULL};
    const char *forbidden[] = {"/etc/passwd", NULL};

    launch_argv(f, "missing", missing, &(struct options){0});
    launch_argv(f, "searched", searched, &(struct options){0});
    launch_argv(f, "forbidden", forbidden, &(struct options){0});
    launch(f, "../escape", "true");
    run_until(f, &f->n_launched, 4);
    assert_false(seen(f, "missing")->ok);
    assert_string_equal(seen(f, "missing")->message,
                        "Cannot execute '/no/such/program': No such file or directory");
    assert_string_equal(seen(f, "searched")->message,
                        "Cannot execute 'no-such-program': No such file or directory");
    assert_string_equal(seen(f, "forbidden")->message,
                        "Cannot execute '/etc/passwd': Permission denied");
    assert_false(seen(f, "../escape")->ok);
    run_for(f, 100);
    assert_int_equal(f->n_exited, 0);
}

static void test_sandbox_cannot_be_made(void **state) {
    struct fixture *f = *state;
    const char *argv[] = {"true", NULL}, *env[] = {"PATH=/bin", NULL};
    struct rv_container_config config = {
        .id = "x", .argv = argv, .env = env, .directory = "/proc/no/sandbox"};

    ops->launch(f->c, &config);
    run_until(f, &f->n_launched, 1);
    assert_false(seen(f, "x")->ok);
    assert_non_null(strstr(seen(f, "x")->message, "/proc/no"));
}

static void test_user(void **state) {
    struct fixture *f = *state;
    struct options nobody = {.user = "nobody"}, unknown = {.user = "no-such-user"};
    struct passwd *p = getpwnam("nobody");
    _cleanup_free_ char *sandbox = sandbox_file(f, "n", ""), *out = sandbox_file(f, "n", "stdout");
    struct stat st;

    if (geteuid() != 0 || !p) {
        print_message("only root can switch users\n");
        skip();
    }
    launch_with(f, "n", "id -un; touch mine; grep -E '^[UG]id' /proc/self/status | cut -f2-",
                &nobody);
    launch_with(f, "u", "true", &unknown);
    run_until(f, &f->n_launched, 2);
    run_until(f, &f->n_exited, 1);
    assert_false(seen(f, "u")->ok);
    assert_string_equal(seen(f, "u")->message, "There is no user 'no-such-user'");
    {
        _cleanup_free_ char *want =
            rv_asprintf("nobody\n%u\t%u\t%u\t%u\n%u\t%u\t%u\t%u\n", p->pw_uid, p->pw_uid, p->pw_uid,
                        p->pw_uid, p->pw_gid, p->pw_gid, p->pw_gid, p->pw_gid);
        expect_text(f, "n", "stdout", want);
    }
    assert_int_equal(stat(sandbox, &st), 0);
    assert_int_equal(st.st_uid, p->pw_uid);
    assert_int_equal(stat(out, &st), 0);
    assert_int_equal(st.st_uid, p->pw_uid);
}

#define DAEMONS                                                                                    \
    "trap '' TERM; (setsid sh -c '(setsid sleep 1000 & sleep 1000) & sleep 1000' &);"              \
    "(sleep 1000 &); sleep 0.3; echo ready; "

/* A link in the sandbox; no link of the task's on the way, and nothing else in its place. */
static void test_inv_32_persistent_volumes(void **state) {
    struct fixture *f = *state;
    _cleanup_free_ char *folder = rv_asprintf("%s/volume", f->root),
                        *trap = rv_asprintf("mkdir -p %s && echo kept >%s/file && "
                                            "mkdir -p %s/sandboxes/c && ln -s / %s/sandboxes/c/out",
                                            folder, folder, f->root, f->root);
    struct rv_container_volume v[] = {
        {.source = RV_VOLUME_KEPT, .path = folder, .target = "data"},
        {.source = RV_VOLUME_KEPT, .path = folder, .target = "deep/down", .read_only = true}};
    const struct rv_container_isolation i = {.volumes = v, .n_volumes = RV_COUNT(v)};
    static const char *const refused[] = {"/tmp/data", "out/data", "stdout"};
    struct rv_error err;

    assert_int_equal(system(trap), 0);
    launch_with(f, "a", "cat data/file deep/down/file; echo new >data/new",
                &(struct options){.isolation = &i});
    run_until(f, &f->n_exited, 1);
    expect_text(f, "a", "stdout", "kept\nkept\n");
    launch(f, "c", UNTIL_END "0");
    wait_text(f, "c", "stdout", "ready");
    assert_int_equal(ops->attach(f->c, "c", &v[1], &err), 0);
    assert_int_equal(ops->attach(f->c, "c", &v[1], &err), 0); /* after a restart */
    _cleanup_free_ char *text = read_sandbox(f, "c", "deep/down/new");
    assert_string_equal(text, "new\n");
    assert_int_equal(ops->detach(f->c, "c", &v[1], &err), 0);
    assert_int_equal(ops->detach(f->c, "c", &v[1], &err), 0);
    _cleanup_free_ char *place = sandbox_file(f, "c", "deep/down");
    assert_int_not_equal(access(place, F_OK), 0);
    for (size_t n = 0; n < RV_COUNT(refused); n++) {
        v[0].target = refused[n];
        assert_true(ops->attach(f->c, "c", &v[0], &err) < 0);
        assert_non_null(strstr(err.message, n == 1 ? "out" : refused[n]));
    }
    touch(f, "c", "end");
    run_until(f, &f->n_exited, 2);
    _cleanup_free_ char *file = rv_asprintf("%s/new", folder);
    assert_int_equal(access(file, F_OK), 0);
}

static void test_destroy_kills_all(void **state) {
    struct fixture *f = *state;

    launch(f, "d", DAEMONS "sleep 1000");
    wait_text(f, "d", "stdout", "ready");
    assert_true(leftovers(f) >= 6);
    ops->destroy(f->c, "d");
    ops->destroy(f->c, "d");
    ops->destroy(f->c, "unknown");
    run_until(f, &f->n_exited, 1);
    assert_int_equal(WTERMSIG(seen(f, "d")->wait_status), SIGKILL);
    assert_int_equal(leftovers(f), 0);
    run_for(f, 100);
    assert_int_equal(f->n_exited, 1);
}

static void test_end_kills_the_rest(void **state) {
    struct fixture *f = *state;

    launch(f, "other", DAEMONS "sleep 1000");
    wait_text(f, "other", "stdout", "ready");
    launch(f, "d", DAEMONS "exit 7");
    run_until(f, &f->n_exited, 1);
    assert_int_equal(WEXITSTATUS(seen(f, "d")->wait_status), 7);
    assert_true(leftovers(f) >= 6); /* those of the other container */
    ops->destroy(f->c, "other");
    run_until(f, &f->n_exited, 2);
    assert_int_equal(leftovers(f), 0);
}

static void test_forking_does_not_escape(void **state) {
    struct fixture *f = *state;

    launch(f, "bomb", "echo ready; f() { sleep 0.01; (f &) ; }; f; f; f; f; sleep 1000");
    wait_text(f, "bomb", "stdout", "ready");
    run_for(f, 200);
    ops->destroy(f->c, "bomb");
    run_until(f, &f->n_exited, 1);
    usleep(100000);
    assert_int_equal(leftovers(f), 0);
}

/* Each lives for some milliseconds, forks the next and ends; all end with the test. */
static void be_a_chain(pid_t test) {
    setsid();
    do
        usleep(4000);
    while (kill(test, 0) == 0 && fork() == 0);
    _exit(0);
}

/* Starts a chain below a process that reaps them, and returns that process. */
static pid_t start_chain(int *session) {
    pid_t test = getpid(), reaper, first;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    reaper = fork();
    assert_true(reaper >= 0);
    if (!reaper) {
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGCHLD, SIG_IGN);
        first = fork();
        if (!first)
            be_a_chain(test);
        if (first < 0 || write(ends[1], &first, sizeof first) != sizeof first)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ends[0], session, sizeof *session), sizeof *session);
    close(ends[0]);
    close(ends[1]);
    return reaper;
}

static void test_a_snapshot_sees_a_chain_of_short_lives(void **state) {
    int session;
    pid_t reaper = start_chain(&session);
    unsigned unseen = 0;

    (void)state;
    usleep(20000); /* the first, who leads the session, has ended */
    for (int i = 0; i < 100; i++) {
        struct rv_proctree t = {0};
        bool seen_one = false;

        rv_proctree_scan(&t);
        for (size_t k = 0; k < t.n; k++)
            seen_one = seen_one || (t.v[k].session == session && rv_proc_alive(&t.v[k]));
        rv_proctree_free(&t);
        unseen += !seen_one;
    }
    kill(-session, SIGKILL);
    kill(reaper, SIGKILL);
    waitpid(reaper, NULL, 0);
    assert_int_equal(unseen, 0);
}

static void test_many(void **state) {
    enum { MANY = 500 };
    struct fixture *f = *state;
    const char *argv[] = {"/bin/true", NULL};
    uint64_t start = uv_hrtime(), launched;
    char id[32];

    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "c%d", i);
        launch_argv(f, id, argv, &(struct options){0});
    }
    launched = uv_hrtime() - start;
    run_until(f, &f->n_exited, MANY);
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "c%d", i);
        assert_true(seen(f, id)->ok);
        assert_int_equal(seen(f, id)->times_exited, 1);
        assert_int_equal(seen(f, id)->wait_status, 0);
    }
    print_message("%d launches: %.0f a second, to their ends %.0f a second\n", MANY,
                  MANY / ((double)launched / 1e9), MANY / ((double)(uv_hrtime() - start) / 1e9));
}

static void test_rotation(void **state) {
    struct fixture *f = *state;
    struct options o = {.log_max_bytes = 100000, .log_keep = 2};
    _cleanup_free_ char *one = sandbox_file(f, "r", "stdout.1"),
                        *two = sandbox_file(f, "r", "stdout.2"),
                        *three = sandbox_file(f, "r", "stdout.3"),
                        *current = sandbox_file(f, "r", "stdout"),
                        *directory = sandbox_file(f, "r", "");
    struct stat st;

    launch_with(f, "r",
                "head -c 150000 /dev/zero; while ! test -e two; do sleep 0.05; done; "
                "head -c 160000 /dev/zero; while ! test -e three; do sleep 0.05; done; "
                "head -c 170000 /dev/zero; while ! test -e end; do sleep 0.05; done; echo -n end",
                &o);
    for (int i = 0; i < 500 && (stat(one, &st) != 0 || st.st_size != 150000); i++)
        run_for(f, 20);
    assert_int_equal(st.st_size, 150000);
    for (int i = 0; i < 2; i++) {
        _cleanup_free_ char *go = sandbox_file(f, "r", i ? "three" : "two");
        close(open(go, O_CREAT | O_WRONLY, 0600));
        for (int k = 0; k < 500 && (stat(one, &st) != 0 || st.st_size != 160000 + i * 10000); k++)
            run_for(f, 20);
        assert_int_equal(st.st_size, 160000 + i * 10000);
    }
    assert_int_equal(stat(two, &st), 0);
    assert_int_equal(st.st_size, 160000);
    assert_int_equal(stat(three, &st), -1);
    {
        _cleanup_free_ char *go = sandbox_file(f, "r", "end");
        close(open(go, O_CREAT | O_WRONLY, 0600));
    }
    run_until(f, &f->n_exited, 1);
    expect_text(f, "r", "stdout", "end");
    /* What the sandbox's owner may put there is left alone. */
    unlink(current);
    assert_int_equal(symlink(one, current), 0);
    rv_logs_rotate(directory, 10, 1);
    assert_int_equal(stat(one, &st), 0);
    assert_int_equal(st.st_size, 170000);
}

static void test_usage(void **state) {
    struct fixture *f = *state;
    struct rv_container_usage u;

    launch(f, "u",
           "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done; sleep 1000 & echo ready; "
           "wait");
    wait_text(f, "u", "stdout", "ready");
    assert_int_equal(ops->usage(f->c, "u", &u, NULL), 0);
    assert_int_equal(u.processes, 2);
    assert_int_equal(u.threads, 2);
    assert_true(u.groups.mem_rss > 100000);
    assert_true(u.groups.cpu_user_s + u.groups.cpu_system_s > 0);
    assert_true(u.timestamp_ns > 0);
    assert_int_equal(ops->usage(f->c, "none", &u, NULL), -RV_ERR_NOT_FOUND);
    assert_true(ops->pid(f->c, "u") > 0);
    assert_int_equal(ops->pid(f->c, "none"), 0);
    ops->destroy(f->c, "u");
    run_until(f, &f->n_exited, 1);
}

/* As after the agent's death: a new instance with the same directory. */
static void restart(struct fixture *f) {
    close_containerizer(f);
    open_containerizer(f);
}

static void test_recovery(void **state) {
    struct fixture *f = *state;
    struct options survive = {.survive = true};
    struct options keep = {.survive = true, .keep_status = true};
    static const char *const ids[] = {"a", "gone", "kept", "kept-gone", "never", NULL};
    struct wanted wanted = {.ids = ids};

    launch_with(f, "a", UNTIL_END "5", &survive);
    launch_with(f, "unexpected", DAEMONS "sleep 1000", &survive);
    launch_with(f, "gone", UNTIL_END "6", &survive);
    launch_with(f, "kept", UNTIL_END "7", &keep);
    launch_with(f, "kept-gone", UNTIL_END "8", &keep);
    launch(f, "dies", DAEMONS "sleep 1000");
    for (const char *const *id = ids; *id && strcmp(*id, "never") != 0; id++)
        wait_text(f, *id, "stdout", "ready");
    wait_text(f, "unexpected", "stdout", "ready");
    wait_text(f, "dies", "stdout", "ready");
    close_containerizer(f);
    touch(f, "gone", "end");
    touch(f, "kept-gone", "end");
    usleep(300000);
    open_containerizer(f);
    assert_int_equal(ops->recover(f->c, is_wanted, &wanted, NULL), 0);
    assert_int_equal(wanted.asked, 5); /* not of the one that was not to survive */
    assert_true(is_there(&wanted, "a") && is_there(&wanted, "kept"));
    assert_true(is_there(&wanted, "kept-gone") && !is_there(&wanted, "gone"));
    run_until(f, &f->n_exited, 1);
    assert_true(seen(f, "kept-gone")->has_status);
    assert_int_equal(seen(f, "kept-gone")->wait_status, 8 << 8);
    for (int i = 0; i < 100 && leftovers(f) > 5; i++)
        run_for(f, 20);
    assert_true(leftovers(f) <= 5); /* two shells with their sleeps, and an init */
    assert_true(ops->pid(f->c, "a") > 0);
    touch(f, "a", "end");
    touch(f, "kept", "end");
    run_until(f, &f->n_exited, 3);
    assert_true(seen(f, "a")->exited);
    assert_true(seen(f, "kept")->has_status);
    assert_int_equal(seen(f, "kept")->wait_status, 7 << 8);
    /* The children of a process that has not died stay its own: here is one, so drain them. */
    while (waitpid(-1, NULL, 0) > 0)
        continue;
}

/* All that is else the containerizer's work is the same with an init in between. */
static void test_kept_status(void **state) {
    struct fixture *f = *state;
    struct options keep = {.survive = true, .keep_status = true};
    const char *missing[] = {"/no/such/program", NULL};

    launch_with(f, "exits", "exit 3", &keep);
    launch_with(f, "killed", "kill -9 $$", &keep);
    launch_with(f, "daemons", DAEMONS "exit 4", &keep);
    launch_argv(f, "missing", missing, &keep);
    launch_with(f, "signal", "trap 'exit 5' TERM; echo ready; while true; do sleep 0.05; done",
                &keep);
    wait_text(f, "signal", "stdout", "ready");
    kill(ops->pid(f->c, "signal"), SIGTERM);
    run_until(f, &f->n_exited, 4);
    assert_int_equal(seen(f, "exits")->wait_status, 3 << 8);
    assert_int_equal(seen(f, "killed")->wait_status, SIGKILL);
    assert_int_equal(seen(f, "daemons")->wait_status, 4 << 8);
    assert_int_equal(seen(f, "signal")->wait_status, 5 << 8);
    assert_false(seen(f, "missing")->ok);
    assert_string_equal(seen(f, "missing")->message,
                        "Cannot execute '/no/such/program': No such file or directory");
    launch_with(f, "destroyed", DAEMONS "sleep 1000", &keep);
    wait_text(f, "destroyed", "stdout", "ready");
    ops->destroy(f->c, "destroyed");
    run_until(f, &f->n_exited, 5);
    assert_int_equal(leftovers(f), 0);
}

static void test_terminal(void **state) {
    struct fixture *f = *state;
    struct options tty = {.tty = true};
    _cleanup_free_ char *text = NULL;
    struct rv_terminal t;

    launch_with(f, "t", "stty size; read word </dev/tty; echo from $word; tty", &tty);
    run_until(f, &f->n_launched, 1);
    t = ops->terminal(f->c, "t");
    assert_true(t.fd >= 0);
    assert_int_equal(t.lifeline, -1); /* it is not to survive: nobody keeps it */
    assert_int_equal(ops->terminal(f->c, "t").fd, -1);
    assert_int_equal(write(t.fd, "hi\n", 3), 3);
    text = read_terminal_until(&t, "never");
    rv_terminal_close(&t);
    run_until(f, &f->n_exited, 1);
    assert_int_equal(seen(f, "t")->wait_status, 0);
    assert_true(strstr(text, "33 44") && strstr(text, "from hi") && strstr(text, "/dev/pts/"));
}

/* An agent before this one kept its records in another folder. */
static void test_recovers_from_another_folder(void **state) {
    struct fixture *f = *state;
    struct options keep = {.survive = true, .keep_status = true};
    static const char *const ids[] = {"kept", NULL};
    struct wanted wanted = {.ids = ids};
    _cleanup_free_ char *before = rv_strdup(f->state_dir);

    launch_with(f, "kept", UNTIL_END "7", &keep);
    wait_text(f, "kept", "stdout", "ready");
    close_containerizer(f);
    f->before = before;
    snprintf(f->state_dir, sizeof f->state_dir, "%s/elsewhere", f->root);
    open_containerizer(f);
    assert_int_equal(ops->recover(f->c, is_wanted, &wanted, NULL), 0);
    launch(f, "new", "true");
    run_until(f, &f->n_exited, 1);
    touch(f, "kept", "end");
    run_until(f, &f->n_exited, 2);
    assert_int_equal(seen(f, "kept")->wait_status, 7 << 8);
    assert_int_equal(count_entries(before), 0);
    while (waitpid(-1, NULL, 0) > 0)
        continue;
}

/* One that is to survive keeps its terminal, and what it writes is kept, too. */
static void test_terminal_survives(void **state) {
    struct fixture *f = *state;
    struct options keep = {.survive = true, .keep_status = true, .tty = true};
    static const char *const ids[] = {"t", NULL};
    struct wanted wanted = {.ids = ids};

    launch_with(f, "t", RV_TERMINAL_STORY, &keep);
    run_until(f, &f->n_launched, 1);
    struct rv_terminal t = ops->terminal(f->c, "t");
    converse(&t, "one\n", "got one");
    rv_terminal_close(&t);
    close_containerizer(f);
    touch(f, "t", "go");
    await_in_file(sandbox_file(f, "t", "stdout"), "alone");
    open_containerizer(f);
    assert_int_equal(ops->recover(f->c, is_wanted, &wanted, NULL), 0);
    t = ops->terminal(f->c, "t");
    converse(&t, "two\n", "got two\r\n33 44");
    rv_terminal_close(&t);
    close_containerizer(f);
    touch(f, "t", "end");
    await_in_file(sandbox_file(f, "t", "stdout"), "last words");
    open_containerizer(f);
    assert_int_equal(ops->recover(f->c, is_wanted, &wanted, NULL), 0);
    run_until(f, &f->n_exited, 1);
    assert_int_equal(seen(f, "t")->wait_status, 7 << 8);
    while (waitpid(-1, NULL, 0) > 0)
        continue;
}

static void test_recovery_distrusts_numbers(void **state) {
    struct fixture *f = *state;
    static const char *const ids[] = {"reused", "damaged", NULL};
    struct wanted wanted = {.ids = ids};
    _cleanup_free_ char *path = rv_asprintf("%s/reused", f->state_dir);
    _cleanup_free_ char *damaged = rv_asprintf("%s/damaged", f->state_dir);
    char boot[64] = "";
    pid_t bystander = fork();
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");

    if (bystander == 0) {
        setsid();
        pause();
        _exit(0);
    }
    assert_int_equal(fscanf(file, "%63s", boot), 1);
    fclose(file);
    file = fopen(path, "w");
    fprintf(file,
            "reeve container 1\nboot %s\npid %d\nstart 1\nsurvive 1\nlog_max 1\nlog_keep 1\n"
            "directory %s/sandboxes/reused\n",
            boot, (int)bystander, f->root);
    fclose(file);
    file = fopen(damaged, "w");
    fprintf(file, "reeve container 1\nboot");
    fclose(file);
    restart(f);
    assert_int_equal(ops->recover(f->c, is_wanted, &wanted, NULL), 0);
    assert_string_equal(wanted.there, "");
    run_for(f, 200);
    assert_int_equal(kill(bystander, 0), 0);
    assert_int_equal(waitpid(bystander, NULL, WNOHANG), 0); /* it lives */
    kill(bystander, SIGKILL);
    waitpid(bystander, NULL, 0);
}

static void rewrite(const char *path, const char *bytes, size_t n) {
    FILE *file = fopen(path, "w");

    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

/* INV-19: whichever bit of a record has turned over, and wherever it ends too early. */
static void test_damaged_records_are_named(void **state) {
    struct fixture *f = *state;
    struct rv_container_state record = {
        .pid = 12345, .start_ticks = 678, .survive = true, .directory = f->root};
    _cleanup_free_ char *path = rv_asprintf("%s/one", f->state_dir);
    char boot[64], good[1024] = "", *sum;
    struct rv_error err;
    size_t n;

    rv_container_boot_id(boot);
    assert_int_equal(rv_container_state_write(f->state_dir, boot, "one", &record, NULL), 0);
    FILE *file = fopen(path, "r");
    n = fread(good, 1, sizeof good - 1, file);
    fclose(file);
    sum = strstr(good, "\nsum ");
    assert_non_null(sum);
    assert_int_equal(rv_container_states_check(f->state_dir, NULL), 0);
    for (size_t bit = 0; bit < 8 * n; bit++) {
        good[bit / 8] ^= (char)(1 << bit % 8);
        rewrite(path, good, n);
        good[bit / 8] ^= (char)(1 << bit % 8);
        if (good + bit / 8 >= sum && good + bit / 8 < sum + strlen("\nsum 01234567"))
            continue; /* maybe a record without a sum now; all else of it is right */
        assert_int_equal(rv_container_states_check(f->state_dir, &err), -RV_ERR_CORRUPT);
        assert_non_null(strstr(err.message, path));
    }
    for (size_t end = 1; end < n; end++) {
        rewrite(path, good, end);
        assert_int_equal(rv_container_states_check(f->state_dir, NULL), -RV_ERR_CORRUPT);
    }
    rewrite(path, "", 0); /* the agent died before it wrote anything */
    assert_int_equal(rv_container_states_check(f->state_dir, NULL), 0);
    unlink(path);
}

static void test_destroy_all(void **state) {
    struct fixture *f = *state;

    launch(f, "a", DAEMONS "sleep 1000");
    launch(f, "b", "sleep 1000");
    wait_text(f, "a", "stdout", "ready");
    restart(f);
    assert_int_equal(leftovers(f), 0);
    assert_int_equal(f->n_exited, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(exit_statuses),
        TEST(environment_is_exact),
        TEST(process_attributes),
        TEST(cannot_execute),
        TEST(sandbox_cannot_be_made),
        TEST(user),
        TEST(inv_32_persistent_volumes),
        TEST(destroy_kills_all),
        TEST(end_kills_the_rest),
        TEST(forking_does_not_escape),
        TEST(a_snapshot_sees_a_chain_of_short_lives),
        TEST(many),
        TEST(rotation),
        TEST(usage),
        TEST(recovery),
        TEST(kept_status),
        TEST(terminal),
        TEST(terminal_survives),
        TEST(recovers_from_another_folder),
        TEST(recovery_distrusts_numbers),
        TEST(damaged_records_are_named),
        TEST(destroy_all),
    };

    return cmocka_run_group_tests_name("process_containerizer", tests, NULL, NULL);
}
