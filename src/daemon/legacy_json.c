/*
 * The writer of legacy JSON and the shapes that master and agent share. Text goes straight into the
 * buffer. Messages that a framework sent packed are looked through by their tags; only the parts
 * that are shown are decoded.
 */
#include "daemon/legacy_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "reeve/v1/v1.pb-c.h"
#include "wire/codec.h"
#include "wire/convert.h"

/* Field numbers of the messages that stay packed (proto/reeve/v1/v1.proto). */
enum {
    TASK_EXECUTOR = 5,
    TASK_COMMAND = 7,
    TASK_CONTAINER = 9,
    TASK_LABELS = 10,
    TASK_DISCOVERY = 11,
    COMMAND_USER = 5,
    EXECUTOR_COMMAND = 7,
    EXECUTOR_NAME = 9,
    EXECUTOR_LABELS = 14,
    EXECUTOR_TYPE = 15,
    TASK_LIMITS = 15,
    LIMIT_KEY = 1,
    LIMIT_VALUE = 2,
    FRAMEWORK_LABELS = 11,
    LABELS_LABELS = 1,
    LABEL_KEY = 1,
    LABEL_VALUE = 2,
    STATUS_LABELS = 12,
    STATUS_CONTAINER_STATUS = 13,
};

/* --- the writer --- */

