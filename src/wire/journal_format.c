/*
 * The bytes of a journal: see journal_format.h. Reading goes from place to place: a step finds a
 * frame there, or the end, or what a crash has torn, or damage; with salvage damage is passed over
 * to the next whole frame.
 */
#include "wire/journal_format.h"

#include "base/crc.h"

#define VERSION_AT 14
#define RECORD_HEAD 4
#define SECTOR 512

#define OLD_VERSION 1
#define OLD_HEAD 8
#define OLD_RECORD_MAX (64u << 20)

static const char magic[RV_JOURNAL_HEAD] = {
    'r', 'e', 'e', 'v', 'e', '-', 'j', 'o', 'u', 'r', 'n', 'a', 'l', '\n', RV_JOURNAL_VERSION, 0};

static void put_u32(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get_u32(const void *bytes) {
    const uint8_t *p = bytes;

    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static size_t aligned(size_t at) {
    return (at + RV_JOURNAL_ALIGN - 1) / RV_JOURNAL_ALIGN * RV_JOURNAL_ALIGN;
}

/* --- writing --- */

void rv_journal_put_head(struct rv_buf *out) {
    rv_buf_append(out, magic, sizeof magic);
}

void rv_journal_put_record(struct rv_buf *out, struct rv_str record) {
    uint8_t head[RECORD_HEAD];

    put_u32(head, (uint32_t)record.n);
    rv_buf_append(out, head, sizeof head);
    rv_buf_append(out, record.s, record.n);
}

void rv_journal_put_frame(struct rv_buf *out, struct rv_str records) {
    static const char zeros[RV_JOURNAL_ALIGN], last = 1;
    uint8_t head[RV_JOURNAL_FRAME_HEAD];
    uint32_t crc = rv_crc32c(rv_crc32c(0, records.s, records.n), &last, 1);

    put_u32(head, (uint32_t)records.n + 1);
    put_u32(head + 4, crc);
    put_u32(head + 8, rv_crc32c(0, head, 8));
    rv_buf_append(out, head, sizeof head);
    rv_buf_append(out, records.s, records.n);
    rv_buf_append(out, &last, 1);
    rv_buf_append(out, zeros, aligned(out->n) - out->n);
}

/* --- reading --- */

struct reading {
    struct rv_str file;
    const char *path;
    bool old, salvage; /* old: version 1 */
    rv_journal_each each;
    void *ctx;
    struct rv_error *err;
};

enum place { WHOLE, END, TORN, DAMAGED };

static bool zeros(struct rv_str file, size_t from, size_t to) {
    for (size_t i = from; i < to; i++)
        if (file.s[i])
            return false;
    return true;
}

/* Whether a sector's part of [from, to) is all zeros: as far as one can tell it was not written. */
static bool has_hole(struct rv_str file, size_t from, size_t to) {
    for (size_t next; from < to; from = next) {
        next = RV_MIN(to, (from / SECTOR + 1) * SECTOR);
        if (zeros(file, from, next))
            return true;
    }
    return false;
}

/* Whether a frame's head is at `at`, and its body within the file. */
static bool is_head(struct rv_str file, size_t at) {
    const char *p = file.s + at;

    return file.n - at >= RV_JOURNAL_FRAME_HEAD && get_u32(p) &&
           get_u32(p + 8) == rv_crc32c(0, p, 8);
}

static bool fits(struct rv_str file, size_t at) {
    return get_u32(file.s + at) <= file.n - at - RV_JOURNAL_FRAME_HEAD;
}

static bool is_frame(struct rv_str file, size_t at) {
    const char *p = file.s + at;

    return is_head(file, at) && fits(file, at) &&
           get_u32(p + 4) == rv_crc32c(0, p + RV_JOURNAL_FRAME_HEAD, get_u32(p));
}

static bool is_old_record(struct rv_str file, size_t at) {
    const char *p = file.s + at;
    size_t left = file.n - at;
    uint32_t n = left < OLD_HEAD ? 0 : get_u32(p);

    return left >= OLD_HEAD && n <= left - OLD_HEAD &&
           get_u32(p + 4) == rv_crc32c(rv_crc32c(0, p, 4), p + OLD_HEAD, n);
}

/* The next place from `at` on where something whole is; file.n: nowhere. */
static size_t find_whole(const struct reading *r, size_t at) {
    size_t step = r->old ? 1 : RV_JOURNAL_ALIGN;

    for (at = r->old ? at : aligned(at); at < r->file.n; at += step)
        if (r->old ? is_old_record(r->file, at) : is_frame(r->file, at))
            return at;
    return r->file.n;
}

static enum place look(const struct reading *r, size_t at) {
    struct rv_str file = r->file;
    size_t sector_end = RV_MIN(file.n, (at / SECTOR + 1) * SECTOR);

    if (at > file.n || file.n - at < RV_JOURNAL_ALIGN)
        return DAMAGED; /* cut short */
    if (is_frame(file, at)) {
        size_t end = at + RV_JOURNAL_FRAME_HEAD + get_u32(file.s + at);
        bool clean = zeros(file, end, RV_MIN(file.n, aligned(end)));
        return clean || r->salvage ? WHOLE : DAMAGED;
    }
    if (is_head(file, at)) {
        size_t end = at + RV_JOURNAL_FRAME_HEAD + get_u32(file.s + at);
        return fits(file, at) && has_hole(file, at, end) && zeros(file, end, file.n) ? TORN
                                                                                     : DAMAGED;
    }
    if (!zeros(file, at, sector_end))
        return DAMAGED; /* a head lies within a sector: it is there as a whole, or not at all */
    if (zeros(file, sector_end, file.n))
        return END;
    return find_whole(r, sector_end) < file.n ? DAMAGED : TORN;
}

/* A record that runs to the very end of the file, and no whole one is behind it, which a damaged
 * length would hide; or zeros to the end, blocks that were allocated but not written. */
static enum place look_old(const struct reading *r, size_t at) {
    struct rv_str file = r->file;
    size_t left = file.n - at;

    if (!left)
        return END;
    if (is_old_record(file, at))
        return WHOLE;
    if (left < OLD_HEAD || zeros(file, at, file.n))
        return TORN;
    uint32_t n = get_u32(file.s + at);
    bool reaches = n >= left - OLD_HEAD && n <= OLD_RECORD_MAX;
    return reaches && find_whole(r, at + 1) == file.n ? TORN : DAMAGED;
}

static int tell(const struct reading *r, size_t at, struct rv_str record) {
    int failed = r->each ? r->each(r->ctx, record, r->err) : 0;

    if (failed)
        rv_error_prefix(r->err, "%s at byte %zu", r->path, at);
    return failed;
}

static int damaged(const struct reading *r, size_t at) {
    return rv_error_set(r->err, RV_ERR_CORRUPT,
                        "%s: %s at byte %zu of %zu; restore the file, or move it away to begin "
                        "anew (what it recorded is then lost)",
                        r->path, at < r->file.n ? "damaged" : "cut short", RV_MIN(at, r->file.n),
                        r->file.n);
}

/* What is whole at `*at`; then goes behind it. */
static int take(const struct reading *r, size_t *at) {
    const char *p = r->file.s + *at;
    size_t n = get_u32(p);
    int failed = 0;

    if (r->old) {
        failed = tell(r, *at, rv_strn(p + OLD_HEAD, n));
        *at += OLD_HEAD + n;
        return failed;
    }
    const char *body = p + RV_JOURNAL_FRAME_HEAD;
    for (size_t i = 0; !failed && i + 1 < n;) {
        size_t left = n - 1 - i;
        size_t one = left < RECORD_HEAD ? left : get_u32(body + i);
        if (left < RECORD_HEAD || one > left - RECORD_HEAD)
            return damaged(r, *at); /* no disk does that: the checksum is right */
        failed = tell(r, *at, rv_strn(body + i + RECORD_HEAD, one));
        i += RECORD_HEAD + one;
    }
    *at = aligned(*at + RV_JOURNAL_FRAME_HEAD + n);
    return failed;
}

static int parse_head(struct reading *r, struct rv_journal_found *out) {
    struct rv_str file = r->file;
    bool known = file.n >= RV_JOURNAL_HEAD && !memcmp(file.s, magic, VERSION_AT);
    int version = known ? (uint8_t)file.s[VERSION_AT] : RV_JOURNAL_VERSION;

    out->version = version;
    r->old = version == OLD_VERSION;
    if (version > RV_JOURNAL_VERSION || version < OLD_VERSION)
        return rv_error_set(r->err, RV_ERR_UNSUPPORTED,
                            "%s: its format %d is not known to this version, which knows %d; run "
                            "the version that wrote it, or a later one",
                            r->path, version, RV_JOURNAL_VERSION);
    if (known && !file.s[VERSION_AT + 1])
        return 0;
    if (r->salvage)
        out->damaged += RV_MIN(file.n, (size_t)RV_JOURNAL_HEAD);
    return r->salvage
               ? 0
               : rv_error_set(r->err, RV_ERR_CORRUPT,
                              "%s: is not a journal, or its first bytes are damaged; restore "
                              "the file, or move it away to begin anew",
                              r->path);
}

int rv_journal_parse(struct rv_str file, const char *path, bool salvage, rv_journal_each each,
                     void *ctx, struct rv_journal_found *out, struct rv_error *err) {
    struct reading r = {file, path, false, salvage, each, ctx, err};
    size_t at = RV_JOURNAL_HEAD;

    *out = (struct rv_journal_found){0};
    int failed = parse_head(&r, out);
    while (!failed && at < file.n) {
        enum place place = r.old ? look_old(&r, at) : look(&r, at);
        if (place == END)
            break;
        if (place == TORN) {
            out->torn = file.n - at;
            break;
        }
        if (place == WHOLE)
            failed = take(&r, &at);
        else if (!salvage)
            failed = damaged(&r, at);
        else {
            size_t next = find_whole(&r, at + 1);
            out->damaged += next - at;
            at = next;
        }
    }
    if (!failed && !r.old && !salvage && at >= file.n)
        failed = damaged(&r, at); /* without zeros at its end it has been cut short */
    out->end = at;
    return failed;
}
