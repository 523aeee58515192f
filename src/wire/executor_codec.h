/* The executor API between bytes and model values. */
#ifndef RV_WIRE_EXECUTOR_CODEC_H
#define RV_WIRE_EXECUTOR_CODEC_H

#include "model/executor_api.h"
#include "wire/codec.h"

/* As rv_wire_scheduler_call_decode. */
RV_MUST_USE int rv_wire_executor_call_decode(enum rv_encoding encoding, struct rv_str body,
                                             const struct rv_wire_limits *limits,
                                             struct rv_arena *arena, struct rv_executor_call *out,
                                             struct rv_error *err);
void rv_wire_executor_call_release(struct rv_executor_call *call);

/* Appends the event, without a RecordIO header. scratch holds the tree meanwhile. */
void rv_wire_executor_event_encode(const struct rv_executor_event *event, enum rv_encoding encoding,
                                   struct rv_arena *scratch, struct rv_buf *out);

#endif
