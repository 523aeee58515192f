/* Where a master is reached, from its candidate's data in ZooKeeper: MasterInfo as JSON. */
#ifndef RV_WIRE_MASTER_ADDRESS_H
#define RV_WIRE_MASTER_ADDRESS_H

#include "base/address.h"
#include "base/str.h"

RV_MUST_USE int rv_wire_master_address(struct rv_str json, struct rv_address *out,
                                       struct rv_error *err);

#endif
