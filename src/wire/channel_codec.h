/*
 * The channel between agent and master, both ways: proto/reeve/v1/channel.proto and
 * model/channel.h. What a peer sends is decoded as distrustfully as anything else.
 */
#ifndef RV_WIRE_CHANNEL_CODEC_H
#define RV_WIRE_CHANNEL_CODEC_H

#include "model/channel.h"
#include "wire/codec.h"

/* Encoders append, without a RecordIO header; scratch holds the tree meanwhile. Decoders give
 * values that borrow from the arena and must be released before the arena is.
 * -RV_ERR_INVALID names what is missing or wrong. */
void rv_wire_agent_call_encode(const struct rv_agent_call *call, enum rv_encoding encoding,
                               struct rv_arena *scratch, struct rv_buf *out);
RV_MUST_USE int rv_wire_agent_call_decode(enum rv_encoding encoding, struct rv_str body,
                                          const struct rv_wire_limits *limits,
                                          struct rv_arena *arena, struct rv_agent_call *out,
                                          struct rv_error *err);
void rv_wire_agent_call_release(struct rv_agent_call *call);

void rv_wire_agent_event_encode(const struct rv_agent_event *event, enum rv_encoding encoding,
                                struct rv_arena *scratch, struct rv_buf *out);
RV_MUST_USE int rv_wire_agent_event_decode(enum rv_encoding encoding, struct rv_str body,
                                           const struct rv_wire_limits *limits,
                                           struct rv_arena *arena, struct rv_agent_event *out,
                                           struct rv_error *err);
void rv_wire_agent_event_release(struct rv_agent_event *event);

#endif
