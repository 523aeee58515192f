/*
 * The socket between a container's init (src/executor/init.h) and whoever starts it, until the
 * command runs: init waits for the word that it was written down, passes the terminal that it has
 * made, if it is to make one, and tells why it cannot go on. What is closed without a word has
 * worked.
 */
#ifndef RV_CONTAINERIZER_REPORT_H
#define RV_CONTAINERIZER_REPORT_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"
#include "containerizer/terminal.h"

struct rv_report {
    int fd;                      /* ours; -1: not open */
    struct rv_terminal terminal; /* what is ours of it, until it is taken */
    struct rv_buf text;          /* why it does not run; empty: it does */
};

/* theirs: init's end, the caller's to close. On failure nothing is open. */
RV_MUST_USE int rv_report_open(struct rv_report *r, int *theirs, struct rv_error *err);
/* Init may go on: its container will be found again. If it has ended, what it said tells why. */
RV_MUST_USE int rv_report_go(const struct rv_report *r, struct rv_error *err);
/* Takes what there is, without waiting; true: that was all. */
bool rv_report_read(struct rv_report *r);
/* Waits, but not longer than this. -RV_ERR_IO says why the command does not run. */
RV_MUST_USE int rv_report_await(struct rv_report *r, int timeout_ms, struct rv_error *err);
/* But not the socket, if `keep`: somebody else closes it. */
void rv_report_free(struct rv_report *r, bool keep);

#endif