/* The next character of UTF-8 at s: its size, 1 and U+FFFD if it is none. */
static size_t next_character(const unsigned char *s, size_t n, uint32_t *code) {
    size_t size = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

    *code = 0xfffd;
    if (!size || s[0] > 0xf4 || size > n)
        return 1;
    uint32_t c = size == 1 ? s[0] : s[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 1;
        c = c << 6 | (s[i] & 0x3fu);
    }
    if (c < least[size] || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
        return 1;
    *code = c;
    return size;
}

static void put_char(struct rv_buf *b, char c) {
    if (b->cap - b->n < 2)
        rv_buf_reserve(b, 1);
    b->data[b->n++] = c;
    b->data[b->n] = 0;
}

static void put_unit(struct rv_buf *b, uint32_t unit) {
    static const char digits[] = "0123456789abcdef";
    char text[6] = {'\\',
                    'u',
                    digits[unit >> 12 & 15],
                    digits[unit >> 8 & 15],
                    digits[unit >> 4 & 15],
                    digits[unit & 15]};

    rv_buf_append(b, text, sizeof text);
}

static void put_escaped(struct rv_buf *b, uint32_t c) {
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *at = c && c < 0x80 ? strchr(plain, (int)c) : NULL;

    if (at) {
        put_char(b, '\\');
        put_char(b, letters[at - plain]);
    } else if (c >= 0x10000) {
        put_unit(b, 0xd800 + ((c - 0x10000) >> 10));
        put_unit(b, 0xdc00 + ((c - 0x10000) & 0x3ff));
    } else {
        put_unit(b, c);
    }
}

/* Whether one of eight bytes is a control character, a quote, a backslash or not ASCII. */
static bool any_special(uint64_t eight) {
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones * 0x80;
    uint64_t quote = eight ^ ones * '"', backslash = eight ^ ones * '\\', del = eight ^ ones * 0x7f;

    return ((eight | (eight - ones * 0x20) | (quote - ones) | (backslash - ones) | (del - ones)) &
            high) != 0;
}

/* How many bytes from p on stand for themselves. */
static size_t plain_length(const char *p, size_t n) {
    size_t i = 0;

    for (uint64_t eight; n - i >= sizeof eight; i += sizeof eight) {
        memcpy(&eight, p + i, sizeof eight);
        if (any_special(eight))
            break;
    }
    while (i < n && p[i] >= 0x20 && p[i] < 0x7f && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}

static void put_text(struct rv_buf *b, struct rv_str s) {
    size_t plain = plain_length(s.s, s.n);

    rv_buf_reserve(b, s.n + 3);
    b->data[b->n] = '"';
    if (plain)
        memcpy(b->data + b->n + 1, s.s, plain);
    b->n += plain + 1;
    for (size_t i = plain; i < s.n;) {
        uint32_t c;
        i += next_character((const unsigned char *)s.s + i, s.n - i, &c);
        put_escaped(b, c);
        plain = plain_length(s.s + i, s.n - i);
        rv_buf_append(b, s.s + i, plain);
        i += plain;
    }
    put_char(b, '"');
}

/* The comma and the key. Keys are mostly our own words; roles and names of resources are not. */
static void begin_value(struct rv_json *j, const char *key) {
    struct rv_buf *b = j->out;

    if (j->more)
        put_char(b, ',');
    j->more = true;
    if (!key)
        return;
    put_text(b, rv_str(key));
    put_char(b, ':');
}

void rv_json_object(struct rv_json *j, const char *key) {
    begin_value(j, key);
    put_char(j->out, '{');
    j->more = false;
}

void rv_json_object_end(struct rv_json *j) {
    put_char(j->out, '}');
    j->more = true;
}

void rv_json_array(struct rv_json *j, const char *key) {
    begin_value(j, key);
    put_char(j->out, '[');
    j->more = false;
}

void rv_json_array_end(struct rv_json *j) {
    put_char(j->out, ']');
    j->more = true;
}

void rv_json_string(struct rv_json *j, const char *key, const char *s) {
    begin_value(j, key);
    put_text(j->out, rv_str(s ? s : ""));
}

void rv_json_bytes(struct rv_json *j, const char *key, struct rv_str s) {
    begin_value(j, key);
    put_text(j->out, s);
}

void rv_json_bool(struct rv_json *j, const char *key, bool b) {
    begin_value(j, key);
    rv_buf_puts(j->out, b ? "true" : "false");
}

void rv_json_int(struct rv_json *j, const char *key, int64_t v) {
    begin_value(j, key);
    rv_buf_put_i64(j->out, v);
}

void rv_json_double(struct rv_json *j, const char *key, double v) {
    char text[40];

    begin_value(j, key);
    if (!isfinite(v)) {
        rv_buf_puts(j->out, "null");
        return;
    }
    int n = snprintf(text, sizeof text, "%.15g", v);
    if (strtod(text, NULL) != v)
        n = snprintf(text, sizeof text, "%.17g", v);
    rv_buf_append(j->out, text, (size_t)n);
    if (!strpbrk(text, ".e"))
        rv_buf_puts(j->out, ".0");
}

/* v / 10^digits with at least one digit after the point. */
static void put_fixed(struct rv_buf *b, int64_t v, unsigned digits) {
    char fraction[20];
    uint64_t magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v, unit = 1;

    for (unsigned i = 0; i < digits; i++)
        unit *= 10;
    if (v < 0)
        put_char(b, '-');
    rv_buf_put_u64(b, magnitude / unit);
    uint64_t rest = magnitude % unit;
    for (unsigned i = digits; i-- > 0; rest /= 10)
        fraction[i] = (char)('0' + rest % 10);
    while (digits > 1 && fraction[digits - 1] == '0')
        digits--;
    put_char(b, '.');
    rv_buf_append(b, fraction, digits);
}

void rv_json_thousandths(struct rv_json *j, const char *key, int64_t v) {
    begin_value(j, key);
    put_fixed(j->out, v, 3);
}

void rv_json_seconds(struct rv_json *j, const char *key, int64_t ns) {
    begin_value(j, key);
    put_fixed(j->out, ns / 1000, 6);
}

void rv_json_message(struct rv_json *j, const char *key, const ProtobufCMessage *m) {
    begin_value(j, key);
    rv_wire_encode(m, RV_ENC_JSON, j->out);
}

void rv_json_packed(struct rv_json *j, const char *key, const ProtobufCMessageDescriptor *type,
                    struct rv_str bytes, struct rv_arena *scratch) {
    ProtobufCMessage *m;

    if (!rv_wire_decode(type, RV_ENC_PROTOBUF, bytes, NULL, scratch, &m, NULL)) {
        rv_json_message(j, key, m);
        return;
    }
    begin_value(j, key);
    rv_buf_puts(j->out, "{}");
}

/* --- packed messages --- */

static bool get_varint(struct rv_str *rest, uint64_t *out) {
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64 && rest->n; shift += 7) {
        unsigned char c = (unsigned char)*rest->s;
        rest->s++, rest->n--;
        v |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80)) {
            *out = v;
            return true;
        }
    }
    return false;
}

