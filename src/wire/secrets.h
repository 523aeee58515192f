/*
 * Messages and what is secret in them: the values of Secret messages, wherever they stand. What is
 * kept, shown and written goes without; a secret of type VALUE without its value tells that it had
 * one. Costs: a walk over the message, and a second packing if there is a value in it.
 */
#ifndef RV_WIRE_SECRETS_H
#define RV_WIRE_SECRETS_H

#include <protobuf-c/protobuf-c.h>

#include "base/str.h"

/* Packs a tree that rv_wire_decode made, without the values. *whole: with them; NULL if there are
 * none. Both are the caller's. */
struct rv_blob *rv_wire_pack_open(const ProtobufCMessage *m, struct rv_blob **whole);

#endif
