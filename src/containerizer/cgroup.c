/*
 * Control groups, see cgroup.h: finds the hierarchies, checks ids, and holds the helpers on
 * cgroupfs that both versions share. Holds: every path is the agent's folder and a checked id; a
 * file of cgroupfs is read and written whole, by one system call where the kernel wants it so.
 *
 * Costs: a call is a few opens, reads and writes of kernel files, 2 to 10 us each.
 */
#include "containerizer/cgroup_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "containerizer/mountinfo.h"

enum { MAX_ID = 1024, MAX_PART = 242, MAX_RULES = 256, AT_ONCE = 128 };

const struct rv_cgroup_controller_name rv_cgroup_controller_names[] = {
    {RV_CGROUP_CPU, "cpu", "cpu"},
    {RV_CGROUP_CPUACCT, "cpuacct", NULL},
    {RV_CGROUP_MEMORY, "memory", "memory"},
    {RV_CGROUP_PIDS, "pids", "pids"},
    {RV_CGROUP_CPUSET, "cpuset", "cpuset"},
    {RV_CGROUP_IO, "blkio", "io"},
    {RV_CGROUP_DEVICES, "devices", NULL},
    {RV_CGROUP_FREEZER, "freezer", NULL},
    {0, NULL, NULL},
};

/* Helpers on cgroupfs. */

