/*
 * The JSON of the endpoints from before the v1 API: a writer that appends to a buffer, and the
 * shapes that master and agent share. Nothing is built in between: a large state costs what its
 * text costs. Out is one line, ASCII only, as the codec writes it.
 */
#ifndef RV_DAEMON_LEGACY_JSON_H
#define RV_DAEMON_LEGACY_JSON_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/str.h"
#include "model/attributes.h"
#include "model/framework.h"
#include "model/resources.h"
#include "model/task.h"

/* Commas come by themselves. Zero-initialised but for out. */
struct rv_json {
    struct rv_buf *out;
    bool more; /* something stands before in this object or array */
};

/* key NULL: an element of an array, or the root. */
void rv_json_object(struct rv_json *j, const char *key);
void rv_json_object_end(struct rv_json *j);
void rv_json_array(struct rv_json *j, const char *key);
void rv_json_array_end(struct rv_json *j);
void rv_json_string(struct rv_json *j, const char *key, const char *s); /* NULL: "" */
/* Bytes; what is no UTF-8 becomes U+FFFD. */
void rv_json_bytes(struct rv_json *j, const char *key, struct rv_str s);
void rv_json_bool(struct rv_json *j, const char *key, bool b);
void rv_json_int(struct rv_json *j, const char *key, int64_t v);
void rv_json_double(struct rv_json *j, const char *key, double v); /* with a point or exponent */
void rv_json_thousandths(struct rv_json *j, const char *key, int64_t v); /* 1500 is 1.5 */
void rv_json_seconds(struct rv_json *j, const char *key, int64_t ns);    /* of wall clock ns */
/* The codec's JSON of a message. */
void rv_json_message(struct rv_json *j, const char *key, const ProtobufCMessage *m);
/* The same of packed bytes; what does not decode is {}. */
void rv_json_packed(struct rv_json *j, const char *key, const ProtobufCMessageDescriptor *type,
                    struct rv_str bytes, struct rv_arena *scratch);

/* --- packed messages, looked into without decoding them --- */

/* One field of a packed message. */
struct rv_packed_field {
    uint32_t number;
    unsigned wire;       /* 0 varint, 1 fixed64, 2 bytes, 5 fixed32 */
    uint64_t value;      /* of a number */
    struct rv_str bytes; /* wire 2 */
};
/* The next one; false at the end or where it is damaged. `rest` is moved on. */
bool rv_packed_next(struct rv_str *rest, struct rv_packed_field *out);
/* The last field of that number and wire 2 (which is what counts of a string); {NULL, 0} if there
 * is none. */
struct rv_str rv_packed_bytes(struct rv_str packed, uint32_t number);
/* Appends a field of wire 2. */
void rv_packed_put(struct rv_buf *out, uint32_t number, struct rv_str bytes);
static inline struct rv_str rv_blob_bytes(const struct rv_blob *b) {
    return b ? rv_strn(b->data, b->n) : rv_strn(NULL, 0);
}

/* --- shapes --- */

/* {"cpus":1.0,"disk":0,"gpus":0,"mem":32.0,"ports":"[31000-32000]"}: sums by name, revocable ones
 * as NAME_revocable. */
void rv_json_resources(struct rv_json *j, const char *key, const struct rv_resources *r);
/* [Resource...] in the shape of operators' views. */
void rv_json_resources_full(struct rv_json *j, const char *key, const struct rv_resources *r,
                            struct rv_arena *scratch);
/* Reserved ones by role: {"role":{...}} and {"role":[...]}; unreserved ones. */
void rv_json_reserved(struct rv_json *j, const char *key, const struct rv_resources *r);
void rv_json_reserved_full(struct rv_json *j, const char *key, const struct rv_resources *r,
                           struct rv_arena *scratch);
void rv_json_unreserved(struct rv_json *j, const char *key, const struct rv_resources *r);
void rv_json_unreserved_full(struct rv_json *j, const char *key, const struct rv_resources *r,
                             struct rv_arena *scratch);
/* {"rack":"r1","level":3.0} */
void rv_json_attributes(struct rv_json *j, const char *key, const struct rv_attributes *a);
/* ["MULTI_ROLE",...] */
void rv_json_agent_capabilities(struct rv_json *j, const char *key, uint32_t capabilities);
void rv_json_framework_capabilities(struct rv_json *j, const char *key, uint32_t capabilities);
/* {"fault_domain":{"region":{"name":..},"zone":{"name":..}}}; nothing if both are NULL. */
void rv_json_domain(struct rv_json *j, const char *key, const char *region, const char *zone);

/* What a task looks like; strings and arrays are borrowed. */
struct rv_json_task {
    const char *id, *name, *framework_id, *executor_id /* NULL: "" */, *agent_id;
    enum rv_task_state state;
    const struct rv_resources *resources;
    const struct rv_task_status *statuses;
    size_t n_statuses;
    const struct rv_blob *packed; /* TaskInfo: labels, discovery, container, user */
};
void rv_json_task(struct rv_json *j, const char *key, const struct rv_json_task *t,
                  struct rv_arena *scratch);
void rv_json_task_status(struct rv_json *j, const char *key, const struct rv_task_status *s,
                         struct rv_arena *scratch);
/* The members of an executor ("executor_id", "name", "framework_id", "command", "resources",
 * "role", "labels", "type"), into the object that is open. */
void rv_json_executor_members(struct rv_json *j, const struct rv_executor_info *e,
                              const char *framework_id, struct rv_arena *scratch);
/* FrameworkInfo.labels as an array; nothing if there are none. */
void rv_json_framework_labels(struct rv_json *j, const char *key,
                              const struct rv_framework_info *f);
/* The user a task runs as by its TaskInfo: of its command or its executor's; {NULL, 0} if it says
 * none. */
struct rv_str rv_packed_task_user(const struct rv_blob *task_info);

#endif
