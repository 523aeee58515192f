/* Records of containers, see state.h. Holds: a record is
 * one write(2), so the agent's death leaves all of it or nothing; nothing means that nothing was
 * launched. What the container's init appends, a NUL and its status, is beyond what the second
 * record covers. Making a file is what costs most in a launch (370 us on a slow ext4; without a
 * journal that grows with the files that were removed lately), so there is one, used again and
 * again. The line "sum" is the CRC-32C of all the others; records of versions that had none are
 * read without.
 */
#include "containerizer/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crc.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/vec.h"

#define HEADER "reeve container 1\n"

enum { MAX_PLAIN = 200, HASHED = MAX_PLAIN + 25, MAX_FILE = 16384, MAX_SPARES = 256 };

/* Of a long id: no id may look so. */
static bool is_hashed_name(const char *name) {
    return strlen(name) == HASHED && name[MAX_PLAIN] == '~';
}

bool rv_container_id_fits(const char *id) {
    return *id && *id != '.' && !strchr(id, '/') && strlen(id) <= RV_CONTAINER_MAX_ID &&
           !is_hashed_name(id);
}

char *rv_container_file_name(const char *id) {
    size_t n = strlen(id);

    if (n <= MAX_PLAIN || is_hashed_name(id))
        return rv_strdup(id);
    return rv_asprintf("%.*s~%016" PRIx64 "%08" PRIx32, (int)MAX_PLAIN, id, rv_hash(id, n),
                       rv_crc32c(0, id, n));
}

static char *path_of(const char *state_dir, const char *id) {
    _cleanup_free_ char *name = rv_container_file_name(id);

    return rv_asprintf("%s/%s", state_dir, name);
}

static ssize_t read_file(const char *path, char *out, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -1;
    n = read(fd, out, size - 1);
    close(fd);
    if (n >= 0)
        out[n] = '\0';
    return n;
}

void rv_container_boot_id(char out[64]) {
    ssize_t n = read_file("/proc/sys/kernel/random/boot_id", out, 64);

    out[n > 0 ? strcspn(out, "\n") : 0] = '\0';
}

static uint32_t sum_of(const char *lines, size_t n, const char *directory) {
    return rv_crc32c(rv_crc32c(0, lines, n), directory, strlen(directory));
}

/* `directory` is its last line, which anything may be in. */
static bool is_whole(const char *text, const char *directory) {
    const char *sum = strstr(text, "\nsum ");
    uint32_t expected;

    return !sum || sum >= directory ||
           // NOLINTNEXTLINE(cert-err34-c)
           (sscanf(sum, "\nsum %" SCNx32, &expected) == 1 &&
            expected == sum_of(text, (size_t)(sum + 1 - text), directory + 1));
}

/* Numbers that change have a fixed width, so that the second record covers the first. */
static void put_record(struct rv_buf *out, const char *boot_id, const char *id,
                       const struct rv_container_state *state) {
    _cleanup_free_ char *directory = rv_asprintf("directory %s\n", state->directory);

    rv_buf_printf(out,
                  HEADER "boot %s\npid %10d\nstart %20" PRIu64 "\nsurvive %d\nlog_max %" PRIu64
                         "\nlog_keep %u\nlimits %20" PRId64 " %20" PRId64 "\nown %d %d\n",
                  boot_id, (int)state->pid, state->start_ticks, state->survive,
                  state->log_max_bytes, state->log_keep, state->cpu_limit_milli,
                  state->mem_limit_bytes, state->own_group, state->own_pids);
    if (strlen(id) > MAX_PLAIN)
        rv_buf_printf(out, "id %s\n", id); /* the file's name does not tell it */
    if (state->terminal)
        rv_buf_puts(out, "terminal\n");
    rv_buf_printf(out, "sum %08" PRIx32 "\n%s", sum_of(out->data, out->n, directory), directory);
}

static int failed(const char *what, const char *path, int error, struct rv_error *err) {
    return rv_error_set(err, RV_ERR_IO, "%s %s: %s", what, path, strerror(error));
}

/* 0 or errno. The descriptor is behind it then. */
static int put(int fd, const struct rv_buf *text) {
    ssize_t n = write(fd, text->data, text->n);

    return n == (ssize_t)text->n ? 0 : n < 0 ? errno : ENOSPC;
}

