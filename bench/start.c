/*
 * How fast containers start: launching and reaping 200 of /bin/true with all default isolators of
 * the `linux` containerizer, one after another and 16 at once, beside `runc run` on a prepared
 * bundle of the same machine. Needs root. Figures: start.serial and start.parallel (ms for one, all
 * in all), start.p50 and start.p99 (ms from the launch to the running command, one after another),
 * start.serial_ratio and start.parallel_ratio (ours over runc's), start.init_rss (KiB).
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/str.h"
#include "containerizer/containerizer.h"

enum { RUNS = 200, AT_ONCE = 16 };

struct bench {
    uv_loop_t loop;
    struct rv_containerizer *c;
    char root[64];
    int started, launched, exited, at_once;
    double begun[RUNS], took[RUNS];
    bool failed;
};

static double now_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void launch(struct bench *b) {
    const char *argv[] = {"/bin/true", NULL}, *env[] = {"PATH=/usr/bin:/bin", NULL};
    struct rv_resources resources = {0};
    char id[32], directory[128];
    struct rv_container_config config = {
        .id = id, .argv = argv, .env = env, .directory = directory, .resources = &resources};

    rv_resources_add_scalar(&resources, "cpus", 1000);
    rv_resources_add_scalar(&resources, "mem", 64000);
    snprintf(id, sizeof id, "t%d-%d", b->at_once, b->started);
    snprintf(directory, sizeof directory, "%s/sandboxes/%s", b->root, id);
    b->begun[b->started++] = now_ms();
    b->c->ops->launch(b->c, &config);
    rv_resources_free(&resources);
}

static void on_launched(void *ctx, const char *id, bool ok, const char *message) {
    struct bench *b = ctx;
    int n = atoi(strchr(id, '-') + 1); // NOLINT(cert-err34-c): it is our own

    if (!ok) {
        fprintf(stderr, "start: %s\n", message);
        b->failed = true;
    }
    b->took[n] = now_ms() - b->begun[n];
    b->launched++;
}

static void on_exited(void *ctx, const char *id, const struct rv_container_end *end) {
    struct bench *b = ctx;

    (void)id;
    if (!end->has_status || end->wait_status != 0)
        b->failed = true;
    b->exited++;
    if (b->started < RUNS)
        launch(b);
}

static double run(struct bench *b, int at_once) {
    double begin = now_ms();

    b->at_once = at_once;
    b->started = b->launched = b->exited = 0;
    for (int i = 0; i < at_once; i++)
        launch(b);
    while (b->exited < RUNS && !b->failed)
        uv_run(&b->loop, UV_RUN_ONCE);
    return (now_ms() - begin) / RUNS;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* ---- runc ---- */

static bool make_bundle(const char *root) {
    /* The program and what it needs, as an image would have it. */
    _cleanup_free_ char *command =
        rv_asprintf("mkdir -p %s/bundle/rootfs/bin && cd %s/bundle && cp /bin/true rootfs/bin/ && "
                    "for f in $(ldd /bin/true | grep -o '/[^ ]*'); do "
                    "mkdir -p rootfs${f%%/*} && cp -L $f rootfs$f || exit 1; done && runc spec && "
                    "sed -i -e 's/\"terminal\": true/\"terminal\": false/' "
                    "-e 's/\"sh\"/\"\\/bin\\/true\"/' config.json",
                    root, root);

    // NOLINTNEXTLINE(cert-env33-c): the text is ours
    return system("command -v runc >/dev/null 2>&1") == 0 && system(command) == 0;
}

static pid_t start_runc(const char *bundle, int at_once, int n) {
    _cleanup_free_ char *id = rv_asprintf("reeve-bench-%d-%d-%d", (int)getpid(), at_once, n);
    pid_t pid = fork();

    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        execlp("runc", "runc", "run", "--bundle", bundle, id, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static double run_runc(const char *root, int at_once, bool *ok) {
    _cleanup_free_ char *bundle = rv_asprintf("%s/bundle", root);
    double begin = now_ms();
    int started = 0, status;

    for (; started < at_once; started++)
        start_runc(bundle, at_once, started);
    for (int ended = 0; ended < RUNS; ended++) {
        if (wait(&status) < 0 || status != 0)
            *ok = false;
        if (started < RUNS)
            start_runc(bundle, at_once, started++);
    }
    return (now_ms() - begin) / RUNS;
}

/* ---- all of it ---- */

static void print_rss(struct bench *b) {
    const char *argv[] = {"/bin/sleep", "1000", NULL}, *env[] = {NULL};
    _cleanup_free_ char *directory = rv_asprintf("%s/sandboxes/rss-0", b->root);
    struct rv_container_config config = {
        .id = "rss-0", .argv = argv, .env = env, .directory = directory};
    char path[64], line[256];
    FILE *f;
    long kib = 0;

    b->launched = 0;
    b->c->ops->launch(b->c, &config);
    while (!b->launched)
        uv_run(&b->loop, UV_RUN_ONCE);
    snprintf(path, sizeof path, "/proc/%d/status", (int)b->c->ops->pid(b->c, "rss-0"));
    f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (rv_starts_with(line, "VmRSS:"))
            kib = strtol(line + 6, NULL, 10);
    if (f)
        fclose(f);
    printf("figure start.init_rss %ld KiB\n", kib);
    b->c->ops->destroy(b->c, "rss-0");
    b->started = RUNS;
    b->exited = 0;
    while (!b->exited)
        uv_run(&b->loop, UV_RUN_ONCE);
    b->failed = false;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

int main(void) {
    static const struct rv_containerizer_callbacks callbacks = {on_launched, on_exited};
    struct bench b = {.root = "/var/tmp/start-XXXXXX"};
    struct rv_error err = {0};
    char state_dir[128];
    const struct rv_container_records records = {.folder = state_dir, .name = "bench-start"};
    double serial, parallel;
    bool ok = true;

    if (geteuid() != 0) {
        puts("start: skipped, it needs root");
        return 0;
    }
    if (!mkdtemp(b.root) || uv_loop_init(&b.loop) != 0)
        return 1;
    snprintf(state_dir, sizeof state_dir, "%s/meta/containers", b.root);
    if (rv_linux_containerizer.create(&b.loop, &records, &callbacks, &b, &b.c, &err)) {
        printf("start: skipped, %s\n", err.message);
        return 0;
    }
    rv_linux_containerizer_set(b.c, &(struct rv_linux_settings){.work_dir = b.root});
    serial = run(&b, 1);
    qsort(b.took, RUNS, sizeof *b.took, ascending);
    printf("figure start.serial %.2f ms\n", serial);
    printf("figure start.p50 %.2f ms\n", b.took[RUNS / 2]);
    printf("figure start.p99 %.2f ms\n", b.took[RUNS * 99 / 100]);
    parallel = run(&b, AT_ONCE);
    printf("figure start.parallel %.2f ms\n", parallel);
    print_rss(&b);
    b.c->ops->destroy_all(b.c);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    uv_loop_close(&b.loop);
    if (!b.failed && make_bundle(b.root)) {
        double theirs = run_runc(b.root, 1, &ok);
        printf("figure start.serial_ratio %.3f ratio\n", serial / theirs);
        theirs = run_runc(b.root, AT_ONCE, &ok);
        printf("figure start.parallel_ratio %.3f ratio\n", parallel / theirs);
        if (!ok)
            puts("start: some of runc's containers failed; its figures are not valid");
    } else {
        puts("start: no runc on this machine (apt-get install runc), so nothing to compare with");
    }
    nftw(b.root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return b.failed || !ok;
}
