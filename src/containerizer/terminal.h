/*
 * The agent's end of a container's terminal, and the pipe that tells init that somebody reads it
 * (src/executor/init_terminal.c). Both are given up together: then init reads it, if it keeps the
 * terminal, and else the command loses it.
 */
#ifndef RV_CONTAINERIZER_TERMINAL_H
#define RV_CONTAINERIZER_TERMINAL_H

struct rv_terminal {
    int fd;       /* does not block; -1: there is none */
    int lifeline; /* held open while fd is read; -1: init does not keep the terminal */
};
#define RV_NO_TERMINAL ((struct rv_terminal){-1, -1})

void rv_terminal_close(struct rv_terminal *t);
/* The caller's from then on. */
struct rv_terminal rv_terminal_move(struct rv_terminal *t);
/* From an init that keeps one, and that is certain to be ours; none if that has ended, or, which is
 * logged, if the kernel does not allow it: init reads it then. */
struct rv_terminal rv_terminal_retake(int init_pidfd, const char *container_id);

#endif