int rv_container_states_make(const char *state_dir, struct rv_error *err) {
    int fd = rv_folder_make(state_dir, 0700, err);

    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

int rv_container_state_write(const char *state_dir, const char *boot_id, const char *id,
                             const struct rv_container_state *state, struct rv_error *err) {
    _cleanup_free_ char *path = path_of(state_dir, id);
    _cleanup_(rv_buf_free) struct rv_buf text = {0};
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), error;

    if (fd < 0)
        return failed("open", path, errno, err);
    put_record(&text, boot_id, id, state);
    error = put(fd, &text);
    close(fd);
    return error ? failed("write", path, error, err) : 0;
}

int rv_container_state_change(int fd, const char *boot_id, const char *id,
                              const struct rv_container_state *state, struct rv_error *err) {
    _cleanup_(rv_buf_free) struct rv_buf text = {0};
    ssize_t n;

    put_record(&text, boot_id, id, state);
    n = pwrite(fd, text.data, text.n, 0);
    return n == (ssize_t)text.n ? 0
                                : failed("write the record of", id, n < 0 ? errno : ENOSPC, err);
}

static char *spare_path(const char *state_dir, unsigned n) {
    return rv_asprintf("%s/.spare-%u", state_dir, n);
}

/* The name comes last: the record under it is whole at any time. */
int rv_container_state_begin(const char *state_dir, const char *boot_id, const char *id,
                             const struct rv_container_state *state, unsigned *spares, int *fd,
                             struct rv_error *err) {
    _cleanup_free_ char *path = path_of(state_dir, id);
    _cleanup_free_ char *spare = *spares ? spare_path(state_dir, *spares - 1) : NULL;
    _cleanup_(rv_buf_free) struct rv_buf text = {0};
    int f = open(spare ? spare : path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), error = 0;

    if (f < 0)
        return failed("open", path, errno, err);
    *spares -= spare != NULL;
    put_record(&text, boot_id, id, state);
    error = put(f, &text);
    if (!error && spare && (ftruncate(f, (off_t)text.n) != 0 || rename(spare, path) != 0))
        error = errno;
    if (!error) {
        *fd = f;
        return 0;
    }
    close(f);
    if (spare)
        unlink(spare);
    return failed("write", path, error, err);
}

void rv_container_state_end(const char *state_dir, const char *id, unsigned *spares) {
    _cleanup_free_ char *path = path_of(state_dir, id);
    _cleanup_free_ char *spare = spare_path(state_dir, *spares);

    if (*spares < MAX_SPARES && rename(path, spare) == 0)
        ++*spares;
    else
        unlink(path);
}

void rv_container_state_drop_spares(const char *state_dir) {
    int rc = 0;

    for (unsigned n = 0; n < MAX_SPARES && rc == 0; n++) {
        _cleanup_free_ char *spare = spare_path(state_dir, n);
        rc = unlink(spare);
    }
}

int rv_container_state_read(const char *state_dir, const char *boot_id, const char *id,
                            struct rv_container_state *out, struct rv_error *err) {
    _cleanup_free_ char *path = path_of(state_dir, id);
    _cleanup_free_ char *text = rv_malloc(MAX_FILE);
    struct rv_container_state s = {0};
    char found[64] = "", *directory, *limits, *own, *terminal;
    int pid, survive, own_group = 1, own_pids = 1;
    ssize_t n = read_file(path, text, MAX_FILE);

    if (n < 0)
        return rv_error_set(err, RV_ERR_IO, "read %s: %s", path, strerror(errno));
    if (n == 0)
        return rv_error_set(err, RV_ERR_NOT_FOUND, "%s is empty: nothing was launched", path);
    s.has_status = (size_t)n > strlen(text) &&
                   // NOLINTNEXTLINE(cert-err34-c)
                   sscanf(text + strlen(text) + 1, "status %d", &s.wait_status) == 1;
    n = (ssize_t)strlen(text);
    directory = strstr(text, "\ndirectory ");
    /* The file is our own: a number that does not fit is a damaged record like any other. */
    if (sscanf(text, // NOLINT(cert-err34-c)
               HEADER "boot %63s pid %d start %" SCNu64 " survive %d log_max %" SCNu64
                      " log_keep %u",
               found, &pid, &s.start_ticks, &survive, &s.log_max_bytes, &s.log_keep) != 6 ||
        !rv_starts_with(text, HEADER) || !directory || text[n - 1] != '\n' ||
        !is_whole(text, directory))
        return rv_error_set(err, RV_ERR_CORRUPT, "%s is damaged, or no record of a container",
                            path);
    if (strcmp(boot_id, found) != 0)
        return rv_error_set(err, RV_ERR_NOT_FOUND, "%s is from before the machine started", path);
    limits = strstr(text, "\nlimits ");
    if (limits && limits < directory)
        // NOLINTNEXTLINE(cert-err34-c)
        (void)sscanf(limits, "\nlimits %" SCNd64 " %" SCNd64, &s.cpu_limit_milli,
                     &s.mem_limit_bytes);
    own = strstr(text, "\nown ");
    if (own && own < directory)
        // NOLINTNEXTLINE(cert-err34-c)
        (void)sscanf(own, "\nown %d %d", &own_group, &own_pids);
    terminal = strstr(text, "\nterminal\n");
    s.terminal = terminal && terminal < directory;
    s.own_group = own_group != 0;
    s.own_pids = own_pids != 0;
    directory += strlen("\ndirectory ");
    text[n - 1] = '\0';
    s.pid = pid;
    s.survive = survive != 0;
    s.directory = rv_strdup(directory);
    *out = s;
    return 0;
}

