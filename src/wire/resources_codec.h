/*
 * Resources and attributes between the wire and the model.
 *
 * A reservation stack has three shapes on the wire (reservation.md, upgrades.md):
 *   refined   `reservations` only, `role` and `reservation` unset: clients with
 *             RESERVATION_REFINEMENT
 *   classic   `role` ("*" or the role) and `reservation` for a dynamic one: everyone else
 *   endpoint  both at once, consistent: what operators see
 * All three are read everywhere, whatever the client said that it can.
 */
#ifndef RV_WIRE_RESOURCES_CODEC_H
#define RV_WIRE_RESOURCES_CODEC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/memory.h"
#include "model/attributes.h"
#include "model/resources.h"
#include "reeve/v1/v1.pb-c.h"

enum rv_resource_shape {
    RV_SHAPE_REFINED,  /* `reservations` only, `role` unset */
    RV_SHAPE_CLASSIC,  /* `role`, and `reservation` for a dynamic one; a stack deeper than one has
                          no such form and goes out refined */
    RV_SHAPE_ENDPOINT, /* `reservations` and, where the stack allows, `role` and `reservation` */
    RV_SHAPE_MAX
};

/* The most resources that one array may hold: what bounds the cost of sorting them. */
#define RV_WIRE_RESOURCES_MAX 10000

/* out is replaced. Equal kinds add up, empty amounts vanish. Refuses what the model cannot hold:
 * amounts that are not finite, negative, too large or too small for thousandths, ranges that begin
 * after their end or overlap, a value that is not of the type, shapes that contradict themselves.
 * The rest is for rv_resources_validate. `path` is where the array stands in the message; errors
 * name "path[i].field". Returns 0, -RV_ERR_INVALID, or -RV_ERR_LIMIT for too many. */
RV_MUST_USE int rv_wire_resources_from(Reeve__V1__Resource *const *v, size_t n, const char *path,
                                       struct rv_resources *out, struct rv_error *err);

/* *v is an array of *n messages in the arena, NULL if there are none. Strings and blobs are
 * borrowed from r: encode before r changes. A shared resource goes out once per copy.
 * with_allocation: whether allocation_info is set. Packed parts (labels, volume, source) stand in
 * the tree as rv_wire_raw nodes: the tree is to be encoded, not to be read. */
void rv_wire_resources_to(const struct rv_resources *r, enum rv_resource_shape shape,
                          bool with_allocation, struct rv_arena *arena, Reeve__V1__Resource ***v,
                          size_t *n);

/* The value of a --resources flag: a JSON array of Resource objects if it starts with '[', else
 * the text form. default_role (NULL or "*": none) goes to those that name none. Validated; refuses
 * what only comes to be later: dynamic reservations, volumes, allocations, revocable ones. */
RV_MUST_USE int rv_wire_resources_parse_flag(const char *text_or_json, const char *default_role,
                                             struct rv_resources *out, struct rv_error *err);

/* The same for attributes; order is kept. */
RV_MUST_USE int rv_wire_attributes_from(Reeve__V1__Attribute *const *v, size_t n, const char *path,
                                        struct rv_attributes *out, struct rv_error *err);
void rv_wire_attributes_to(const struct rv_attributes *a, struct rv_arena *arena,
                           Reeve__V1__Attribute ***v, size_t *n);

#endif
