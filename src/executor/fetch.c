/* See fetch.h. */
#include "executor/fetch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "fetcher/request.h"

static _Noreturn void child(const char *program, int input, int output) {
    char *argv[] = {(char *)(uintptr_t)program, NULL};
    sigset_t none;

    setsid();
    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(input, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0)
        execv(program, argv);
    dprintf(output, "Failed to fetch: cannot run %s: %s\n", program, strerror(errno));
    _exit(127);
}

int rv_executor_fetch(const Reeve__V1__CommandInfo *command, const char *directory, pid_t *pid,
                      int *output, struct rv_error *err) {
    const char *program = getenv("REEVE_FETCHER"), *size = getenv("REEVE_FETCHER_MAX_SIZE"),
               *stall = getenv("REEVE_FETCHER_STALL_TIMEOUT");
    Reeve__V1__Fetch__Request base = REEVE__V1__FETCH__REQUEST__INIT;
    int in = -1, out = -1;
    int64_t ns;

    if (!program)
        return rv_error_set(err, RV_ERR_UNSUPPORTED,
                            "command.uris: the agent named no fetcher to this executor");
    base.directory = (char *)(uintptr_t)directory;
    base.user = geteuid() == 0 ? command->user : NULL;
    base.has_max_bytes = size && rv_parse_u64(size, UINT64_MAX, &base.max_bytes) == 0;
    base.has_stall_timeout_ms = stall && rv_parse_duration_ns(stall, &ns) == 0;
    if (base.has_stall_timeout_ms)
        base.stall_timeout_ms = (uint64_t)ns / 1000000;
    int r = rv_fetch_output_open(&out, err);
    if (!r)
        r = rv_fetch_request_open(command, &base, &in, err);
    pid_t p = r ? -1 : fork();
    if (p == 0)
        child(program, in, out);
    if (!r && p < 0)
        r = rv_error_set(err, RV_ERR_IO, "fork: %s", strerror(errno));
    if (in >= 0)
        close(in);
    if (r && out >= 0)
        close(out);
    if (r)
        return r;
    *pid = p;
    *output = out;
    return 0;
}