bool rv_packed_next(struct rv_str *rest, struct rv_packed_field *out) {
    uint64_t tag, size;

    if (!get_varint(rest, &tag) || tag >> 3 == 0 || tag >> 35)
        return false;
    *out = (struct rv_packed_field){.number = (uint32_t)(tag >> 3), .wire = (unsigned)(tag & 7)};
    switch (out->wire) {
    case 0:
        return get_varint(rest, &out->value);
    case 1:
    case 5:
        size = out->wire == 1 ? 8 : 4;
        if (rest->n < size)
            return false;
        memcpy(&out->value, rest->s, size); /* little-endian, as our machines */
        break;
    case 2:
        if (!get_varint(rest, &size) || rest->n < size)
            return false;
        out->bytes = rv_strn(rest->s, size);
        break;
    default:
        return false;
    }
    rest->s += size;
    rest->n -= size;
    return true;
}

struct rv_str rv_packed_bytes(struct rv_str packed, uint32_t number) {
    struct rv_str found = {NULL, 0};
    struct rv_packed_field f;

    while (rv_packed_next(&packed, &f))
        if (f.number == number && f.wire == 2)
            found = f.bytes;
    return found;
}

void rv_packed_put(struct rv_buf *out, uint32_t number, struct rv_str bytes) {
    uint64_t key[] = {(uint64_t)number << 3 | 2, bytes.n};

    for (size_t i = 0; i < RV_COUNT(key); i++) {
        for (; key[i] >= 0x80; key[i] >>= 7)
            rv_buf_putc(out, (char)(key[i] | 0x80));
        rv_buf_putc(out, (char)key[i]);
    }
    rv_buf_append(out, bytes.s, bytes.n);
}

/* --- resources and attributes --- */

/* "[1-2, 5-9]" and "{a, b}": with blanks, as readers of these endpoints know them. */

static void format_ranges(const struct rv_ranges *r, struct rv_buf *out) {
    put_char(out, '[');
    for (size_t i = 0; i < r->n; i++) {
        if (i)
            rv_buf_puts(out, ", ");
        rv_buf_put_u64(out, r->v[i].begin);
        put_char(out, '-');
        rv_buf_put_u64(out, r->v[i].end);
    }
    put_char(out, ']');
}

static void format_set(const struct rv_set *s, struct rv_buf *out) {
    put_char(out, '{');
    for (size_t i = 0; i < s->n; i++) {
        if (i)
            rv_buf_puts(out, ", ");
        rv_buf_puts(out, s->v[i]);
    }
    put_char(out, '}');
}

static bool adds_up(const struct rv_resource *a, const struct rv_resource *b) {
    return a->kind->type == b->kind->type && a->kind->revocable == b->kind->revocable &&
           rv_streq(a->kind->name, b->kind->name);
}

static int64_t scalar_sum(const struct rv_resources *r, const char *name) {
    int64_t sum = 0;

    for (size_t i = 0; i < r->n; i++)
        if (r->v[i].kind->type == RV_SCALAR && !r->v[i].kind->revocable &&
            rv_streq(r->v[i].kind->name, name))
            sum += r->v[i].scalar;
    return sum;
}

/* The resource at `at` and all after it that add up with it. */
static void put_sum(struct rv_json *j, const char *key, const struct rv_resources *r, size_t at) {
    struct rv_resource sum = rv_resource_copy(&r->v[at]);
    _cleanup_(rv_buf_free) struct rv_buf text = {0};

    for (size_t i = at + 1; i < r->n; i++) {
        if (!adds_up(&sum, &r->v[i]))
            continue;
        if (sum.kind->type == RV_SCALAR)
            sum.scalar += r->v[i].scalar;
        else if (sum.kind->type == RV_RANGES)
            rv_ranges_add(&sum.ranges, &r->v[i].ranges);
        else
            rv_set_add(&sum.set, &r->v[i].set);
    }
    if (sum.kind->type == RV_SCALAR) {
        rv_json_thousandths(j, key, sum.scalar);
    } else {
        if (sum.kind->type == RV_RANGES)
            format_ranges(&sum.ranges, &text);
        else
            format_set(&sum.set, &text);
        rv_json_bytes(j, key, rv_buf_str(&text));
    }
    rv_resource_clear(&sum);
}

