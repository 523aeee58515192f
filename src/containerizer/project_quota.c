/*
 * Project quotas, see project_quota.h. Costs: a call of the kernel is some microseconds; the search
 * for a free number begins after the one found last.
 */
#include "containerizer/project_quota.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>

#include "base/folder.h"
#include "base/memory.h"

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif

enum { BLOCK = 1024 }; /* of the limits */

struct rv_project_quota {
    int fd; /* the file system */
    uint32_t first, last, next;
    bool enforces;
};

static int quota(int fd, int command, uint32_t project, void *what) {
    return syscall(SYS_quotactl_fd, fd, (unsigned)QCMD(command, PRJQUOTA), project, what) ? -errno
                                                                                          : 0;
}

int rv_project_quota_open(const char *folder, uint32_t first, uint32_t last,
                          struct rv_project_quota **out, struct rv_error *err) {
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;
    struct fs_quota_stat state = {.qs_version = FS_QSTAT_VERSION};
    struct rv_project_quota *q;

    if (fd < 0)
        return rv_error_set(err, RV_ERR_IO, "open %s: %s", folder, strerror(errno));
    rc = quota(fd, Q_XGETQSTAT, 0, &state);
    if (rc || !(state.qs_flags & FS_QUOTA_PDQ_ACCT)) {
        close(fd);
        if (rc == -ENOSYS)
            return rv_error_set(err, RV_ERR_UNSUPPORTED,
                                "neither the kernel nor the file system has project quotas");
        return rv_error_set(err, RV_ERR_UNSUPPORTED,
                            "the file system of %s has project quotas not turned on", folder);
    }
    q = rv_calloc(1, sizeof *q);
    *q = (struct rv_project_quota){.fd = fd,
                                   .first = first,
                                   .last = last,
                                   .next = first,
                                   .enforces = (state.qs_flags & FS_QUOTA_PDQ_ENFD) != 0};
    *out = q;
    return 0;
}

struct rv_project_quota *rv_project_quota_close(struct rv_project_quota *q) {
    if (q)
        close(q->fd);
    free(q);
    return NULL;
}

bool rv_project_quota_enforces(const struct rv_project_quota *q) {
    return q->enforces;
}

/* A number that nobody has used yet is unknown to the file system. */
static int get(const struct rv_project_quota *q, uint32_t project, struct if_dqblk *out,
               struct rv_error *err) {
    int rc;

    *out = (struct if_dqblk){0};
    rc = quota(q->fd, Q_GETQUOTA, project, out);
    if (rc == -ENOENT)
        rc = 0;
    return rc ? rv_error_set(err, RV_ERR_IO, "quotactl Q_GETQUOTA of project %u: %s", project,
                             strerror(-rc))
              : 0;
}

static int find_free(struct rv_project_quota *q, uint32_t *project, struct rv_error *err) {
    for (uint64_t tries = 0; tries <= q->last - q->first; tries++) {
        uint32_t one = q->next;
        struct if_dqblk used;
        int rc = get(q, one, &used, err);
        if (rc)
            return rc;
        q->next = one == q->last ? q->first : one + 1;
        if (!used.dqb_curinodes && !used.dqb_curspace) {
            *project = one;
            return 0;
        }
    }
    return rv_error_set(err, RV_ERR_LIMIT, "all project numbers from %u to %u are in use", q->first,
                        q->last);
}

int rv_project_quota_assign(struct rv_project_quota *q, const char *folder, uint32_t *project,
                            struct rv_error *err) {
    int fd = rv_folder_open(folder, err);
    struct fsxattr attributes;
    uint32_t one = 0;
    int rc = fd < 0 ? fd : find_free(q, &one, err);

    if (!rc && ioctl(fd, FS_IOC_FSGETXATTR, &attributes))
        rc = rv_error_set(err, RV_ERR_IO, "FS_IOC_FSGETXATTR %s: %s", folder, strerror(errno));
    if (!rc) {
        attributes.fsx_projid = one;
        attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
        if (ioctl(fd, FS_IOC_FSSETXATTR, &attributes))
            rc = rv_error_set(err, RV_ERR_IO, "FS_IOC_FSSETXATTR %s: %s", folder, strerror(errno));
    }
    if (fd >= 0)
        close(fd);
    if (!rc)
        *project = one;
    return rc;
}

uint32_t rv_project_quota_of(const struct rv_project_quota *q, const char *folder) {
    int fd = rv_folder_open(folder, NULL);
    struct fsxattr attributes = {0};
    bool known = fd >= 0 && ioctl(fd, FS_IOC_FSGETXATTR, &attributes) == 0;

    if (fd >= 0)
        close(fd);
    return known && attributes.fsx_projid >= q->first && attributes.fsx_projid <= q->last
               ? attributes.fsx_projid
               : 0;
}

int rv_project_quota_limit(const struct rv_project_quota *q, uint32_t project, uint64_t bytes,
                           struct rv_error *err) {
    struct if_dqblk limits = {.dqb_valid = QIF_BLIMITS};
    int rc;

    /* 0 is no limit, for the kernel. */
    if (bytes != UINT64_MAX)
        limits.dqb_bhardlimit = RV_MAX(bytes / BLOCK, (uint64_t)1);
    rc = quota(q->fd, Q_SETQUOTA, project, &limits);
    return rc ? rv_error_set(err, RV_ERR_IO, "quotactl Q_SETQUOTA of project %u: %s", project,
                             strerror(-rc))
              : 0;
}

int rv_project_quota_usage(const struct rv_project_quota *q, uint32_t project, uint64_t *bytes,
                           struct rv_error *err) {
    struct if_dqblk used;
    int rc = get(q, project, &used, err);

    if (!rc)
        *bytes = used.dqb_curspace;
    return rc;
}
