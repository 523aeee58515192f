/*
 * `reeve top`: one look at the cluster or at a node as rows, sorted and printed. top.c asks, waits
 * and draws; top_rows.c makes the rows.
 */
#ifndef RV_CLI_TOP_H
#define RV_CLI_TOP_H

#include "cli/cluster.h"
#include "cli/output.h"

/* What is sorted by, largest first; names and ids smallest first. */
enum rv_top_sort {
    RV_TOP_CPU,
    RV_TOP_MEMORY,
    RV_TOP_PROCESSES,
    RV_TOP_DISK,
    RV_TOP_IO,
    RV_TOP_NAME,
    RV_TOP_SORTS
};
extern const char *const rv_top_sorts[RV_TOP_SORTS];

struct rv_top_view {
    enum rv_top_sort sort;
    enum rv_cli_format format;
    size_t max_rows; /* SIZE_MAX: all */
};

/* The agents, with what is allocated and, of those that are asked, what they use. */
struct rv_top_agent {
    const Reeve__V1__Master__Response__GetAgents__Agent *agent;
    bool has_used;
    double load, cpus, mem_used_bytes, mem_total_bytes; /* of the machine */
};
void rv_top_print_agents(struct rv_top_agent *v, size_t n, const struct rv_top_view *view);

/* Figures of an earlier look, to tell rates: container id -> struct rv_top_before. */
struct rv_top_before {
    double at_s, cpu_s, read_bytes, write_bytes;
};
/* The containers of a node; `before` becomes those of this look. */
void rv_top_print_containers(const Reeve__V1__Agent__Response__GetContainers *all,
                             struct rv_map *before, const struct rv_top_view *view);
/* Takes the figures without printing. */
void rv_top_remember(const Reeve__V1__Agent__Response__GetContainers *all, struct rv_map *before);
void rv_top_forget(struct rv_map *before);

#endif