void rv_json_resources(struct rv_json *j, const char *key, const struct rv_resources *r) {
    static const char *const always[] = {"cpus", "disk", "gpus", "mem"};

    rv_json_object(j, key);
    for (size_t i = 0; i < RV_COUNT(always); i++) {
        int64_t sum = scalar_sum(r, always[i]);
        if (sum)
            rv_json_thousandths(j, always[i], sum);
        else
            rv_json_int(j, always[i], 0);
    }
    for (size_t i = 0; i < r->n; i++) {
        const struct rv_kind *kind = r->v[i].kind;
        bool done = false;
        for (size_t k = 0; k < RV_COUNT(always) && !done; k++)
            done = kind->type == RV_SCALAR && !kind->revocable && rv_streq(kind->name, always[k]);
        for (size_t k = 0; k < i && !done; k++)
            done = adds_up(&r->v[k], &r->v[i]);
        if (done)
            continue;
        _cleanup_free_ char *name =
            kind->revocable ? rv_asprintf("%s_revocable", kind->name) : NULL;
        put_sum(j, name ? name : kind->name, r, i);
    }
    rv_json_object_end(j);
}

void rv_json_resources_full(struct rv_json *j, const char *key, const struct rv_resources *r,
                            struct rv_arena *scratch) {
    Reeve__V1__Resource **v;
    size_t n;

    rv_wire_resources_to(r, RV_SHAPE_ENDPOINT, true, scratch, &v, &n);
    rv_json_array(j, key);
    for (size_t i = 0; i < n; i++)
        rv_json_message(j, NULL, &v[i]->base);
    rv_json_array_end(j);
}

static bool is_reserved_to(const struct rv_kind *k, const void *role) {
    return rv_kind_is_reserved(k) && rv_streq(rv_kind_reserved_role(k), role);
}

static bool is_unreserved(const struct rv_kind *k, const void *unused) {
    (void)unused;
    return !rv_kind_is_reserved(k);
}

static bool none_reserved(const struct rv_resources *r) {
    for (size_t i = 0; i < r->n; i++)
        if (rv_kind_is_reserved(r->v[i].kind))
            return false;
    return true;
}

/* scratch NULL: sums, else in full. */
static void put_reserved(struct rv_json *j, const char *key, const struct rv_resources *r,
                         struct rv_arena *scratch) {
    rv_json_object(j, key);
    for (size_t i = 0; i < r->n; i++) {
        const char *role = rv_kind_reserved_role(r->v[i].kind);
        bool done = !rv_kind_is_reserved(r->v[i].kind);
        for (size_t k = 0; k < i && !done; k++)
            done = is_reserved_to(r->v[k].kind, role);
        if (done)
            continue;
        _cleanup_(rv_resources_free) struct rv_resources of = {0};
        rv_resources_filter(&of, r, is_reserved_to, role);
        if (scratch)
            rv_json_resources_full(j, role, &of, scratch);
        else
            rv_json_resources(j, role, &of);
    }
    rv_json_object_end(j);
}

void rv_json_reserved(struct rv_json *j, const char *key, const struct rv_resources *r) {
    put_reserved(j, key, r, NULL);
}

void rv_json_reserved_full(struct rv_json *j, const char *key, const struct rv_resources *r,
                           struct rv_arena *scratch) {
    put_reserved(j, key, r, scratch);
}

void rv_json_unreserved(struct rv_json *j, const char *key, const struct rv_resources *r) {
    _cleanup_(rv_resources_free) struct rv_resources some = {0};

    if (!none_reserved(r))
        rv_resources_filter(&some, r, is_unreserved, NULL);
    rv_json_resources(j, key, none_reserved(r) ? r : &some);
}

void rv_json_unreserved_full(struct rv_json *j, const char *key, const struct rv_resources *r,
                             struct rv_arena *scratch) {
    _cleanup_(rv_resources_free) struct rv_resources some = {0};

    rv_resources_filter(&some, r, is_unreserved, NULL);
    rv_json_resources_full(j, key, &some, scratch);
}

void rv_json_attributes(struct rv_json *j, const char *key,
                        const struct rv_attributes *attributes) {
    _cleanup_(rv_buf_free) struct rv_buf text = {0};

    rv_json_object(j, key);
    for (size_t i = 0; i < attributes->n; i++) {
        const struct rv_attribute *a = &attributes->v[i];
        rv_buf_clear(&text);
        switch (a->type) {
        case RV_SCALAR:
            rv_json_thousandths(j, a->name, a->scalar);
            continue;
        case RV_RANGES:
            format_ranges(&a->ranges, &text);
            break;
        case RV_SET:
            format_set(&a->set, &text);
            break;
        case RV_TEXT:
            rv_buf_puts(&text, a->text);
            break;
        }
        rv_json_bytes(j, a->name, rv_buf_str(&text));
    }
    rv_json_object_end(j);
}

