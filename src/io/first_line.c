/* See first_line.h. */
#include "io/first_line.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"

#define MOST 4096

int rv_first_line(const char *path, char **out, struct rv_error *err) {
    char text[MOST + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, MOST);
    int failure = errno;

    if (fd >= 0)
        close(fd);
    if (n < 0)
        return rv_error_set(err, RV_ERR_IO, "%s: %s", path, strerror(failure));
    text[n] = 0;
    size_t length = strcspn(text, "\r\n");
    if (!length || length == MOST)
        return rv_error_set(err, RV_ERR_INVALID, "%s: its first line is %s", path,
                            length ? "too long" : "empty");
    *out = rv_strndup(text, length);
    return 0;
}
