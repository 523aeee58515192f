/*
 * Fields of protobuf-c messages by descriptor, and the checks that need a whole tree.
 *
 * What always holds: a message of a decoded tree came from rv_wire_new, so the hidden words are
 * behind it. Arrays grow by powers of two and are full when their count is one. Everything lives in
 * the caller's arena, whose use is bounded by the size of the input.
 */
#include "wire/tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

static size_t seen_offset(const ProtobufCMessageDescriptor *type) {
    return (type->sizeof_message + 7) & ~(size_t)7;
}

static uint64_t *seen_words(const ProtobufCMessage *m) {
    return (uint64_t *)rv_wire_member(m, (unsigned)seen_offset(m->descriptor));
}

static void mark(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, bool seen) {
    size_t i = (size_t)(f - m->descriptor->fields);
    uint64_t bit = UINT64_C(1) << (i % 64);
    if (seen) {
        seen_words(m)[i / 64] |= bit;
    } else {
        seen_words(m)[i / 64] &= ~bit;
    }
}

static void put_path(struct rv_buf *b, const struct rv_wire_path *path) {
    if (path->up) {
        put_path(b, path->up);
    }
    if (b->n > 0) {
        rv_buf_putc(b, '.');
    }
    rv_buf_puts(b, path->field->name);
    if (path->index != RV_WIRE_NO_INDEX) {
        rv_buf_printf(b, "[%zu]", path->index);
    }
}

int rv_wire_fail(struct rv_wire_in *in, enum rv_err code, const struct rv_wire_path *path,
                 const char *format, ...) {
    if (!in->err) {
        return -(int)code;
    }
    struct rv_buf b _cleanup_(rv_buf_free) = {0};
    if (path) {
        put_path(&b, path);
        rv_buf_puts(&b, ": ");
    }
    va_list args;
    va_start(args, format);
    char text[256];
    /* All formats are ours; what they print of the input they cut short themselves. */
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    rv_buf_puts(&b, text);
    return rv_error_set(in->err, code, "%s", b.data);
}

int rv_wire_count(struct rv_wire_in *in, const struct rv_wire_path *path) {
    if (++in->n_fields > in->limits->max_fields) {
        return rv_wire_fail(in, RV_ERR_LIMIT, path, "more than %zu fields in one message",
                            in->limits->max_fields);
    }
    if (in->arena->total > in->arena_max) {
        return rv_wire_fail(in, RV_ERR_LIMIT, path, "takes too much memory");
    }
    return 0;
}

ProtobufCMessage *rv_wire_new(struct rv_wire_in *in, const ProtobufCMessageDescriptor *type) {
    size_t words = (type->n_fields + 63) / 64;
    size_t size = seen_offset(type) + words * sizeof(uint64_t);
    ProtobufCMessage *m = (ProtobufCMessage *)rv_arena_alloc(in->arena, size);
    protobuf_c_message_init(type, m);
    if (words > 0) {
        memset(seen_words(m), 0, words * sizeof(uint64_t));
    }
    return m;
}

/* The first required field that is missing, NULL if none is. */
static const ProtobufCFieldDescriptor *missing(const ProtobufCMessage *m) {
    const ProtobufCMessageDescriptor *type = m->descriptor;
    const uint64_t *seen = seen_words(m);
    for (unsigned i = 0; i < type->n_fields; i++) {
        if (type->fields[i].label == PROTOBUF_C_LABEL_REQUIRED && !(seen[i / 64] >> (i % 64) & 1)) {
            return &type->fields[i];
        }
    }
    return NULL;
}

void rv_wire_piece_done(struct rv_wire_in *in, const ProtobufCMessage *m) {
    if (!in->incomplete && missing(m)) {
        in->incomplete = true;
    }
}

struct keyed {
    const ProtobufCMessage *entry;
    size_t index;
};

static int compare_keys(const ProtobufCMessage *a, const ProtobufCMessage *b) {
    const ProtobufCFieldDescriptor *key = &a->descriptor->fields[0];
    const void *ka = rv_wire_member(a, key->offset), *kb = rv_wire_member(b, key->offset);
    if (key->type == PROTOBUF_C_TYPE_STRING) {
        return strcmp(*(char *const *)ka, *(char *const *)kb);
    }
    return memcmp(ka, kb, rv_wire_element_size(key->type));
}

