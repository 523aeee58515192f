/*
 * Bodies of every API that the conversions read. The first byte picks the reader and the encoding.
 * What is read from the channel must go out and be read again, the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "wire/channel_codec.h"
#include "wire/executor_codec.h"
#include "wire/maintenance_codec.h"
#include "wire/quota_codec.h"
#include "wire/scheduler_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void agent_call(enum rv_encoding encoding, struct rv_str body, struct rv_arena *arena) {
    struct rv_agent_call call, again;
    struct rv_buf one _cleanup_(rv_buf_free) = {0};
    struct rv_buf two _cleanup_(rv_buf_free) = {0};
    if (rv_wire_agent_call_decode(encoding, body, NULL, arena, &call, NULL) < 0)
        return;
    rv_wire_agent_call_encode(&call, RV_ENC_PROTOBUF, arena, &one);
    RV_ASSERT(rv_wire_agent_call_decode(RV_ENC_PROTOBUF, rv_buf_str(&one), NULL, arena, &again,
                                        NULL) == 0);
    rv_wire_agent_call_encode(&again, RV_ENC_PROTOBUF, arena, &two);
    RV_ASSERT(rv_str_eq(rv_buf_str(&one), rv_buf_str(&two)));
    rv_wire_agent_call_release(&again);
    rv_wire_agent_call_release(&call);
}

static void agent_event(enum rv_encoding encoding, struct rv_str body, struct rv_arena *arena) {
    struct rv_agent_event event, again;
    struct rv_buf one _cleanup_(rv_buf_free) = {0};
    struct rv_buf two _cleanup_(rv_buf_free) = {0};
    if (rv_wire_agent_event_decode(encoding, body, NULL, arena, &event, NULL) < 0)
        return;
    rv_wire_agent_event_encode(&event, RV_ENC_PROTOBUF, arena, &one);
    RV_ASSERT(rv_wire_agent_event_decode(RV_ENC_PROTOBUF, rv_buf_str(&one), NULL, arena, &again,
                                         NULL) == 0);
    rv_wire_agent_event_encode(&again, RV_ENC_PROTOBUF, arena, &two);
    RV_ASSERT(rv_str_eq(rv_buf_str(&one), rv_buf_str(&two)));
    rv_wire_agent_event_release(&again);
    rv_wire_agent_event_release(&event);
}

/* A schedule that was taken is shown and can be posted again. */
static void schedule(enum rv_encoding encoding, struct rv_str body, struct rv_arena *arena) {
    const ProtobufCMessageDescriptor *type = &reeve__v1__maintenance__schedule__descriptor;
    struct rv_buf text _cleanup_(rv_buf_free) = {0};
    const struct rv_machine **shown;
    struct rv_machine *machines;
    ProtobufCMessage *tree;
    size_t n, again;
    if (rv_wire_decode(type, encoding, body, NULL, arena, &tree, NULL) < 0 ||
        rv_wire_schedule_from((void *)tree, arena, &machines, &n, NULL) < 0)
        return;
    shown = RV_ARENA_ARRAY(arena, const struct rv_machine *, n);
    for (size_t i = 0; i < n; i++)
        shown[i] = &machines[i];
    rv_wire_encode(&rv_wire_schedule_to(shown, n, arena)->base, RV_ENC_JSON, &text);
    RV_ASSERT(rv_wire_decode(type, RV_ENC_JSON, rv_buf_str(&text), NULL, arena, &tree, NULL) == 0);
    RV_ASSERT(rv_wire_schedule_from((void *)tree, arena, &machines, &again, NULL) == 0);
    RV_ASSERT(again == n);
}

/* A quota that was taken is shown, can be set again, and is the same. */
static void quota(enum rv_encoding encoding, struct rv_str body, struct rv_arena *arena) {
    const ProtobufCMessageDescriptor *type = &reeve__v1__quota__quota_config__descriptor;
    struct rv_buf text _cleanup_(rv_buf_free) = {0};
    struct rv_quota one, again;
    ProtobufCMessage *tree;
    if (rv_wire_decode(&reeve__v1__quota__quota_request__descriptor, encoding, body, NULL, arena,
                       &tree, NULL) == 0)
        (void)!rv_wire_quota_request_from((void *)tree, arena, &one, NULL);
    if (rv_wire_decode(type, encoding, body, NULL, arena, &tree, NULL) < 0 ||
        rv_wire_quota_from((void *)tree, arena, &one, NULL) < 0 || rv_quota_problem(&one))
        return;
    rv_wire_encode(&rv_wire_quota_to(&one, arena)->base, RV_ENC_JSON, &text);
    RV_ASSERT(rv_wire_decode(type, RV_ENC_JSON, rv_buf_str(&text), NULL, arena, &tree, NULL) == 0);
    RV_ASSERT(rv_wire_quota_from((void *)tree, arena, &again, NULL) == 0);
    RV_ASSERT(rv_quantities_eq(&one.guarantees, &again.guarantees) &&
              rv_quantities_eq(&one.limits, &again.limits));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    enum rv_encoding encoding = data[0] & 1 ? RV_ENC_PROTOBUF : RV_ENC_JSON;
    struct rv_str body = rv_strn(data + 1, size - 1);
    struct rv_arena arena _cleanup_(rv_arena_free);
    rv_arena_init(&arena);
    struct rv_scheduler_call scheduler;
    struct rv_executor_call executor;
    switch (data[0] >> 1 & 7) {
    case 0:
        if (rv_wire_scheduler_call_decode(encoding, body, NULL, &arena, &scheduler, NULL) == 0)
            rv_wire_scheduler_call_release(&scheduler);
        break;
    case 1:
        if (rv_wire_executor_call_decode(encoding, body, NULL, &arena, &executor, NULL) == 0)
            rv_wire_executor_call_release(&executor);
        break;
    case 2:
        agent_call(encoding, body, &arena);
        break;
    case 4:
        schedule(encoding, body, &arena);
        break;
    case 5:
        quota(encoding, body, &arena);
        break;
    default:
        agent_event(encoding, body, &arena);
        break;
    }
    return 0;
}
