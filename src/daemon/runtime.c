/* See runtime.h. Holds: work_dir/meta/runtime, a link, says where records are that are not in
 * work_dir, so that containers are not forgotten, and killed, if the flag is another one. */
#include "daemon/runtime.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "containerizer/state.h"
#include "daemon/folders.h"

#define MODULE "agent"

#define BY_DEFAULT "/run/reeve"

enum { TRIES = 3 }; /* another agent may remove the folder above, as it is empty, when it ends */

/* NULL: it cannot be made. */
static char *make_folder(const char *base, const char *name, struct rv_error *err) {
    _cleanup_free_ char *path = rv_asprintf("%s/%s", base, name);
    char absolute[PATH_MAX];
    int r = -1;

    for (int i = 0; i < TRIES && r; i++)
        r = rv_make_folder(path, err);
    if (!r && !realpath(path, absolute))
        r = rv_error_set(err, RV_ERR_IO, "%s: %s", path, strerror(errno));
    return r ? NULL : rv_strdup(absolute);
}

static int choose(const char *flag, const char *in_work_dir, struct rv_runtime *out,
                  struct rv_error *err) {
    bool wanted = flag || geteuid() == 0;
    struct rv_error why;

    out->base = flag ? NULL : rv_strdup(BY_DEFAULT);
    if (wanted)
        out->folder = make_folder(flag ? flag : BY_DEFAULT, out->name, &why);
    if (flag && !out->folder)
        return rv_error_set(err, why.code, "--runtime_dir: %s", why.message);
    if (wanted && !out->folder)
        RV_WARN(MODULE, "records of containers are in work_dir, see --runtime_dir: %s",
                why.message);
    out->records = out->folder ? rv_asprintf("%s/containers", out->folder) : rv_strdup(in_work_dir);
    if (out->folder && access(in_work_dir, F_OK) == 0)
        out->before = rv_strdup(in_work_dir);
    return 0;
}

/* Where the agent before had its records. */
static int note(const struct rv_runtime *r, const char *link, struct rv_error *err) {
    char last[PATH_MAX];
    ssize_t n = readlink(link, last, sizeof last - 1);

    last[n > 0 ? n : 0] = '\0';
    if (n > 0 && rv_streq(last, r->records))
        return 0;
    if (n > 0 && rv_container_states_any(last))
        return rv_error_set(err, RV_ERR_CONFLICT,
                            "--runtime_dir: containers that run are recorded in %s, not in %s: "
                            "name the folder of before until they have ended",
                            last, r->records);
    if (n > 0)
        unlink(link);
    if (r->folder && symlink(r->records, link) != 0)
        RV_WARN(MODULE, "cannot write down where records of containers are: %s: %s", link,
                strerror(errno));
    return 0;
}

int rv_runtime_open(const char *work_dir, const char *flag, struct rv_runtime *out,
                    struct rv_error *err) {
    _cleanup_free_ char *in_work_dir = rv_asprintf("%s/meta/containers", work_dir);
    _cleanup_free_ char *link = rv_asprintf("%s/meta/runtime", work_dir);
    int r;

    out->name = rv_asprintf("%016" PRIx64, rv_hash(in_work_dir, strlen(in_work_dir)));
    r = choose(flag, in_work_dir, out, err);
    return r ? r : note(out, link, err);
}

void rv_runtime_close(struct rv_runtime *r) {
    if (r->folder) {
        (void)rmdir(r->records);
        if (rmdir(r->folder) == 0 && r->base)
            (void)rmdir(r->base);
    }
    free(r->name);
    free(r->base);
    free(r->folder);
    free(r->records);
    free(r->before);
    *r = (struct rv_runtime){0};
}
