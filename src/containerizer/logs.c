/* Rotation of logs, see logs.h. Works with descriptors of directories, since the sandbox's owner
 * may change what is in it at any moment, and this may run as root. */
#include "containerizer/logs.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folder.h"

enum { NAME_SIZE = 32 };

/* Copies until the end, then cuts; 0 if the copy is complete. */
static int copy_and_cut(int from, int to) {
    ssize_t n;

    do
        n = sendfile(to, from, NULL, 1 << 20);
    while (n > 0);
    return n == 0 ? ftruncate(from, 0) : -1;
}

static void rotate(int dir, const char *name, uint64_t max_bytes, unsigned keep) {
    char older[NAME_SIZE], newer[NAME_SIZE];
    struct stat st;
    int from, to;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) ||
        (uint64_t)st.st_size <= max_bytes)
        return;
    from = openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (from < 0)
        return;
    if (fstat(from, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1) {
        close(from);
        return;
    }
    if (keep == 0) {
        if (ftruncate(from, 0) != 0)
            (void)0; /* tried again with the next look */
        close(from);
        return;
    }
    for (unsigned i = keep; i > 1; i--) {
        snprintf(older, sizeof older, "%s.%u", name, i);
        snprintf(newer, sizeof newer, "%s.%u", name, i - 1);
        renameat(dir, newer, dir, older);
    }
    snprintf(newer, sizeof newer, "%s.1", name);
    unlinkat(dir, newer, 0);
    to = openat(dir, newer, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (to >= 0) {
        if (fchown(to, st.st_uid, st.st_gid) != 0 || copy_and_cut(from, to) != 0)
            unlinkat(dir, newer, 0);
        close(to);
    }
    close(from);
}

void rv_logs_rotate(const char *directory, uint64_t max_bytes, unsigned keep) {
    int dir = rv_folder_open(directory, NULL);

    if (dir < 0)
        return;
    rotate(dir, "stdout", max_bytes, keep);
    rotate(dir, "stderr", max_bytes, keep);
    close(dir);
}
