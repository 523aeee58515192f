/* What an agent says about itself. */
#ifndef RV_MODEL_AGENT_INFO_H
#define RV_MODEL_AGENT_INFO_H

#include "model/attributes.h"
#include "model/enums.h"
#include "model/ids.h"
#include "model/resources.h"

struct rv_agent_info {
    struct rv_agent_id id; /* v NULL: not yet assigned */
    char *hostname;
    char *ip; /* textual, for offers' url and the legacy pid */
    int32_t port;
    char *region, *zone; /* of the fault domain; may be NULL */
    struct rv_resources resources;
    struct rv_attributes attributes;
    uint32_t capabilities;  /* bit 1 << enum rv_agent_capability */
    char *version;          /* of its software, compatible API version */
    struct rv_blob *domain; /* packed DomainInfo; NULL: none */
};
void rv_agent_info_free(struct rv_agent_info *a); /* frees the members */
void rv_agent_info_copy(struct rv_agent_info *out, const struct rv_agent_info *a);

#endif
