/* Every message of these files: the build makes the table from the generated headers. */
#ifndef RV_PROTO_DESCRIPTORS_H
#define RV_PROTO_DESCRIPTORS_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

extern const ProtobufCMessageDescriptor *const rv_proto_descriptors[];
extern const size_t rv_proto_n_descriptors;

#endif
