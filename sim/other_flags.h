/* An agent that is started as what its checkpoints say it was not (INV-20). */
#ifndef SIM_OTHER_FLAGS_H
#define SIM_OTHER_FLAGS_H

#include "agents.h"

/* Starts the agent with flags that do not fit what it finds: it must refuse, say why and how to
 * mend it, and do nothing. false: what it finds fits any flags, and nothing was tried. */
bool sim_agent_is_refused(struct sim_agent *a, const struct rv_agent_recovered *found);

#endif