/* --- capabilities, domains --- */

static void put_bits(struct rv_json *j, const char *key, uint32_t bits,
                     const ProtobufCEnumDescriptor *type) {
    rv_json_array(j, key);
    for (int i = 0; i < 32; i++)
        if (bits & 1u << i && rv_wire_enum_name(type, i))
            rv_json_string(j, NULL, rv_wire_enum_name(type, i));
    rv_json_array_end(j);
}

void rv_json_agent_capabilities(struct rv_json *j, const char *key, uint32_t capabilities) {
    put_bits(j, key, capabilities, &reeve__v1__agent_info__capability__type__descriptor);
}

void rv_json_framework_capabilities(struct rv_json *j, const char *key, uint32_t capabilities) {
    put_bits(j, key, capabilities, &reeve__v1__framework_info__capability__type__descriptor);
}

void rv_json_domain(struct rv_json *j, const char *key, const char *region, const char *zone) {
    if (!region && !zone)
        return;
    rv_json_object(j, key);
    rv_json_object(j, "fault_domain");
    rv_json_object(j, "region");
    rv_json_string(j, "name", region);
    rv_json_object_end(j);
    rv_json_object(j, "zone");
    rv_json_string(j, "name", zone);
    rv_json_object_end(j);
    rv_json_object_end(j);
    rv_json_object_end(j);
}

/* --- tasks and executors --- */

/* Packed Labels as an array. */
static void put_labels(struct rv_json *j, const char *key, struct rv_str packed) {
    struct rv_packed_field f;

    rv_json_array(j, key);
    while (rv_packed_next(&packed, &f)) {
        if (f.number != LABELS_LABELS || f.wire != 2)
            continue;
        struct rv_str value = rv_packed_bytes(f.bytes, LABEL_VALUE);
        rv_json_object(j, NULL);
        rv_json_bytes(j, "key", rv_packed_bytes(f.bytes, LABEL_KEY));
        if (value.s)
            rv_json_bytes(j, "value", value);
        rv_json_object_end(j);
    }
    rv_json_array_end(j);
}

static void put_network(struct rv_json *j, const Reeve__V1__NetworkInfo *m) {
    rv_json_object(j, NULL);
    if (m->n_groups) {
        rv_json_array(j, "groups");
        for (size_t i = 0; i < m->n_groups; i++)
            rv_json_string(j, NULL, m->groups[i]);
        rv_json_array_end(j);
    }
    if (m->labels) {
        rv_json_array(j, "labels");
        for (size_t i = 0; i < m->labels->n_labels; i++)
            rv_json_message(j, NULL, &m->labels->labels[i]->base);
        rv_json_array_end(j);
    }
    if (m->n_ip_addresses) {
        rv_json_array(j, "ip_addresses");
        for (size_t i = 0; i < m->n_ip_addresses; i++)
            rv_json_message(j, NULL, &m->ip_addresses[i]->base);
        rv_json_array_end(j);
    }
    if (m->name)
        rv_json_string(j, "name", m->name);
    if (m->n_port_mappings) {
        rv_json_array(j, "port_mappings");
        for (size_t i = 0; i < m->n_port_mappings; i++)
            rv_json_message(j, NULL, &m->port_mappings[i]->base);
        rv_json_array_end(j);
    }
    rv_json_object_end(j);
}

static void put_container_status(struct rv_json *j, struct rv_container_id id, struct rv_str packed,
                                 struct rv_arena *scratch) {
    Reeve__V1__ContainerStatus *m = NULL;
    ProtobufCMessage *tree;

    if (packed.s && !rv_wire_decode(&reeve__v1__container_status__descriptor, RV_ENC_PROTOBUF,
                                    packed, NULL, scratch, &tree, NULL))
        m = (Reeve__V1__ContainerStatus *)tree;
    if (!m && !id.v)
        return;
    rv_json_object(j, "container_status");
    if (id.v && !strchr(id.v, '.')) {
        rv_json_object(j, "container_id");
        rv_json_string(j, "value", id.v);
        rv_json_object_end(j);
    } else if (id.v) {
        rv_json_message(j, "container_id", &rv_wire_container_id_to(id, scratch)->base);
    }
    if (m && m->n_network_infos) {
        rv_json_array(j, "network_infos");
        for (size_t i = 0; i < m->n_network_infos; i++)
            put_network(j, m->network_infos[i]);
        rv_json_array_end(j);
    }
    if (m && m->cgroup_info)
        rv_json_message(j, "cgroup_info", &m->cgroup_info->base);
    rv_json_object_end(j);
}

