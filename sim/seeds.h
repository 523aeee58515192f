/* Seeds that have failed once: they run first. A change of the simulator gives them another run, so
 * they are a sample of hard cases rather than the very same ones. */
#ifndef SIM_SEEDS_H
#define SIM_SEEDS_H

#include <stdint.h>

static const uint64_t sim_seeds[] = {
    1329,  /* a task for an executor that ends at this moment: the next one was booked nowhere */
    54,    /* a late REGISTER had the agent in its place removed */
    138,   /* a late REREGISTER brought back tasks that were over */
    144,   /* EXECUTOR_EXITED was not told for a launch that was refused */
    201,   /* nor for an executor that ended while its agent registered */
    486,   /* an agent that is stopped unregistered with updates to tell */
    10760, /* a registration told a state that a crash undid, for the disk was full */
    10892, /* a scheduler was told that its framework is removed; the registry then failed */
    10975, /* who had had many offers got none for minutes */
    10144, /* the auditor forgot filters that still count for the bound of the allocator */
    10156, /* the same */
    752,   /* an agent that an operator ended for good has nothing to look at */
    11,    /* a candidate of a session that lives, but of no candidacy: nobody led any more */
    29,    /* a second try made a twin of the candidate that leads, and hid it */
    119,   /* a write from within an answer was sent twice, when others were to be sent again */
    652,   /* a server cut off from the others let a master lead on whose session expired */
    801,   /* a framework was over at recovery that a failing disk had kept from being so */
    358,   /* a task that was lost with its agent's connection came back, and nobody was told */
    316,   /* a leader of ZooKeeper stood still, and ended a session that it had just vouched for */
    739,   /* the same */
    20507, /* an offer that was held until its timeout, on the only agent */
    60823, /* an update made while its executor subscribed was told to nobody (libreeve's too) */
    85013, /* a longer failover timeout was written when its framework was away: it did not count */
    521,   /* an update came again behind the next one: its acknowledgement was not durable yet */
    890,   /* who had not led for a moment led on, and had missed that a stream was over */
    219,   /* a registration told of an update whose acknowledgement was being written: it waited */
    170,   /* what a task had used that a registration told as over kept the total from shrinking */
    245,   /* the end of an operation was not told when its framework was over meanwhile */
    93304, /* a running executor was shown a volume that was being made */
    94,    /* an agent was marked one ping too early: its connection broke after it had answered */
};

#endif
