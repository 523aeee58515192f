/* See mountinfo.h. A line of it:
 *     36 35 98:0 /root /where options [tags...] - type source super-options */
#include "containerizer/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/str.h"

enum { ROOT = 3, PATH = 4, PIECE = 16 * 1024 };

static const char file[] = "/proc/self/mountinfo";

int rv_mountinfo_open(int *fd, struct rv_error *err) {
    *fd = open(file, O_RDONLY | O_CLOEXEC);
    return *fd < 0 ? rv_error_set(err, RV_ERR_IO, "open %s: %s", file, strerror(errno)) : 0;
}

static int read_all(int fd, struct rv_buf *out, struct rv_error *err) {
    _cleanup_free_ char *piece = rv_malloc(PIECE);
    ssize_t n;

    if (lseek(fd, 0, SEEK_SET) != 0)
        return rv_error_set(err, RV_ERR_IO, "seek in %s: %s", file, strerror(errno));
    while ((n = read(fd, piece, PIECE)) > 0 || (n < 0 && errno == EINTR))
        rv_buf_append(out, piece, n > 0 ? (size_t)n : 0);
    rv_buf_putc(out, '\0');
    return n < 0 ? rv_error_set(err, RV_ERR_IO, "read %s: %s", file, strerror(errno)) : 0;
}

/* Blanks and the like are written as \ooo. */
static void unescape(char *s) {
    char *to = s;

    for (; *s; s++, to++) {
        bool octal = *s == '\\' && s[1] && s[2] && s[3];
        *to = octal ? (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0')) : *s;
        s += octal ? 3 : 0;
    }
    *to = '\0';
}

static bool parse(char *line, struct rv_mountinfo *out) {
    char *words[PATH + 1], *dash = strstr(line, " - "), *save = NULL, *rest[3];

    if (!dash)
        return false;
    *dash = '\0';
    for (int i = 0; i <= PATH; i++)
        if (!(words[i] = strtok_r(i ? NULL : line, " ", &save)))
            return false;
    for (int i = 0; i < 3; i++)
        if (!(rest[i] = strtok_r(i ? NULL : dash + strlen(" - "), " ", &save)))
            return false;
    unescape(words[ROOT]);
    unescape(words[PATH]);
    *out = (struct rv_mountinfo){words[ROOT], words[PATH], rest[0], rest[2]};
    return true;
}

int rv_mountinfo_each(int fd, void (*each)(void *ctx, const struct rv_mountinfo *m), void *ctx,
                      struct rv_error *err) {
    _cleanup_(rv_buf_free) struct rv_buf text = {0};
    int rc = read_all(fd, &text, err);
    char *save = NULL;

    for (char *line = rc ? NULL : strtok_r(text.data, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        struct rv_mountinfo m;
        if (parse(line, &m))
            each(ctx, &m);
    }
    return rc;
}