static int compare_keyed(const void *a, const void *b) {
    const struct keyed *ka = (const struct keyed *)a, *kb = (const struct keyed *)b;
    int c = compare_keys(ka->entry, kb->entry);
    return c ? c : (ka->index > kb->index) - (ka->index < kb->index);
}

/* Completes the entries and keeps the last one of each key, in the order of the input. */
static int finish_map(struct rv_wire_in *in, ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                      const struct rv_wire_path *up) {
    size_t *n = rv_wire_count_of(m, f);
    ProtobufCMessage **entries = *(ProtobufCMessage ***)rv_wire_member(m, f->offset);
    for (size_t i = 0; i < *n; i++) {
        for (unsigned k = 0; k < 2; k++) {
            const ProtobufCFieldDescriptor *part = &entries[i]->descriptor->fields[k];
            if (!rv_wire_is_pointer(part) || rv_wire_has(entries[i], part)) {
                continue;
            }
            if (part->type == PROTOBUF_C_TYPE_MESSAGE) {
                if (in->lax) {
                    continue;
                }
                struct rv_wire_path at = {up, f, i}, at_part = {&at, part, RV_WIRE_NO_INDEX};
                return rv_wire_fail(in, RV_ERR_INVALID, &at_part, "required");
            }
            union rv_wire_value empty = {.string = rv_arena_strdup(in->arena, "")};
            rv_wire_set(entries[i], part, &empty);
        }
    }
    if (*n < 2) {
        return 0;
    }
    struct keyed *sorted = (struct keyed *)rv_malloc(*n * sizeof *sorted);
    for (size_t i = 0; i < *n; i++) {
        sorted[i] = (struct keyed){entries[i], i};
    }
    qsort(sorted, *n, sizeof *sorted, compare_keyed);
    for (size_t i = 0; i + 1 < *n; i++) {
        if (compare_keys(sorted[i].entry, sorted[i + 1].entry) == 0) {
            entries[sorted[i].index] = NULL;
        }
    }
    free(sorted);
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++) {
        if (entries[i]) {
            entries[kept++] = entries[i];
        }
    }
    *n = kept;
    return 0;
}

/* Depth is bounded: the decoder has been this way. */
static int finish_message(struct rv_wire_in *in, ProtobufCMessage *m,
                          const struct rv_wire_path *up) {
    const ProtobufCFieldDescriptor *lacking = in->lax ? NULL : missing(m);
    if (lacking) {
        struct rv_wire_path at = {up, lacking, RV_WIRE_NO_INDEX};
        return rv_wire_fail(in, RV_ERR_INVALID, &at, "required");
    }
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        if (f->type != PROTOBUF_C_TYPE_MESSAGE) {
            continue;
        }
        struct rv_wire_path at = {up, f, RV_WIRE_NO_INDEX};
        int r = 0;
        if (f->label != PROTOBUF_C_LABEL_REPEATED) {
            if (rv_wire_has(m, f)) {
                r = finish_message(in, *(ProtobufCMessage **)rv_wire_member(m, f->offset), &at);
            }
            if (r < 0) {
                return r;
            }
            continue;
        }
        if (rv_wire_is_map(f)) {
            r = finish_map(in, m, f, up);
        }
        ProtobufCMessage **items = *(ProtobufCMessage ***)rv_wire_member(m, f->offset);
        for (at.index = 0; r == 0 && at.index < *rv_wire_count_of(m, f); at.index++) {
            r = finish_message(in, items[at.index], &at);
        }
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

int rv_wire_finish(struct rv_wire_in *in, ProtobufCMessage *root) {
    return (in->incomplete && !in->lax) || in->maps ? finish_message(in, root, NULL) : 0;
}

size_t rv_wire_element_size(ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_ENUM:
        return sizeof(int32_t);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return sizeof(int64_t);
    case PROTOBUF_C_TYPE_FLOAT:
        return sizeof(float);
    case PROTOBUF_C_TYPE_DOUBLE:
        return sizeof(double);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    }
    RV_UNREACHABLE();
}

