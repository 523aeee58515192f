/*
 * JSON to a tree, in one pass over the bytes and without a tree of JSON values between: what is not
 * in the descriptors costs no memory, integers keep all 64 bits, and errors know the field.
 *
 * The grammar is RFC 8259's, to the letter; the leniency of codec.h is in what a value may be for a
 * field. A field that comes twice: the last one counts.
 */
#include <float.h>
#include <math.h>

#include "wire/tree.h"

struct json_in {
    struct rv_wire_in *in;
    const char *start, *p, *end;
    unsigned depth;
};

static int bad(struct json_in *j, const struct rv_wire_path *path, const char *what) {
    return rv_wire_fail(j->in, RV_ERR_INVALID, path, "%s at byte %zu", what,
                        (size_t)(j->p - j->start));
}

static void blanks(struct json_in *j) {
    while (j->p < j->end && (*j->p == ' ' || *j->p == '\n' || *j->p == '\t' || *j->p == '\r')) {
        j->p++;
    }
}

static bool at(const struct json_in *j, char c) {
    return j->p < j->end && *j->p == c;
}

static bool literal(struct json_in *j, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(j->end - j->p) < n || memcmp(j->p, word, n) != 0) {
        return false;
    }
    j->p += n;
    return true;
}

static int enter(struct json_in *j, const struct rv_wire_path *path) {
    j->p++;
    if (++j->depth > j->in->limits->max_depth) {
        return rv_wire_fail(j->in, RV_ERR_LIMIT, path, "nested deeper than %u",
                            j->in->limits->max_depth);
    }
    return 0;
}

/* After '[' or '{' and after each item: 1 if an item follows, 0 if the end was read. */
static int next_item(struct json_in *j, const struct rv_wire_path *path, char close, bool first) {
    blanks(j);
    if (at(j, close)) {
        j->p++;
        j->depth--;
        return 0;
    }
    if (!first) {
        if (!at(j, ',')) {
            return bad(j, path, close == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
        }
        j->p++;
        blanks(j);
    }
    int r = rv_wire_count(j->in, path);
    return r < 0 ? r : 1;
}

/* 0 plain, 1 quote, 2 backslash, 3 control, 4 not ASCII */
static unsigned char_class(char c) {
    unsigned char u = (unsigned char)c;
    return u >= 0x80 ? 4 : u < 0x20 ? 3 : u == '"' ? 1 : u == '\\' ? 2 : 0;
}

static bool hex4(const char *s, const char *end, uint32_t *out) {
    uint32_t v = 0;
    if (end - s < 4) {
        return false;
    }
    for (int i = 0; i < 4; i++) {
        unsigned c = (unsigned char)s[i], lower = c | 0x20;
        unsigned digit = c - '0' < 10 ? c - '0' : lower - 'a' < 6 ? lower - 'a' + 10 : 16;
        if (digit > 15) {
            return false;
        }
        v = v << 4 | digit;
    }
    *out = v;
    return true;
}

static size_t put_utf8(char *out, uint32_t c) {
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1;) {
        out[i] = (char)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    out[0] = (char)(lead[n] | c);
    return n;
}

/* One escape, after its backslash. Returns the bytes written to out (at most 4), 0 if malformed. */
static size_t unescape_one(struct json_in *j, char *out) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    char c = j->p < j->end ? *j->p++ : '\0';
    const char *which = c ? strchr(names, c) : NULL;
    if (which) {
        *out = values[which - names];
        return 1;
    }
    uint32_t code, low;
    if (c != 'u' || !hex4(j->p, j->end, &code)) {
        return 0;
    }
    j->p += 4;
    if (code >= 0xd800 && code < 0xdc00) {
        if (j->end - j->p < 6 || j->p[0] != '\\' || j->p[1] != 'u' ||
            !hex4(j->p + 2, j->end, &low) || low < 0xdc00 || low > 0xdfff) {
            return 0;
        }
        j->p += 6;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
        return 0;
    }
    return put_utf8(out, code);
}

