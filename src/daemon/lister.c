/*
 * Lists written item by item. In protobuf a message's length stands before it: five bytes are left
 * for it, and once it is known they are closed up where that costs little, else it is written in
 * five bytes, which decoders take as well.
 */
#include "daemon/lister.h"

#include "base/assert.h"

#define LENGTH_ROOM 5
#define CLOSE_UP_MAX ((uint64_t)64 << 10)

static struct rv_lister_level *level(struct rv_lister *l) {
    return &l->levels[l->depth - 1];
}

static const ProtobufCFieldDescriptor *field_of(struct rv_lister *l, const char *name) {
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(level(l)->type, name);

    RV_ASSERT(f != NULL);
    return f;
}

static unsigned put_varint(unsigned char out[10], uint64_t v) {
    unsigned n = 0;

    for (; v >= 0x80; v >>= 7)
        out[n++] = (unsigned char)(v | 0x80);
    out[n++] = (unsigned char)v;
    return n;
}

static void append_varint(struct rv_buf *b, uint64_t v) {
    unsigned char bytes[10];

    rv_buf_append(b, bytes, put_varint(bytes, v));
}

/* What stands before a value in JSON. */
static void json_key(struct rv_lister *l, const ProtobufCFieldDescriptor *f) {
    struct rv_buf *b = &l->sink->buf;

    if (level(l)->more)
        rv_buf_putc(b, ',');
    level(l)->more = true;
    rv_buf_putc(b, '"');
    rv_buf_puts(b, f->name);
    rv_buf_puts(b, "\":");
}

static void push(struct rv_lister *l, const ProtobufCMessageDescriptor *type) {
    RV_ASSERT(l->depth < RV_LISTER_DEPTH);
    l->depth++;
    *level(l) = (struct rv_lister_level){.type = type};
    if (l->encoding == RV_ENC_JSON)
        rv_buf_putc(&l->sink->buf, '{');
    else
        level(l)->start = rv_sink_size(l->sink);
}

void rv_lister_begin(struct rv_lister *l, struct rv_sink *sink, enum rv_encoding encoding,
                     struct rv_arena *scratch, const ProtobufCMessageDescriptor *type) {
    *l = (struct rv_lister){.sink = sink, .encoding = encoding, .scratch = scratch};
    push(l, type);
}

void rv_lister_end(struct rv_lister *l) {
    RV_ASSERT(l->depth == 1);
    if (l->encoding == RV_ENC_JSON)
        rv_buf_putc(&l->sink->buf, '}');
    rv_buf_free(&l->item);
}

void rv_lister_enter(struct rv_lister *l, const char *name) {
    const ProtobufCFieldDescriptor *f = field_of(l, name);

    if (l->encoding == RV_ENC_JSON) {
        json_key(l, f);
    } else {
        append_varint(&l->sink->buf, (uint64_t)f->id << 3 | 2);
        rv_buf_append(&l->sink->buf, "\0\0\0\0\0", LENGTH_ROOM);
    }
    push(l, f->descriptor);
}

void rv_lister_leave(struct rv_lister *l) {
    struct rv_sink *sink = l->sink;
    uint64_t start = level(l)->start, size = rv_sink_size(sink) - start;
    unsigned char bytes[10];

    RV_ASSERT(l->depth > 1 && !l->list);
    l->depth--;
    if (l->encoding == RV_ENC_JSON) {
        rv_buf_putc(&sink->buf, '}');
        return;
    }
    unsigned n = put_varint(bytes, size);
    RV_ASSERT(n <= LENGTH_ROOM);
    if (size <= CLOSE_UP_MAX && start >= sink->flushed + LENGTH_ROOM) {
        char *at = sink->buf.data + (start - sink->flushed);
        memcpy(at - LENGTH_ROOM, bytes, n);
        memmove(at - LENGTH_ROOM + n, at, size);
        sink->buf.n -= LENGTH_ROOM - n;
        return;
    }
    for (; n < LENGTH_ROOM; n++) {
        bytes[n - 1] |= 0x80;
        bytes[n] = 0;
    }
    rv_sink_patch(sink, start - LENGTH_ROOM, bytes, LENGTH_ROOM);
}

void rv_lister_enum(struct rv_lister *l, const char *name, int value) {
    const ProtobufCFieldDescriptor *f = field_of(l, name);

    if (l->encoding == RV_ENC_JSON) {
        json_key(l, f);
        rv_buf_putc(&l->sink->buf, '"');
        rv_buf_puts(&l->sink->buf, rv_wire_enum_name(f->descriptor, value));
        rv_buf_putc(&l->sink->buf, '"');
        return;
    }
    append_varint(&l->sink->buf, (uint64_t)f->id << 3);
    append_varint(&l->sink->buf, (uint64_t)value);
}

void rv_lister_double(struct rv_lister *l, const char *name, double value) {
    const ProtobufCFieldDescriptor *f = field_of(l, name);

    if (l->encoding == RV_ENC_JSON) {
        json_key(l, f);
        rv_buf_printf(&l->sink->buf, "%.15g", value);
        return;
    }
    append_varint(&l->sink->buf, (uint64_t)f->id << 3 | 1);
    rv_buf_append(&l->sink->buf, &value, sizeof value);
}

void rv_lister_list(struct rv_lister *l, const char *name) {
    RV_ASSERT(!l->list);
    l->list = field_of(l, name);
    l->any = false;
}

void rv_lister_item(struct rv_lister *l, const ProtobufCMessage *item) {
    struct rv_buf *b = &l->sink->buf;

    if (l->encoding == RV_ENC_JSON) {
        if (l->any)
            rv_buf_putc(b, ',');
        else {
            json_key(l, l->list);
            rv_buf_putc(b, '[');
        }
        rv_wire_encode(item, RV_ENC_JSON, b);
    } else {
        rv_buf_clear(&l->item);
        rv_wire_encode(item, RV_ENC_PROTOBUF, &l->item);
        append_varint(b, (uint64_t)l->list->id << 3 | 2);
        append_varint(b, l->item.n);
        rv_buf_append(b, l->item.data, l->item.n);
    }
    l->any = true;
    rv_arena_reset(l->scratch);
    rv_sink_breathe(l->sink);
}

void rv_lister_list_end(struct rv_lister *l) {
    if (l->encoding == RV_ENC_JSON && l->any)
        rv_buf_putc(&l->sink->buf, ']');
    l->list = NULL;
}
