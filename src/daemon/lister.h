/*
 * A message with long lists, written by hand in either encoding: its outer messages are opened and
 * closed, and each item is a tree of its own that is gone once it is written. So the answer with
 * all tasks needs no tree of all tasks. Fields are named; their numbers come from the descriptors.
 */
#ifndef RV_DAEMON_LISTER_H
#define RV_DAEMON_LISTER_H

#include "daemon/snapshot.h"
#include "wire/codec.h"

#define RV_LISTER_DEPTH 6

struct rv_lister {
    struct rv_sink *sink;
    enum rv_encoding encoding;
    struct rv_arena *scratch; /* of the item under way; reset after each */
    struct rv_lister_level {
        const ProtobufCMessageDescriptor *type;
        uint64_t start; /* protobuf: where the content begins */
        bool more;      /* JSON: a field stands before */
    } levels[RV_LISTER_DEPTH];
    unsigned depth;
    const ProtobufCFieldDescriptor *list; /* NULL: none is open */
    bool any;                             /* JSON: the list has an item */
    struct rv_buf item;                   /* protobuf: to know its size */
};

/* The root message. */
void rv_lister_begin(struct rv_lister *l, struct rv_sink *sink, enum rv_encoding encoding,
                     struct rv_arena *scratch, const ProtobufCMessageDescriptor *type);
void rv_lister_end(struct rv_lister *l);
/* A message field of the message that is open. */
void rv_lister_enter(struct rv_lister *l, const char *field);
void rv_lister_leave(struct rv_lister *l);
void rv_lister_enum(struct rv_lister *l, const char *field, int value);
void rv_lister_double(struct rv_lister *l, const char *field, double value);
/* A repeated message field; a list without items leaves no trace. */
void rv_lister_list(struct rv_lister *l, const char *field);
void rv_lister_item(struct rv_lister *l, const ProtobufCMessage *item);
void rv_lister_list_end(struct rv_lister *l);

#endif