/* A string at its opening quote. *out is a slice of the input, or of the arena if there are
 * escapes; with keep NULL an escaped string is only checked, and *out is empty. */
static int read_string(struct json_in *j, const struct rv_wire_path *path, struct rv_arena *keep,
                       struct rv_str *out) {
    const char *from = ++j->p;
    unsigned seen = 0;
    for (;; j->p++) {
        if (j->p == j->end) {
            return bad(j, path, "unfinished string");
        }
        unsigned class = char_class(*j->p);
        if (class == 1) {
            break;
        }
        if (class == 3) {
            return bad(j, path, "control character in a string");
        }
        seen |= 1u << class;
        if (class == 2 && ++j->p == j->end) {
            return bad(j, path, "unfinished string");
        }
    }
    const char *end = j->p;
    if (seen & 1u << 4 && !rv_wire_utf8_valid(from, (size_t)(end - from))) {
        return bad(j, path, "malformed UTF-8");
    }
    *out = rv_strn(from, (size_t)(end - from));
    if (seen & 1u << 2) {
        /* An escape is never shorter than what it stands for. */
        char *text = keep ? (char *)rv_arena_alloc(keep, (size_t)(end - from) + 1) : NULL;
        size_t n = 0;
        for (j->p = from; j->p < end;) {
            char one[4];
            size_t size = 1;
            one[0] = *j->p++;
            if (one[0] == '\\' && (size = unescape_one(j, one)) == 0) {
                return bad(j, path, "bad escape");
            }
            if (text) {
                memcpy(text + n, one, size);
                n += size;
            }
        }
        *out = rv_strn(text, n);
    }
    j->p = end + 1;
    return 0;
}

/* The name and the colon; `keep` as for a string. */
static int read_name(struct json_in *j, const struct rv_wire_path *path, struct rv_arena *keep,
                     struct rv_str *name) {
    if (!at(j, '"')) {
        return bad(j, path, "expected a name");
    }
    int r = read_string(j, path, keep, name);
    if (r < 0) {
        return r;
    }
    blanks(j);
    if (!at(j, ':')) {
        return bad(j, path, "expected ':'");
    }
    j->p++;
    blanks(j);
    return 0;
}

static int skip_value(struct json_in *j, const struct rv_wire_path *path);

static int skip_items(struct json_in *j, const struct rv_wire_path *path, char close) {
    int r = enter(j, path);
    for (bool first = true; r == 0; first = false) {
        r = next_item(j, path, close, first);
        if (r <= 0) {
            return r;
        }
        struct rv_str name;
        if (close == '}' && (r = read_name(j, path, NULL, &name)) < 0) {
            return r;
        }
        r = skip_value(j, path);
    }
    return r;
}

/* A value nobody asked for; it must be JSON all the same. Recursion is bounded by max_depth. */
static int skip_value(struct json_in *j, const struct rv_wire_path *path) {
    struct rv_str text;
    if (at(j, '{')) {
        return skip_items(j, path, '}');
    }
    if (at(j, '[')) {
        return skip_items(j, path, ']');
    }
    if (at(j, '"')) {
        return read_string(j, path, NULL, &text);
    }
    if (literal(j, "null") || literal(j, "true") || literal(j, "false")) {
        return 0;
    }
    size_t n = rv_wire_scan_number(j->p, (size_t)(j->end - j->p));
    if (n == 0) {
        return bad(j, path, "expected a value");
    }
    j->p += n;
    return 0;
}

static int set_integer(struct json_in *j, const struct rv_wire_path *path, ProtobufCType type,
                       struct rv_str text, union rv_wire_value *v) {
    bool negative;
    uint64_t magnitude;
    uint64_t most = UINT64_MAX, least = 0;
    switch (type) {
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        most = UINT32_MAX;
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        most = INT64_MAX;
        least = (uint64_t)1 << 63;
        break;
    default:
        most = INT32_MAX;
        least = (uint64_t)1 << 31;
    }
    if (!rv_wire_read_integer(text, &negative, &magnitude)) {
        return rv_wire_fail(j->in, RV_ERR_INVALID, path, "not a 64-bit integer");
    }
    if (magnitude > (negative ? least : most)) {
        return rv_wire_fail(j->in, RV_ERR_INVALID, path, "out of range");
    }
    if (rv_wire_element_size(type) == sizeof(uint64_t)) {
        v->u64 = negative ? -magnitude : magnitude;
    } else {
        v->u32 = (uint32_t)(negative ? -magnitude : magnitude);
    }
    return 0;
}