void rv_json_task_status(struct rv_json *j, const char *key, const struct rv_task_status *s,
                         struct rv_arena *scratch) {
    struct rv_str rest = rv_blob_bytes(s->rest), container = {NULL, 0}, labels = {NULL, 0};
    struct rv_packed_field f;

    while (rest.n && rv_packed_next(&rest, &f)) {
        if (f.number == STATUS_LABELS && f.wire == 2)
            labels = f.bytes;
        else if (f.number == STATUS_CONTAINER_STATUS && f.wire == 2)
            container = f.bytes;
    }
    rv_json_object(j, key);
    rv_json_string(j, "state", rv_task_state_name((int)s->state));
    rv_json_seconds(j, "timestamp", s->timestamp_ns);
    if (labels.s)
        put_labels(j, "labels", labels);
    put_container_status(j, s->container_id, container, scratch);
    if (s->healthy >= 0)
        rv_json_bool(j, "healthy", s->healthy > 0);
    rv_json_object_end(j);
}

/* All that a task shows of its TaskInfo, found in one walk. */
struct task_parts {
    struct rv_str executor, command, container, labels, discovery;
    bool limits;
};

static struct task_parts task_parts(const struct rv_blob *info) {
    struct task_parts parts = {0};
    struct rv_str rest = rv_blob_bytes(info);
    struct rv_packed_field f;

    while (rest.n && rv_packed_next(&rest, &f)) {
        if (f.wire != 2)
            continue;
        switch (f.number) {
        case TASK_EXECUTOR:
            parts.executor = f.bytes;
            break;
        case TASK_COMMAND:
            parts.command = f.bytes;
            break;
        case TASK_CONTAINER:
            parts.container = f.bytes;
            break;
        case TASK_LABELS:
            parts.labels = f.bytes;
            break;
        case TASK_DISCOVERY:
            parts.discovery = f.bytes;
            break;
        case TASK_LIMITS:
            parts.limits = true;
            break;
        default:
            break;
        }
    }
    return parts;
}

static struct rv_str user_of(const struct task_parts *parts) {
    struct rv_str user = {NULL, 0};

    if (parts->command.s)
        user = rv_packed_bytes(parts->command, COMMAND_USER);
    if (!user.s && parts->executor.s)
        user = rv_packed_bytes(rv_packed_bytes(parts->executor, EXECUTOR_COMMAND), COMMAND_USER);
    return user;
}

struct rv_str rv_packed_task_user(const struct rv_blob *task_info) {
    struct task_parts parts = task_parts(task_info);

    return user_of(&parts);
}

/* TaskInfo.limits as {"cpus":2.0,"mem":"Infinity"}. */
static void put_limits(struct rv_json *j, const struct rv_blob *info) {
    struct rv_str rest = rv_blob_bytes(info);
    struct rv_packed_field f, value;

    rv_json_object(j, "limits");
    while (rv_packed_next(&rest, &f)) {
        if (f.number != TASK_LIMITS || f.wire != 2)
            continue;
        struct rv_str name = rv_packed_bytes(f.bytes, LIMIT_KEY);
        struct rv_str scalar = rv_packed_bytes(f.bytes, LIMIT_VALUE);
        _cleanup_free_ char *key = rv_strndup(name.s ? name.s : "", name.n);
        double number;
        if (!rv_packed_next(&scalar, &value) || value.wire != 1)
            continue;
        memcpy(&number, &value.value, sizeof number);
        if (isinf(number))
            rv_json_string(j, key, "Infinity");
        else
            rv_json_double(j, key, number);
    }
    rv_json_object_end(j);
}

static const char *allocation_role(const struct rv_resources *r) {
    return r->n && r->v[0].kind->allocation_role ? r->v[0].kind->allocation_role : "*";
}

