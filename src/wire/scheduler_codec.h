/* The scheduler API between bytes and model values. */
#ifndef RV_WIRE_SCHEDULER_CODEC_H
#define RV_WIRE_SCHEDULER_CODEC_H

#include "model/scheduler.h"
#include "wire/codec.h"

/* Decodes a call and checks its shape: that it has a type, the part named after it, and (but for
 * SUBSCRIBE) its framework's id. -RV_ERR_INVALID: the answer is 400 with err's message;
 * -RV_ERR_LIMIT: 413; -RV_ERR_UNSUPPORTED: a type that this version does not know.
 * *out borrows from the arena and must be released before the arena is. Tasks, executors and
 * operations that are wrong by themselves say so in their `problem`. */
RV_MUST_USE int rv_wire_scheduler_call_decode(enum rv_encoding encoding, struct rv_str body,
                                              const struct rv_wire_limits *limits,
                                              struct rv_arena *arena, struct rv_scheduler_call *out,
                                              struct rv_error *err);
void rv_wire_scheduler_call_release(struct rv_scheduler_call *call);

/* Appends the event, without a RecordIO header. scratch holds the tree meanwhile. */
void rv_wire_scheduler_event_encode(const struct rv_scheduler_event *event,
                                    enum rv_encoding encoding, struct rv_arena *scratch,
                                    struct rv_buf *out);

#endif