static int set_real(struct json_in *j, const struct rv_wire_path *path, ProtobufCType type,
                    struct rv_str text, bool quoted, union rv_wire_value *v) {
    double d;
    if (quoted && rv_str_eq(text, RV_STR("Infinity"))) {
        d = INFINITY;
    } else if (quoted && rv_str_eq(text, RV_STR("-Infinity"))) {
        d = -INFINITY;
    } else if (quoted && rv_str_eq(text, RV_STR("NaN"))) {
        d = NAN;
    } else {
        if (text.n == 0 || rv_wire_scan_number(text.s, text.n) != text.n) {
            return rv_wire_fail(j->in, RV_ERR_INVALID, path, "not a number");
        }
        if (!rv_wire_read_double(text, &d) ||
            (type == PROTOBUF_C_TYPE_FLOAT && fabs(d) > (double)FLT_MAX)) {
            return rv_wire_fail(j->in, RV_ERR_INVALID, path, "out of range");
        }
    }
    if (type == PROTOBUF_C_TYPE_FLOAT) {
        v->f = (float)d;
    } else {
        v->d = d;
    }
    return 0;
}

/* Returns 1 if the value is to be left out: an enum value of a newer peer. */
static int set_enum(struct json_in *j, const struct rv_wire_path *path, struct rv_str text,
                    bool quoted, union rv_wire_value *v) {
    const ProtobufCFieldDescriptor *f = path->field;
    const ProtobufCEnumDescriptor *type = (const ProtobufCEnumDescriptor *)f->descriptor;
    const ProtobufCEnumValue *value = NULL;
    bool number = text.n > 0 && rv_wire_scan_number(text.s, text.n) == text.n;
    bool tolerant = false;
    if (number) {
        if (set_integer(j, path, PROTOBUF_C_TYPE_INT32, text, v) < 0) {
            return -RV_ERR_INVALID;
        }
        value = protobuf_c_enum_descriptor_get_value(type, v->i32);
    }
    for (unsigned i = 0; i < type->n_value_names; i++) {
        const char *name = type->values_by_name[i].name;
        tolerant = tolerant || strcmp(name, "UNKNOWN") == 0;
        if (!number && quoted && rv_str_eq(rv_str(name), text)) {
            value = &type->values[type->values_by_name[i].index];
        }
    }
    if (value) {
        v->i32 = value->value;
        return 0;
    }
    if (tolerant && f->label != PROTOBUF_C_LABEL_REQUIRED) {
        return 1;
    }
    /* The name without the package: "Call.Type". */
    const char *name = type->name + strlen(type->package_name);
    return rv_wire_fail(j->in, RV_ERR_INVALID, path, "unknown value \"%.*s\" of %s",
                        (int)RV_MIN(text.n, 64u), text.s, name + (*name == '.'));
}

static int set_text(struct json_in *j, const struct rv_wire_path *path, struct rv_str text,
                    union rv_wire_value *v) {
    if (path->field->type == PROTOBUF_C_TYPE_STRING) {
        if (memchr(text.s, '\0', text.n)) {
            return rv_wire_fail(j->in, RV_ERR_INVALID, path, "holds a NUL");
        }
        v->string = rv_arena_strndup(j->in->arena, text.s, text.n);
        return 0;
    }
    uint8_t *data = (uint8_t *)rv_arena_alloc(j->in->arena, text.n / 4 * 3 + 3);
    long n = rv_base64_decode(text.s, text.n, data);
    if (n < 0) {
        return rv_wire_fail(j->in, RV_ERR_INVALID, path, "not base64");
    }
    v->bytes = (ProtobufCBinaryData){(size_t)n, data};
    return 0;
}

