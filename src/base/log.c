/*
 * The log of the shells. The level and the descriptor are the process's; they may be read from any
 * thread. A record is built in full and leaves by one write(2), so that lines of several
 * processes do not mix. Nothing a peer sends can start a line of its own or reach a terminal as a
 * control sequence. errno survives.
 */
#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"

static const char *const names[] = {"error", "warning", "info", "debug", "trace"};

static atomic_int current_level = RV_LOG_INFO;
static atomic_int current_fd = STDERR_FILENO;

const char *rv_log_level_name(enum rv_log_level level) {
    return (size_t)level < RV_COUNT(names) ? names[level] : "unknown";
}

int rv_log_level_parse(const char *name) {
    for (size_t i = 0; i < RV_COUNT(names); i++) {
        if (rv_streq(names[i], name))
            return (int)i;
    }
    return -1;
}

void rv_log_set_level(enum rv_log_level level) {
    atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

enum rv_log_level rv_log_get_level(void) {
    return (enum rv_log_level)atomic_load_explicit(&current_level, memory_order_relaxed);
}

void rv_log_set_fd(int fd) {
    atomic_store_explicit(&current_fd, fd, memory_order_relaxed);
}

/* The length of the valid UTF-8 character at p that is no control character, or 0. */
static size_t printable(const unsigned char *p, size_t n) {
    size_t length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    uint32_t c;

    if (p[0] < 0x80)
        return p[0] >= 0x20 && p[0] != 0x7f;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n < length)
        return 0;
    c = p[0] & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    /* C1 controls, overlong forms, surrogates, and what is beyond Unicode */
    if (c < 0xa0 || (length == 3 && c < 0x800) || (length == 4 && c < 0x10000) ||
        (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
        return 0;
    return length;
}

static void put_escaped(struct rv_buf *b, const char *s, size_t n) {
    const unsigned char *p = (const unsigned char *)s;
    size_t at = 0, length;

    while (at < n) {
        length = printable(p + at, n - at);
        if (length) {
            rv_buf_append(b, p + at, length);
            at += length;
            continue;
        }
        if (p[at] == '\n')
            rv_buf_puts(b, "\\n");
        else if (p[at] == '\t')
            rv_buf_puts(b, "\\t");
        else if (p[at] == '\r')
            rv_buf_puts(b, "\\r");
        else
            rv_buf_printf(b, "\\x%02x", p[at]);
        at++;
    }
}

static void put_time(struct rv_buf *b) {
    struct timespec now;
    struct tm tm;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    rv_buf_printf(b, "%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ", tm.tm_year + 1900, tm.tm_mon + 1,
                  tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, now.tv_nsec / 1000);
}

void rv_log(enum rv_log_level level, const char *module, const char *format, ...) {
    _cleanup_(rv_buf_free) struct rv_buf line = {.n = 0};
    _cleanup_free_ char *text = NULL;
    int saved = errno, n;
    ssize_t written;
    va_list ap;

    if (level > rv_log_get_level())
        return;
    va_start(ap, format);
    n = vasprintf(&text, format, ap); /* sees the caller's errno, for %m */
    va_end(ap);
    if (n < 0) {
        text = rv_strdup("(message cannot be formatted)");
        n = (int)strlen(text);
    }
    put_time(&line);
    rv_buf_printf(&line, " %s ", rv_log_level_name(level));
    put_escaped(&line, module, strlen(module));
    rv_buf_putc(&line, ' ');
    put_escaped(&line, text, (size_t)n);
    rv_buf_putc(&line, '\n');
    do {
        written = write(atomic_load_explicit(&current_fd, memory_order_relaxed), line.data, line.n);
    } while (written < 0 && errno == EINTR);
    errno = saved;
}
