/*
 * Two slots, a page each, written in turn, so that a crash while one is written leaves the other.
 * A slot is a line of text with a checksum: "reeve-registry-witness 1 SEQ CRC\n".
 */
#include "io/registry_witness.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc.h"
#include "base/str.h"

#define SLOT 4096
#define LINE 64
#define NAME "reeve-registry-witness 1 "

static int failed(const struct rv_witness *w, const char *what, struct rv_error *err) {
    return rv_error_set(err, RV_ERR_IO, "%s: %s: %s", w->path, what, strerror(errno));
}

static void print(char line[LINE], uint64_t seq) {
    int n = snprintf(line, LINE, NAME "%" PRIu64 " ", seq);

    snprintf(line + n, LINE - (size_t)n, "%08" PRIx32 "\n", rv_crc32c(0, line, (size_t)n));
}

/* 0: the slot holds none. */
static uint64_t parse(const char *line) {
    char expected[LINE], number[24] = "";
    uint64_t seq;

    if (!rv_starts_with(line, NAME))
        return 0;
    line += strlen(NAME);
    memcpy(number, line, RV_MIN(strcspn(line, " "), sizeof number - 1));
    if (rv_parse_u64(number, UINT64_MAX, &seq))
        return 0;
    print(expected, seq);
    return rv_starts_with(line - strlen(NAME), expected) ? seq : 0;
}

static int read_last(struct rv_witness *w, uint64_t *seq, struct rv_error *err) {
    struct stat st;
    uint64_t last = 0;

    if (fstat(w->fd, &st))
        return failed(w, "stat", err);
    for (off_t at = 0; at < 2 * SLOT; at += SLOT) {
        char line[LINE + 1] = "";
        if (pread(w->fd, line, LINE, at) < 0)
            return failed(w, "read", err);
        uint64_t one = parse(line);
        if (one > last)
            last = one;
    }
    if (st.st_size && !last)
        return rv_error_set(err, RV_ERR_CORRUPT, "%s: damaged: neither of its lines can be read",
                            w->path);
    *seq = last;
    return 0;
}

int rv_witness_open(struct rv_witness *w, const char *of, bool read_only, uint64_t *seq,
                    struct rv_error *err) {
    int r = 0;

    *w = (struct rv_witness){.path = rv_asprintf("%s.witness", of)};
    w->fd = open(w->path, (read_only ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC, 0600);
    *seq = 0;
    if (w->fd < 0 && read_only && errno == ENOENT)
        return 0;
    if (w->fd < 0)
        r = failed(w, "open", err);
    else if (!read_only && flock(w->fd, LOCK_EX | LOCK_NB))
        r = rv_error_set(err, RV_ERR_CONFLICT, "%s: locked: another process uses this registry",
                         of);
    if (!r)
        r = read_last(w, seq, err);
    if (r)
        rv_witness_close(w);
    return r;
}

int rv_witness_write(struct rv_witness *w, uint64_t seq, struct rv_error *err) {
    char line[LINE] = "";

    print(line, seq);
    if (pwrite(w->fd, line, LINE, seq % 2 ? SLOT : 0) != LINE)
        return failed(w, "write", err);
    return fdatasync(w->fd) ? failed(w, "fdatasync", err) : 0;
}

void rv_witness_close(struct rv_witness *w) {
    if (w->fd >= 0)
        close(w->fd);
    free(w->path);
    *w = (struct rv_witness){.fd = -1};
}