void rv_json_task(struct rv_json *j, const char *key, const struct rv_json_task *t,
                  struct rv_arena *scratch) {
    struct task_parts parts = task_parts(t->packed);
    struct rv_str user = user_of(&parts);

    rv_json_object(j, key);
    rv_json_string(j, "id", t->id);
    rv_json_string(j, "name", t->name);
    rv_json_string(j, "framework_id", t->framework_id);
    rv_json_string(j, "executor_id", t->executor_id);
    rv_json_string(j, "slave_id", t->agent_id);
    rv_json_string(j, "state", rv_task_state_name((int)t->state));
    rv_json_resources(j, "resources", t->resources);
    rv_json_string(j, "role", allocation_role(t->resources));
    rv_json_array(j, "statuses");
    for (size_t i = 0; i < t->n_statuses; i++)
        rv_json_task_status(j, NULL, &t->statuses[i], scratch);
    rv_json_array_end(j);
    if (parts.limits)
        put_limits(j, t->packed);
    if (user.s)
        rv_json_bytes(j, "user", user);
    if (parts.labels.s)
        put_labels(j, "labels", parts.labels);
    if (parts.discovery.s)
        rv_json_packed(j, "discovery", &reeve__v1__discovery_info__descriptor, parts.discovery,
                       scratch);
    if (parts.container.s)
        rv_json_packed(j, "container", &reeve__v1__container_info__descriptor, parts.container,
                       scratch);
    rv_json_object_end(j);
}

void rv_json_framework_labels(struct rv_json *j, const char *key,
                              const struct rv_framework_info *f) {
    struct rv_str labels = rv_packed_bytes(rv_blob_bytes(f->packed), FRAMEWORK_LABELS);

    if (labels.s)
        put_labels(j, key, labels);
}

static void put_command(struct rv_json *j, struct rv_str packed, struct rv_arena *scratch) {
    Reeve__V1__CommandInfo *m = NULL;
    ProtobufCMessage *tree;

    if (packed.s && !rv_wire_decode(&reeve__v1__command_info__descriptor, RV_ENC_PROTOBUF, packed,
                                    NULL, scratch, &tree, NULL))
        m = (Reeve__V1__CommandInfo *)tree;
    rv_json_object(j, "command");
    if (m && m->has_shell)
        rv_json_bool(j, "shell", m->shell);
    if (m && m->value)
        rv_json_string(j, "value", m->value);
    rv_json_array(j, "argv");
    for (size_t i = 0; m && i < m->n_arguments; i++)
        rv_json_string(j, NULL, m->arguments[i]);
    rv_json_array_end(j);
    if (m && m->environment)
        rv_json_message(j, "environment", &m->environment->base);
    rv_json_array(j, "uris");
    for (size_t i = 0; m && i < m->n_uris; i++) {
        rv_json_object(j, NULL);
        rv_json_string(j, "value", m->uris[i]->value);
        rv_json_bool(j, "executable", m->uris[i]->has_executable && m->uris[i]->executable);
        rv_json_object_end(j);
    }
    rv_json_array_end(j);
    rv_json_object_end(j);
}

void rv_json_executor_members(struct rv_json *j, const struct rv_executor_info *e,
                              const char *framework_id, struct rv_arena *scratch) {
    static const char *const types[] = {
        [RV_EXECUTOR_DEFAULT] = "DEFAULT", [RV_EXECUTOR_CUSTOM] = "CUSTOM"};
    struct rv_str rest = rv_blob_bytes(e->packed), command = {NULL, 0}, name = {NULL, 0},
                  labels = {NULL, 0};
    struct rv_packed_field f;
    bool typed = false;

    while (rest.n && rv_packed_next(&rest, &f)) {
        if (f.number == EXECUTOR_COMMAND && f.wire == 2)
            command = f.bytes;
        else if (f.number == EXECUTOR_NAME && f.wire == 2)
            name = f.bytes;
        else if (f.number == EXECUTOR_LABELS && f.wire == 2)
            labels = f.bytes;
        else if (f.number == EXECUTOR_TYPE)
            typed = true;
    }
    rv_json_string(j, "executor_id", e->id.v);
    rv_json_bytes(j, "name", name);
    rv_json_string(j, "framework_id", framework_id);
    put_command(j, command, scratch);
    rv_json_resources(j, "resources", &e->resources);
    if (e->resources.n)
        rv_json_string(j, "role", allocation_role(&e->resources));
    if (labels.s)
        put_labels(j, "labels", labels);
    if (typed && e->type != RV_EXECUTOR_COMMAND)
        rv_json_string(j, "type", types[e->type]);
}