/* A scalar from its text, which was in quotes or not. As set_enum. */
static int set_scalar(struct json_in *j, const struct rv_wire_path *path, struct rv_str text,
                      bool quoted, union rv_wire_value *v) {
    ProtobufCType type = path->field->type;
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
        return quoted ? set_text(j, path, text, v)
                      : rv_wire_fail(j->in, RV_ERR_INVALID, path, "not a string");
    case PROTOBUF_C_TYPE_ENUM:
        return set_enum(j, path, text, quoted, v);
    case PROTOBUF_C_TYPE_BOOL:
        v->boolean = rv_str_eq(text, RV_STR("true"));
        return v->boolean || rv_str_eq(text, RV_STR("false"))
                   ? 0
                   : rv_wire_fail(j->in, RV_ERR_INVALID, path, "not a boolean");
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return set_real(j, path, type, text, quoted, v);
    default:
        return text.n > 0 && rv_wire_scan_number(text.s, text.n) == text.n
                   ? set_integer(j, path, type, text, v)
                   : rv_wire_fail(j->in, RV_ERR_INVALID, path, "not a number");
    }
}

static int read_message(struct json_in *j, const ProtobufCMessageDescriptor *type,
                        const struct rv_wire_path *path, ProtobufCMessage **out);

/* One value of the field's type, not null. As set_enum. */
static int read_single(struct json_in *j, const struct rv_wire_path *path, union rv_wire_value *v) {
    const ProtobufCFieldDescriptor *f = path->field;
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        return read_message(j, (const ProtobufCMessageDescriptor *)f->descriptor, path,
                            &v->message);
    }
    if (at(j, '"')) {
        struct rv_str text;
        int r = read_string(j, path, j->in->arena, &text);
        return r < 0 ? r : set_scalar(j, path, text, true, v);
    }
    if (at(j, '{') || at(j, '[')) {
        return bad(j, path, "expected a single value");
    }
    const char *from = j->p;
    if (!literal(j, "true") && !literal(j, "false")) {
        size_t n = rv_wire_scan_number(from, (size_t)(j->end - from));
        if (n == 0) {
            return bad(j, path, "expected a value");
        }
        j->p += n;
    }
    return set_scalar(j, path, rv_strn(from, (size_t)(j->p - from)), false, v);
}

static int read_array(struct json_in *j, ProtobufCMessage *m, struct rv_wire_path *path) {
    if (!at(j, '[')) {
        return bad(j, path, "expected an array");
    }
    int r = enter(j, path);
    for (bool first = true; r >= 0; first = false) {
        r = next_item(j, path, ']', first);
        if (r <= 0) {
            return r;
        }
        if (literal(j, "null")) {
            r = 0;
            continue;
        }
        path->index = *rv_wire_count_of(m, path->field);
        union rv_wire_value v;
        r = read_single(j, path, &v);
        if (r == 0) {
            rv_wire_append(j->in, m, path->field, &v);
        }
        path->index = RV_WIRE_NO_INDEX;
    }
    return r;
}

static int read_map(struct json_in *j, ProtobufCMessage *m, struct rv_wire_path *path) {
    const ProtobufCMessageDescriptor *type =
        (const ProtobufCMessageDescriptor *)path->field->descriptor;
    if (!at(j, '{')) {
        return bad(j, path, "expected an object");
    }
    j->in->maps = true;
    int r = enter(j, path);
    for (bool first = true; r >= 0; first = false) {
        r = next_item(j, path, '}', first);
        if (r <= 0) {
            return r;
        }
        path->index = *rv_wire_count_of(m, path->field);
        struct rv_wire_path key_at = {path, &type->fields[0], RV_WIRE_NO_INDEX};
        struct rv_wire_path value_at = {path, &type->fields[1], RV_WIRE_NO_INDEX};
        union rv_wire_value key, value, entry = {.message = rv_wire_new(j->in, type)};
        struct rv_str name;
        if ((r = read_name(j, &key_at, j->in->arena, &name)) < 0 ||
            (r = set_scalar(j, &key_at, name, true, &key)) < 0) {
            return r;
        }
        int left_out = r;
        if (literal(j, "null")) {
            left_out = 1;
        } else if ((r = read_single(j, &value_at, &value)) < 0) {
            return r;
        } else if (r > 0) {
            left_out = 1;
        }
        r = 0;
        if (!left_out) {
            rv_wire_set(entry.message, &type->fields[0], &key);
            rv_wire_set(entry.message, &type->fields[1], &value);
            rv_wire_append(j->in, m, path->field, &entry);
        }
        path->index = RV_WIRE_NO_INDEX;
    }
    return r;
}

