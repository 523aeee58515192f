/*
 * What a container without isolation cannot give. It is refused by name where a task or an executor
 * asks for it, and never left out in silence.
 */
#ifndef RV_EXECUTOR_UNSUPPORTED_H
#define RV_EXECUTOR_UNSUPPORTED_H

#include "reeve/v1/v1.pb-c.h"

/* A sentence, or NULL if all that is asked for can be given. The container may be NULL. */
static inline const char *rv_process_unsupported(const Reeve__V1__ContainerInfo *container) {
    if (!container)
        return NULL;
    if (container->type == REEVE__V1__CONTAINER_INFO__TYPE__DOCKER)
        return "container.type: DOCKER is not supported by the process containerizer";
    if (container->mesos && container->mesos->image)
        return "container.mesos.image: images are not supported by the process containerizer";
    if (container->n_volumes)
        return "container.volumes: volumes are not supported by the process containerizer";
    for (size_t i = 0; i < container->n_network_infos; i++)
        if (container->network_infos[i]->name)
            return "container.network_infos.name: networks are not supported by the process "
                   "containerizer";
    if (container->linux_info)
        return "container.linux_info: isolation is not supported by the process containerizer";
    return NULL;
}

#endif