static int open_file(const char *dir, const char *file, int flags) {
    char path[4096];
    int fd;

    if (snprintf(path, sizeof path, "%s/%s", dir, file) >= (int)sizeof path)
        return -ENAMETOOLONG;
    do {
        fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
    } while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

int rv_cgfs_read(const char *dir, const char *file, struct rv_buf *out) {
    int fd = open_file(dir, file, O_RDONLY), rc = 0;

    rv_buf_clear(out);
    if (fd < 0)
        return fd;
    for (;;) {
        ssize_t got;
        rv_buf_reserve(out, 4096);
        got = read(fd, out->data + out->n, out->cap - out->n - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            rc = -errno;
        if (got <= 0)
            break;
        out->n += (size_t)got;
    }
    out->data[out->n] = '\0';
    close(fd);
    return rc;
}

int rv_cgfs_read_u64(const char *dir, const char *file, uint64_t *out) {
    char text[64];
    int fd = open_file(dir, file, O_RDONLY);
    ssize_t got;

    if (fd < 0)
        return fd;
    do {
        got = read(fd, text, sizeof text - 1);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    close(fd);
    text[got] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (rv_streq(text, "max"))
        *out = UINT64_MAX;
    else if (rv_parse_u64(text, UINT64_MAX, out))
        return -EINVAL;
    /* v1's "no limit" is the largest number of whole pages below 2^63. */
    if (*out >= (uint64_t)INT64_MAX - 0xffff)
        *out = UINT64_MAX;
    return 0;
}

uint64_t rv_cgfs_key(const struct rv_buf *text, const char *key) {
    size_t n = strlen(key);

    for (const char *line = text->n ? text->data : NULL; line && *line;) {
        if (strncmp(line, key, n) == 0 && line[n] == ' ')
            return strtoull(line + n + 1, NULL, 10);
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return 0;
}

int rv_cgfs_write(const char *dir, const char *file, const char *text) {
    size_t n = strlen(text);
    int fd = open_file(dir, file, O_WRONLY), rc = 0;
    ssize_t put;

    if (fd < 0)
        return fd;
    do {
        put = write(fd, text, n);
    } while (put < 0 && errno == EINTR);
    if (put < 0)
        rc = -errno;
    else if ((size_t)put != n)
        rc = -EIO;
    close(fd);
    return rc;
}

static enum rv_err code_of(int error) {
    switch (error) {
    case ENOENT:
    case ESRCH:
    case ENODEV:
        return RV_ERR_NOT_FOUND;
    case EEXIST:
        return RV_ERR_EXISTS;
    case EPERM:
    case EACCES:
    case EROFS:
        return RV_ERR_PERMISSION;
    case EBUSY:
    case EAGAIN:
        return RV_ERR_CONFLICT;
    case EOPNOTSUPP:
    case ENOSYS:
        return RV_ERR_UNSUPPORTED;
    case ENOSPC:
    case ENAMETOOLONG:
        return RV_ERR_LIMIT;
    case EINVAL:
    case ERANGE:
        return RV_ERR_INVALID;
    default:
        return RV_ERR_IO;
    }
}

int rv_cgroup_fail(struct rv_error *err, int error, const char *verb, const char *dir,
                   const char *file) {
    error = abs(error);
    return rv_error_set(err, code_of(error), "%s %s%s%s: %s", verb, dir, file ? "/" : "",
                        file ? file : "", strerror(error));
}

int rv_cgfs_set(struct rv_error *err, const char *dir, const char *file, const char *format, ...) {
    char text[4096], verb[128];
    va_list args;
    int n, rc;

    va_start(args, format);
    n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text)
        return rv_cgroup_fail(err, ENAMETOOLONG, "cannot write to", dir, file);
    rc = rv_cgfs_write(dir, file, text);
    if (rc == 0)
        return 0;
    snprintf(verb, sizeof verb, "cannot write '%.80s' to", text);
    return rv_cgroup_fail(err, rc, verb, dir, file);
}

bool rv_cgfs_exists(const char *dir, const char *file) {
    char path[4096];

    return snprintf(path, sizeof path, "%s/%s", dir, file) < (int)sizeof path &&
           access(path, F_OK) == 0;
}

static char **entries(const char *dir, bool folders_only) {
    RV_VEC(char *) names = {0};
    DIR *d = opendir(dir);

    if (!d)
        return NULL;
    for (struct dirent *e; (e = readdir(d));) {
        if (rv_streq(e->d_name, ".") || rv_streq(e->d_name, ".."))
            continue;
        if (e->d_type == DT_DIR || !folders_only)
            rv_vec_push(&names, rv_strdup(e->d_name));
    }
    closedir(d);
    rv_vec_push(&names, NULL);
    return names.v;
}

char **rv_cgfs_children(const char *dir) {
    return entries(dir, true);
}

char **rv_cgfs_entries(const char *dir) {
    return entries(dir, false);
}

void rv_cgfs_children_free(char **names) {
    for (size_t i = 0; names && names[i]; i++)
        free(names[i]);
    free(names);
}

int rv_cgfs_remove(const char *dir) {
    char **names;
    int rc = 0;

    /* Mostly there is nothing below: the reading of the folder is saved. */
    if (rmdir(dir) == 0 || errno == ENOENT)
        return 0;
    if (errno != EBUSY)
        return -errno;
    names = rv_cgfs_children(dir);
    for (size_t i = 0; names && names[i]; i++) {
        _cleanup_free_ char *path = rv_asprintf("%s/%s", dir, names[i]);
        int one = rv_cgfs_remove(path);
        rc = rc ? rc : one;
    }
    rv_cgfs_children_free(names);
    if (rc)
        return rc;
    return rmdir(dir) == 0 || errno == ENOENT ? 0 : -errno;
}

void rv_cgfs_pids(const char *dir, struct rv_cgfs_pids *out) {
    _cleanup_(rv_buf_free) struct rv_buf text = {0};
    char **names = rv_cgfs_children(dir);

    if (rv_cgfs_read(dir, "cgroup.procs", &text) == 0) {
        for (char *at = text.data, *end; at && *at; at = *end ? end + 1 : end) {
            long pid = strtol(at, &end, 10);
            if (end == at)
                break;
            if (pid > 0) /* 0: of a pid namespace that we do not see */
                rv_vec_push(out, (pid_t)pid);
        }
    }
    for (size_t i = 0; names && names[i]; i++) {
        _cleanup_free_ char *path = rv_asprintf("%s/%s", dir, names[i]);
        rv_cgfs_pids(path, out);
    }
    rv_cgfs_children_free(names);
}

bool rv_cgfs_has(const struct rv_cgfs_pids *pids, pid_t pid) {
    for (size_t i = 0; i < pids->n; i++)
        if (pids->v[i] == pid)
            return true;
    return false;
}

/* At most so many as can be open at once. A number may be another's by the time that it is used: so
 * it is opened, and what is open is killed if the number is in the group still. */
static size_t kill_some(const char *dir, const pid_t *pids, size_t n) {
    struct rv_cgfs_pids now = {0};
    int fds[AT_ONCE];
    size_t killed = 0;

    for (size_t i = 0; i < n; i++)
        fds[i] = (int)syscall(SYS_pidfd_open, pids[i], 0);
    rv_cgfs_pids(dir, &now);
    for (size_t i = 0; i < n; i++) {
        if (fds[i] < 0)
            continue;
        if (rv_cgfs_has(&now, pids[i]))
            killed += syscall(SYS_pidfd_send_signal, fds[i], SIGKILL, NULL, 0) == 0;
        close(fds[i]);
    }
    rv_vec_free(&now);
    return killed;
}

void rv_cgfs_kill_all(const char *dir, int rounds) {
    pid_t self = getpid();
    size_t killed = 1;

    for (int round = 0; round < rounds && killed; round++) {
        struct rv_cgfs_pids pids = {0};
        killed = 0;
        rv_cgfs_pids(dir, &pids);
        for (size_t i = pids.n; i-- > 0;)
            if (pids.v[i] == self)
                rv_vec_remove_at(&pids, i);
        for (size_t i = 0; i < pids.n; i += AT_ONCE)
            killed += kill_some(dir, pids.v + i, RV_MIN(pids.n - i, (size_t)AT_ONCE));
        rv_vec_free(&pids);
    }
}

void rv_cgfs_pause(void) {
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Numbers. */

static int64_t between(int64_t v, int64_t low, int64_t high) {
    return v < low ? low : v > high ? high : v;
}

int64_t rv_cgroup_shares(int64_t milli) {
    return milli > 256000 ? 262144 : between(milli * 1024 / 1000, 2, 262144);
}

int64_t rv_cgroup_weight(int64_t milli) {
    return between((milli + 5) / 10, 1, 10000);
}

int64_t rv_cgroup_quota(int64_t milli) {
    return RV_MAX(between(milli, 0, INT32_MAX) * RV_CGROUP_PERIOD_US / 1000,
                  (int64_t)RV_CGROUP_MIN_QUOTA_US);
}

/* Devices. */

void rv_cgroup_rules_add(struct rv_cgroup_rules *rules, struct rv_cgroup_rule rule) {
    for (size_t i = 0; i < rules->n; i++) {
        struct rv_cgroup_rule *r = &rules->v[i];
        if (r->type == rule.type && r->major == rule.major && r->minor == rule.minor) {
            r->access = (uint8_t)(r->access | rule.access);
            return;
        }
    }
    rv_vec_push(rules, rule);
}

int rv_cgroup_rules_of(const struct rv_cgroup_limits *limits, struct rv_cgroup_rules *out,
                       struct rv_error *err) {
    struct rv_cgroup_rules rules = {0};

    if (limits->n_devices > MAX_RULES)
        return rv_error_set(err, RV_ERR_LIMIT, "%zu devices allowed; at most %d can be",
                            limits->n_devices, MAX_RULES);
    for (size_t i = 0; i < limits->n_devices; i++) {
        const struct rv_cgroup_device *d = &limits->devices[i];
        struct rv_cgroup_rule rule = {.type = d->type, .major = d->major, .minor = d->minor};
        bool good = (d->type == 'c' || d->type == 'b') && d->major >= -1 && d->minor >= -1;
        for (size_t k = 0; k < sizeof d->access && d->access[k]; k++) {
            int bit = d->access[k] == 'r'   ? RV_CGROUP_READ
                      : d->access[k] == 'w' ? RV_CGROUP_WRITE
                      : d->access[k] == 'm' ? RV_CGROUP_MKNOD
                                            : 0;
            good = good && bit;
            rule.access = (uint8_t)(rule.access | bit);
        }
        if (!good || !rule.access) {
            rv_vec_free(&rules);
            return rv_error_set(err, RV_ERR_INVALID,
                                "device %zu: type is c or b, access some of r, w, m", i);
        }
        rv_cgroup_rules_add(&rules, rule);
    }
    *out = rules;
    return 0;
}

/* Opening. */

void rv_cgroup_miss(struct rv_cgroups *c, const char *controller, const char *format, ...) {
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    rv_buf_printf(&c->missing, "%sno %s: %s", c->missing.n ? ", " : "", controller, text);
}

static void on_mount(void *ctx, const struct rv_mountinfo *m) {
    struct rv_cgroup_mounts *out = ctx;
    bool v2 = rv_streq(m->type, "cgroup2");

    if (v2 || rv_streq(m->type, "cgroup")) {
        struct rv_cgroup_mount one = {rv_strdup(m->path), rv_strdup(m->options), v2};
        rv_vec_push(out, one);
    }
}

static int find_mounts(struct rv_cgroup_mounts *out, struct rv_error *err) {
    int fd, rc = rv_mountinfo_open(&fd, err);

    if (rc)
        return rc;
    rc = rv_mountinfo_each(fd, on_mount, out, err);
    close(fd);
    return rc;
}

/* Checks an id or the agent's name: parts between slashes, none empty or with a dot in front (the
 * names that we keep for ourselves), of characters that need no quoting. */
static int check_id(const char *id, struct rv_error *err) {
    size_t part = 0, n = strlen(id);

    for (size_t i = 0; i <= n; i++) {
        char ch = id[i];
        if (ch == '/' || ch == '\0') {
            if (part == 0 || part > MAX_PART || n > MAX_ID)
                return rv_error_set(err, RV_ERR_INVALID,
                                    "'%.80s' is no id of a group: a part is empty or too long", id);
            part = 0;
            continue;
        }
        if ((unsigned char)ch <= ' ' || ch == 0x7f || ch == '\\' || (ch == '.' && part == 0))
            return rv_error_set(err, RV_ERR_INVALID,
                                "'%.80s' is no id of a group: character %zu is not allowed there",
                                id, i);
        part++;
    }
    return 0;
}

char *rv_cgroup_path(const struct rv_cgroup_hierarchy *h, const char *id) {
    return rv_asprintf("%s/%s", h->folder, id);
}

int rv_cgroups_open(const char *name, struct rv_cgroups **out, struct rv_error *err) {
    struct rv_cgroup_mounts mounts = {0};
    struct rv_cgroups *c;
    int rc = check_id(name, err);

    if (rc)
        return rc;
    rc = find_mounts(&mounts, err);
    if (rc)
        return rc;
    c = rv_calloc(1, sizeof *c);
    c->name = rv_strdup(name);
    /* Hybrid: a v2 hierarchy without controllers beside those of v1. A controller is in one version
     * only, and where v1 has any we need all from there. */
    rc = rv_cgroup_v1_open(c, &mounts);
    if (rc)
        rc = rv_cgroup_v2_open(c, &mounts);
    for (size_t i = 0; i < mounts.n; i++) {
        free(mounts.v[i].path);
        free(mounts.v[i].options);
    }
    rv_vec_free(&mounts);
    if (rc) {
        rc = rv_error_set(err, RV_ERR_UNSUPPORTED, "no usable cgroup hierarchy: %s",
                          c->missing.n ? c->missing.data : "none is mounted");
        rv_cgroups_close(c, false);
        return rc;
    }
    *out = c;
    return 0;
}

struct rv_cgroups *rv_cgroups_close(struct rv_cgroups *c, bool remove_own) {
    if (!c)
        return NULL;
    for (size_t i = 0; i < c->n; i++) {
        struct rv_cgroup_hierarchy *h = &c->hierarchies[i];
        if (remove_own && c->ops->close)
            c->ops->close(h);
        /* And the folders above it that were made for it; others may use them, then they stay. */
        for (char *end; remove_own && strlen(h->folder) > strlen(h->mount); *end = '\0') {
            if (rmdir(h->folder) && errno != ENOENT)
                break;
            end = strrchr(h->folder, '/');
        }
        free(h->mount);
        free(h->folder);
    }
    rv_buf_free(&c->missing);
    free(c->name);
    free(c);
    return NULL;
}

int rv_cgroups_begin_with(struct rv_cgroups *c, const struct rv_cgroup_limits *limits,
                          struct rv_error *err) {
    return c->ops->begin_with ? c->ops->begin_with(c, limits, err) : 0;
}

enum rv_cgroup_version rv_cgroups_version(const struct rv_cgroups *c) {
    return c->version;
}

uint32_t rv_cgroups_controllers(const struct rv_cgroups *c) {
    return c->controllers & ~(uint32_t)RV_CGROUP_CPUACCT;
}

char *rv_cgroups_seen_at(const struct rv_cgroups *c, const char *mount) {
    struct stat there, ours;

    if (stat(mount, &there) != 0)
        return NULL;
    for (size_t i = 0; i < c->n; i++) {
        const struct rv_cgroup_hierarchy *h = &c->hierarchies[i];
        bool own = c->version == RV_CGROUP_V2 || h->controllers != RV_CGROUP_DEVICES;
        if (own && stat(h->mount, &ours) == 0 && ours.st_dev == there.st_dev)
            return rv_asprintf("%s%s", mount, h->folder + strlen(h->mount));
    }
    return NULL;
}

void rv_cgroups_describe(const struct rv_cgroups *c, struct rv_buf *out) {
    const char *comma = "";

    rv_buf_puts(out, c->version == RV_CGROUP_V2 ? "v2 (" : "v1 (");
    for (const struct rv_cgroup_controller_name *n = rv_cgroup_controller_names; n->bit; n++) {
        if (!(c->controllers & n->bit))
            continue;
        rv_buf_printf(out, "%s%s", comma, c->version == RV_CGROUP_V2 && n->v2 ? n->v2 : n->v1);
        comma = ", ";
    }
    if (c->missing.n)
        rv_buf_printf(out, "; %s", c->missing.data);
    rv_buf_puts(out, ")");
}

/* Groups. */

int rv_cgroup_create(struct rv_cgroups *c, const char *id, struct rv_error *err) {
    int rc = check_id(id, err);

    return rc ? rc : c->ops->create(c, id, err);
}

int rv_cgroup_fd(struct rv_cgroups *c, const char *id) {
    return check_id(id, NULL) ? -1 : c->ops->fd(c, id);
}

int rv_cgroup_enter_fds(struct rv_cgroups *c, const char *id, int *fds, size_t max,
                        struct rv_error *err) {
    const char *file = c->version == RV_CGROUP_V1 ? "tasks" : "cgroup.procs";
    int rc = check_id(id, err);

    if (!rc && c->n > max)
        rc = rv_error_set(err, RV_ERR_LIMIT, "there are more than %zu hierarchies", max);
    for (size_t i = 0; i < c->n && !rc; i++) {
        _cleanup_free_ char *dir = c->ops->place(c, &c->hierarchies[i], id);
        fds[i] = open_file(dir, file, O_WRONLY);
        if (fds[i] < 0) {
            rc = rv_cgroup_fail(err, fds[i], "cannot open", dir, file);
            while (i-- > 0)
                close(fds[i]);
            break;
        }
    }
    return rc ? rc : (int)c->n;
}

int rv_cgroup_attach(struct rv_cgroups *c, const char *id, pid_t pid, struct rv_error *err) {
    int rc = check_id(id, err);

    if (rc)
        return rc;
    if (pid <= 0)
        return rv_error_set(err, RV_ERR_INVALID, "%d is no process", (int)pid);
    return c->ops->attach(c, id, pid, err);
}

int rv_cgroup_set(struct rv_cgroups *c, const char *id, const struct rv_cgroup_limits *limits,
                  struct rv_error *err) {
    uint32_t need = 0;
    int rc = check_id(id, err);

    if (rc)
        return rc;
    need |= limits->cpu_request_milli >= 0 || limits->cpu_limit_milli >= 0 ? RV_CGROUP_CPU : 0U;
    need |= limits->mem_request_bytes >= 0 || limits->mem_limit_bytes >= 0 ? RV_CGROUP_MEMORY : 0U;
    need |= limits->pids_max >= 0 ? RV_CGROUP_PIDS : 0U;
    need |= limits->cpuset ? RV_CGROUP_CPUSET : 0U;
    need |= limits->io_weight >= 0 ? RV_CGROUP_IO : 0U;
    need |= limits->devices ? RV_CGROUP_DEVICES : 0U;
    if (need & ~c->controllers)
        return rv_error_set(err, RV_ERR_UNSUPPORTED, "a limit is asked that cgroups cannot set: %s",
                            c->missing.n ? c->missing.data : "controller missing");
    if (limits->io_weight >= 0 && (limits->io_weight < 10 || limits->io_weight > 1000))
        return rv_error_set(err, RV_ERR_INVALID, "io weight %lld is not in 10..1000",
                            (long long)limits->io_weight);
    if (limits->cpuset && !limits->cpuset[0])
        return rv_error_set(err, RV_ERR_INVALID, "the list of cpus is empty");
    return c->ops->set(c, id, limits, err);
}

char *rv_cgroup_folder(const struct rv_cgroups *c, const char *id) {
    return check_id(id, NULL) ? NULL : rv_cgroup_path(&c->hierarchies[0], id);
}

void rv_cgroup_kill(struct rv_cgroups *c, const char *id) {
    if (check_id(id, NULL) == 0)
        c->ops->kill(c, id);
}

bool rv_cgroup_is_empty(struct rv_cgroups *c, const char *id) {
    return check_id(id, NULL) != 0 || c->ops->is_empty(c, id);
}

int rv_cgroup_remove(struct rv_cgroups *c, const char *id, struct rv_error *err) {
    int rc = check_id(id, err);

    return rc ? rc : c->ops->remove(c, id, err);
}

int rv_cgroup_list(struct rv_cgroups *c, char ***ids, size_t *n, struct rv_error *err) {
    char **names = rv_cgfs_children(c->hierarchies[0].folder);
    size_t count = 0;

    if (!names && errno != ENOENT)
        return rv_cgroup_fail(err, errno, "cannot read", c->hierarchies[0].folder, NULL);
    while (names && names[count])
        count++;
    *ids = names;
    *n = count;
    return 0;
}

uint64_t rv_cgroup_oom_kills(struct rv_cgroups *c, const char *id) {
    return check_id(id, NULL) ? 0 : c->ops->oom_kills(c, id);
}

int rv_cgroup_oom_fd(struct rv_cgroups *c, const char *id) {
    return check_id(id, NULL) ? -1 : c->ops->oom_fd(c, id);
}

bool rv_cgroup_oom_drain(int fd) {
    char text[256];
    bool told = false;

    /* memory.events must be read from its begin, then it is quiet until the next change; an eventfd
     * has no place and does not mind. */
    if (lseek(fd, 0, SEEK_SET) < 0 && errno != ESPIPE)
        return false;
    for (ssize_t n; (n = read(fd, text, sizeof text)) > 0;)
        told = true;
    return told;
}

uint64_t rv_cgfs_refused_forks(const char *dir) {
    _cleanup_(rv_buf_free) struct rv_buf text = {0};
    char **names = NULL;
    uint64_t n = 0;

    if (rv_cgfs_read(dir, "pids.events", &text) == 0)
        n = rv_cgfs_key(&text, "max");
    if (!rv_cgfs_exists(dir, "pids.events.local"))
        names = rv_cgfs_children(dir);
    for (size_t i = 0; names && names[i]; i++) {
        _cleanup_free_ char *child = rv_asprintf("%s/%s", dir, names[i]);
        n += rv_cgfs_refused_forks(child);
    }
    rv_cgfs_children_free(names);
    return n;
}

bool rv_cgroup_refused_forks(struct rv_cgroups *c, const char *id, uint64_t *refused,
                             uint64_t *limit) {
    _cleanup_free_ char *dir = check_id(id, NULL) ? NULL : c->ops->folder(c, id, RV_CGROUP_PIDS);

    *refused = dir ? rv_cgfs_refused_forks(dir) : 0;
    return *refused && rv_cgfs_read_u64(dir, "pids.max", limit) == 0;
}

void rv_cgroup_read_stats(struct rv_cgroups *c, const char *id, struct rv_cgroup_stats *out) {
    *out = (struct rv_cgroup_stats){.cpu_request_milli = -1,
                                    .cpu_limit_milli = -1,
                                    .mem_kernel = UINT64_MAX,
                                    .mem_kernel_tcp = UINT64_MAX,
                                    .mem_with_swap = UINT64_MAX};
    if (check_id(id, NULL) == 0)
        c->ops->read_stats(c, id, out);
}