static int read_field(struct json_in *j, ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                      const struct rv_wire_path *up) {
    struct rv_wire_path path = {up, f, RV_WIRE_NO_INDEX};
    if (literal(j, "null")) {
        rv_wire_clear(m, f);
        return 0;
    }
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        rv_wire_clear(m, f);
        return rv_wire_is_map(f) ? read_map(j, m, &path) : read_array(j, m, &path);
    }
    union rv_wire_value v;
    int r = read_single(j, &path, &v);
    if (r == 0) {
        rv_wire_set(m, f, &v);
    } else if (r > 0) {
        rv_wire_clear(m, f);
    }
    return RV_MIN(r, 0);
}

/* Writers keep to the order of the fields mostly: *hint is where the last one was found. */
static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type,
                                                  struct rv_str name, unsigned *hint) {
    for (unsigned i = *hint; i < type->n_fields && i < *hint + 2; i++) {
        if (rv_str_eq(rv_str(type->fields[i].name), name)) {
            *hint = i + 1;
            return &type->fields[i];
        }
    }
    unsigned low = 0, high = type->n_fields;
    while (low < high) {
        unsigned middle = (low + high) / 2, i = type->fields_sorted_by_name[middle];
        struct rv_str other = rv_str(type->fields[i].name);
        int c = memcmp(name.s, other.s, RV_MIN(name.n, other.n));
        if (c == 0) {
            c = (name.n > other.n) - (name.n < other.n);
        }
        if (c == 0) {
            *hint = i + 1;
            return &type->fields[i];
        }
        if (c < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

static int read_message(struct json_in *j, const ProtobufCMessageDescriptor *type,
                        const struct rv_wire_path *path, ProtobufCMessage **out) {
    if (!at(j, '{')) {
        return bad(j, path, "expected an object");
    }
    ProtobufCMessage *m = rv_wire_new(j->in, type);
    unsigned hint = 0;
    int r = enter(j, path);
    for (bool first = true; r == 0; first = false) {
        r = next_item(j, path, '}', first);
        if (r < 0) {
            return r;
        }
        if (r == 0) {
            rv_wire_piece_done(j->in, m);
            *out = m;
            return 0;
        }
        struct rv_str name;
        if ((r = read_name(j, path, j->in->arena, &name)) < 0) {
            return r;
        }
        const ProtobufCFieldDescriptor *f = find_field(type, name, &hint);
        r = f ? read_field(j, m, f, path) : skip_value(j, path);
    }
    return r;
}

int rv_wire_json_in(struct rv_wire_in *in, const ProtobufCMessageDescriptor *type,
                    struct rv_str bytes, ProtobufCMessage **out) {
    const char *text = bytes.s ? bytes.s : ""; // an empty body has no address to count from
    struct json_in j = {in, text, text, text + bytes.n, 0};
    ProtobufCMessage *m;
    blanks(&j);
    int r = read_message(&j, type, NULL, &m);
    if (r < 0) {
        return r;
    }
    blanks(&j);
    if (j.p != j.end) {
        return bad(&j, NULL, "something follows the message");
    }
    if ((r = rv_wire_finish(in, m)) == 0) {
        *out = m;
    }
    return r;
}
