/*
 * Project quotas of ext4 and XFS: the file system itself counts what a folder holds, exactly, at
 * once and with what was deleted but is open, and refuses more. A folder belongs to a project, a
 * number from a range of ours; what is made in there inherits it.
 *
 * Nothing is remembered here: a number is free if no file has it, and which one a folder has, it
 * tells itself, so a later agent finds all. Needs root, Linux 5.14, and a file system that has
 * project quotas turned on.
 */
#ifndef RV_CONTAINERIZER_PROJECT_QUOTA_H
#define RV_CONTAINERIZER_PROJECT_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct rv_project_quota;

/* folder: any of the file system. first to last, both inside, are our numbers; 0 is none.
 * -RV_ERR_UNSUPPORTED says what is missing. */
RV_MUST_USE int rv_project_quota_open(const char *folder, uint32_t first, uint32_t last,
                                      struct rv_project_quota **out, struct rv_error *err);
struct rv_project_quota *rv_project_quota_close(struct rv_project_quota *q);
/* Whether the kernel refuses what is over a limit; else it only counts. */
bool rv_project_quota_enforces(const struct rv_project_quota *q);

/* Gives an empty folder a number that no other has. -RV_ERR_LIMIT: all are in use. */
RV_MUST_USE int rv_project_quota_assign(struct rv_project_quota *q, const char *folder,
                                        uint32_t *project, struct rv_error *err);
/* The number of a folder, if it is one of ours; else 0. */
uint32_t rv_project_quota_of(const struct rv_project_quota *q, const char *folder);
/* UINT64_MAX: no limit. */
RV_MUST_USE int rv_project_quota_limit(const struct rv_project_quota *q, uint32_t project,
                                       uint64_t bytes, struct rv_error *err);
/* May be called by any thread. */
RV_MUST_USE int rv_project_quota_usage(const struct rv_project_quota *q, uint32_t project,
                                       uint64_t *bytes, struct rv_error *err);

#endif