int rv_container_state_open(const char *state_dir, const char *id, struct rv_error *err) {
    _cleanup_free_ char *path = path_of(state_dir, id);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

    return fd < 0 ? rv_error_set(err, RV_ERR_IO, "open %s: %s", path, strerror(errno)) : fd;
}

void rv_container_state_remove(const char *state_dir, const char *id) {
    _cleanup_free_ char *path = path_of(state_dir, id);

    unlink(path);
}

/* What the record under a hashed name is of; the name itself, if it does not tell. */
static char *id_in(const char *state_dir, const char *name) {
    _cleanup_free_ char *path = path_of(state_dir, name);
    _cleanup_free_ char *text = rv_malloc(MAX_FILE);
    char *id, *end, *of_id;

    if (read_file(path, text, MAX_FILE) < 0 || !(id = strstr(text, "\nid ")) ||
        !(end = strchr(id += strlen("\nid "), '\n')))
        return rv_strdup(name);
    *end = '\0';
    of_id = rv_container_file_name(id);
    id = rv_strdup(rv_streq(of_id, name) ? id : name);
    free(of_id);
    return id;
}

int rv_container_state_list(const char *state_dir, char ***ids, size_t *n, struct rv_error *err) {
    DIR *dir = opendir(state_dir);
    RV_VEC(char *) found = {0};

    if (!dir)
        return rv_error_set(err, RV_ERR_IO, "opendir %s: %s", state_dir, strerror(errno));
    for (struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.')
            rv_vec_push(&found, is_hashed_name(e->d_name) ? id_in(state_dir, e->d_name)
                                                          : rv_strdup(e->d_name));
    closedir(dir);
    *ids = found.v;
    *n = found.n;
    return 0;
}

int rv_container_states_check(const char *state_dir, struct rv_error *err) {
    struct rv_container_state state;
    char **ids = NULL, boot_id[64];
    size_t n = 0;
    int rc = rv_container_state_list(state_dir, &ids, &n, err);

    rv_container_boot_id(boot_id);
    for (size_t i = 0; i < n; i++) {
        int one = rv_container_state_read(state_dir, boot_id, ids[i], &state, rc ? NULL : err);
        if (!one)
            free(state.directory);
        else if (one != -RV_ERR_NOT_FOUND && !rc)
            rc = one;
        free(ids[i]);
    }
    free(ids);
    return rc;
}

bool rv_container_states_any(const char *state_dir) {
    struct rv_container_state state;
    char **ids = NULL, boot_id[64];
    bool any = false;
    size_t n = 0;

    if (access(state_dir, F_OK) != 0 && errno == ENOENT)
        return false;
    if (rv_container_state_list(state_dir, &ids, &n, NULL))
        return true;
    rv_container_boot_id(boot_id);
    for (size_t i = 0; i < n; i++) {
        int rc = rv_container_state_read(state_dir, boot_id, ids[i], &state, NULL);
        if (!rc)
            free(state.directory);
        any = any || rc != -RV_ERR_NOT_FOUND;
        free(ids[i]);
    }
    free(ids);
    return any;
}
