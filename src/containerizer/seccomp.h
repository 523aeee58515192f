/*
 * The seccomp profile of containers: which system calls their processes may make. An allow-list, as
 * data, in the spirit of the common default of containers; compiled once, at the agent's start, to
 * the kernel's filter program, which the init of each container loads before the command executes.
 *
 * Not there at all (ENOSYS, so that libraries fall back to what is): whatever the list does not
 * know, clone3 (its flags cannot be looked at) and io_uring (operations that pass by any filter).
 * Refused (EPERM): mounts, namespaces (setns; clone and unshare with a CLONE_NEW flag), keys, bpf,
 * perf, userfaultfd, kernel modules, kexec, open_by_handle_at, clocks, swap, quotas and the like.
 * Without effect on ptrace: it stays within the container's process namespace.
 */
#ifndef RV_CONTAINERIZER_SECCOMP_H
#define RV_CONTAINERIZER_SECCOMP_H

#include "base/error.h"
#include "base/str.h"

/* Appends the program, an array of struct sock_filter. Costs some milliseconds. */
RV_MUST_USE int rv_seccomp_compile(struct rv_buf *out, struct rv_error *err);

#endif