unsigned rv_wire_type_of(ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return PROTOBUF_C_WIRE_TYPE_32BIT;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return PROTOBUF_C_WIRE_TYPE_64BIT;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    default:
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    }
}

void rv_wire_set(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                 const union rv_wire_value *v) {
    memcpy(rv_wire_member(m, f->offset), v, rv_wire_element_size(f->type));
    if (rv_wire_is_oneof(f)) {
        *(uint32_t *)rv_wire_member(m, f->quantifier_offset) = f->id;
    } else if (f->label == PROTOBUF_C_LABEL_OPTIONAL && !rv_wire_is_pointer(f)) {
        *(protobuf_c_boolean *)rv_wire_member(m, f->quantifier_offset) = 1;
    }
    mark(m, f, true);
}

void rv_wire_append(struct rv_wire_in *in, ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                    const union rv_wire_value *v) {
    size_t size = rv_wire_element_size(f->type);
    size_t *n = rv_wire_count_of(m, f);
    char **items = (char **)rv_wire_member(m, f->offset);
    if ((*n & (*n - 1)) == 0) {
        char *grown = (char *)rv_arena_alloc(in->arena, (*n ? *n * 2 : 1) * size);
        if (*n > 0) {
            memcpy(grown, *items, *n * size);
        }
        *items = grown;
    }
    memcpy(*items + *n * size, v, size);
    (*n)++;
}

void rv_wire_clear(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f) {
    void *member = rv_wire_member(m, f->offset);
    mark(m, f, false);
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        *rv_wire_count_of(m, f) = 0;
        *(void **)member = NULL;
        return;
    }
    if (rv_wire_is_oneof(f)) {
        uint32_t *which = (uint32_t *)rv_wire_member(m, f->quantifier_offset);
        if (*which != f->id) {
            return;
        }
        *which = 0;
    } else if (f->label == PROTOBUF_C_LABEL_OPTIONAL && !rv_wire_is_pointer(f)) {
        *(protobuf_c_boolean *)rv_wire_member(m, f->quantifier_offset) = 0;
    }
    if (f->type == PROTOBUF_C_TYPE_STRING) {
        memcpy(member, &f->default_value, sizeof(void *));
    } else if (f->type != PROTOBUF_C_TYPE_MESSAGE && f->default_value) {
        memcpy(member, f->default_value, rv_wire_element_size(f->type));
    } else {
        memset(member, 0, rv_wire_element_size(f->type));
    }
}

bool rv_wire_is_map(const ProtobufCFieldDescriptor *f) {
    if (f->type != PROTOBUF_C_TYPE_MESSAGE || f->label != PROTOBUF_C_LABEL_REPEATED) {
        return false;
    }
    const ProtobufCMessageDescriptor *type = (const ProtobufCMessageDescriptor *)f->descriptor;
    if (type->n_fields != 2 || strcmp(type->fields[0].name, "key") != 0 ||
        strcmp(type->fields[1].name, "value") != 0) {
        return false;
    }
    /* The compiler makes the name of the entry from the name of the field. */
    const char *s = type->short_name;
    bool upper = true;
    for (const char *p = f->name; *p; p++) {
        if (*p == '_') {
            upper = true;
            continue;
        }
        if (*s++ != (upper && *p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p)) {
            return false;
        }
        upper = false;
    }
    return strcmp(s, "Entry") == 0;
}

size_t rv_wire_utf8_next(const char *s, size_t n, uint32_t *code) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)s;
    size_t size = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (size == 0 || size > n || p[0] > 0xf4) {
        return 0;
    }
    uint32_t c = size == 1 ? p[0] : p[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[size] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
        return 0;
    }
    *code = c;
    return size;
}

bool rv_wire_utf8_valid(const char *s, size_t n) {
    size_t i = 0;
    while (i < n) {
        uint64_t eight;
        if (n - i >= sizeof eight) {
            memcpy(&eight, s + i, sizeof eight);
            if (!(eight & UINT64_C(0x8080808080808080))) {
                i += sizeof eight;
                continue;
            }
        }
        uint32_t code;
        size_t size = rv_wire_utf8_next(s + i, n - i, &code);
        if (size == 0) {
            return false;
        }
        i += size;
    }
    return true;
}
