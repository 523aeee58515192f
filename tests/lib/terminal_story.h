/* What is told at a container's terminal, while there is an agent and while there is none. */
#ifndef RV_TESTS_TERMINAL_STORY_H
#define RV_TESTS_TERMINAL_STORY_H

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "containerizer/terminal.h"

/* A script that says so if its terminal goes, and that goes on at words typed and at files in its
 * sandbox. In between it writes more than a terminal holds. */
#define RV_TERMINAL_STORY                                                                          \
    "trap 'echo hangup; exit 1' HUP; read a; echo got $a; stty size; "                             \
    "while ! test -e go; do sleep 0.05; done; head -c 100000 /dev/zero | tr '\\0' x; echo alone; " \
    "read b; echo got $b; stty size; "                                                             \
    "while ! test -e end; do sleep 0.05; done; echo last words; exit 7"

enum { TERMINAL_WAIT_MS = 60000 };

/* What comes, up to a text or the end; the caller's. */
static inline char *read_terminal_until(const struct rv_terminal *t, const char *last) {
    struct pollfd p = {.fd = t->fd, .events = POLLIN};
    struct rv_buf text = {0};
    char bytes[256];
    ssize_t n;

    rv_buf_append(&text, "", 0);
    while (!strstr(text.data, last) && poll(&p, 1, TERMINAL_WAIT_MS) > 0 &&
           (n = read(t->fd, bytes, sizeof bytes)) > 0)
        rv_buf_append(&text, bytes, (size_t)n);
    return text.data;
}

/* Somebody who is there types and reads. */
static inline void converse(const struct rv_terminal *t, const char *typed, const char *want) {
    _cleanup_free_ char *text = NULL;

    assert_true(t->fd >= 0 && t->lifeline >= 0);
    assert_int_equal(write(t->fd, typed, strlen(typed)), strlen(typed));
    text = read_terminal_until(t, want);
    if (!strstr(text, want))
        fail_msg("no '%s' in '%s'", want, text);
}

/* Takes the path. */
static inline void await_in_file(char *path, const char *want) {
    for (int i = 0; i < TERMINAL_WAIT_MS / 10; i++, usleep(10000)) {
        _cleanup_(rv_buf_free) struct rv_buf text = {0};
        char bytes[4096];
        FILE *file = fopen(path, "re");
        size_t n;
        rv_buf_append(&text, "", 0);
        while (file && (n = fread(bytes, 1, sizeof bytes, file)) > 0)
            rv_buf_append(&text, bytes, n);
        if (file)
            fclose(file);
        assert_null(strstr(text.data, "hangup"));
        if (strstr(text.data, want)) {
            free(path);
            return;
        }
    }
    fail_msg("%s never had '%s'", path, want);
}

#endif
