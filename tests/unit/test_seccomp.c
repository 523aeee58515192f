/* The seccomp profile: what the compiled program answers, run here as the kernel would. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <seccomp.h>

#include "containerizer/seccomp.h"

#define ALLOWED SECCOMP_RET_ALLOW
#define REFUSED (SECCOMP_RET_ERRNO | EPERM)
#define NOT_THERE (SECCOMP_RET_ERRNO | ENOSYS)

static struct rv_buf program;

/* The part of BPF that profiles are made of. */
static uint32_t run(const struct seccomp_data *data) {
    const struct sock_filter *code = (const void *)program.data;
    size_t n = program.n / sizeof *code, at = 0;
    uint32_t a = 0;

    while (at < n) {
        const struct sock_filter *f = &code[at++];
        switch (f->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            assert_true(f->k <= sizeof *data - sizeof a);
            memcpy(&a, (const char *)data + f->k, sizeof a);
            break;
        case BPF_JMP | BPF_JA:
            at += f->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            at += a == f->k ? f->jt : f->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            at += a >= f->k ? f->jt : f->jf;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            at += a & f->k ? f->jt : f->jf;
            break;
        case BPF_RET | BPF_K:
            return f->k;
        default:
            fail_msg("instruction %#x", f->code);
        }
    }
    fail_msg("the program has no end");
    return 0;
}

static uint32_t answer_number(uint32_t architecture, int number, uint64_t argument) {
    struct seccomp_data data = {.nr = number, .arch = architecture, .args = {argument}};

    return run(&data);
}

static uint32_t answer(const char *call, uint64_t argument) {
    int number = seccomp_syscall_resolve_name(call);

    assert_true(number >= 0);
    return answer_number(seccomp_arch_native(), number, argument);
}

static int setup(void **state) {
    struct rv_error err = {0};

    (void)state;
    if (rv_seccomp_compile(&program, &err))
        fail_msg("%s", err.message);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    rv_buf_free(&program);
    return 0;
}

static void test_each_call_has_its_answer(void **state) {
    static const char *const allowed[] = {"read",   "execve",     "openat",
                                          "ptrace", "exit_group", "landlock_restrict_self",
                                          "wait4",  "futex"};
    static const char *const refused[] = {"mount",   "setns",   "keyctl",     "bpf",
                                          "umount2", "add_key", "kexec_load", "init_module"};
    static const char *const not_there[] = {"clone3", "io_uring_setup", "io_uring_enter"};

    (void)state;
    for (size_t i = 0; i < RV_COUNT(allowed); i++)
        assert_int_equal(answer(allowed[i], 0), ALLOWED);
    for (size_t i = 0; i < RV_COUNT(refused); i++)
        assert_int_equal(answer(refused[i], 0), REFUSED);
    for (size_t i = 0; i < RV_COUNT(not_there); i++)
        assert_int_equal(answer(not_there[i], 0), NOT_THERE);
}

static void test_what_nobody_knows_is_not_there(void **state) {
    (void)state;
    for (int number = 1000; number < 2000; number++)
        assert_int_equal(answer_number(seccomp_arch_native(), number, 0), NOT_THERE);
    assert_int_equal(answer_number(seccomp_arch_native(), -1, 0), NOT_THERE);
    /* The third numbering of x86-64. */
    assert_int_equal(answer_number(seccomp_arch_native(), 0x40000000, 0), NOT_THERE);
    assert_int_equal(answer_number(0x12345678, 0, 0), SECCOMP_RET_KILL_PROCESS);
}

static void test_looks_at_arguments(void **state) {
    (void)state;
    assert_int_equal(answer("socket", AF_INET6), ALLOWED);
    assert_int_equal(answer("socket", AF_PACKET), REFUSED);
    assert_int_equal(answer("socket", AF_BLUETOOTH), NOT_THERE);
    assert_int_equal(answer("socket", AF_INET | UINT64_C(1) << 32), NOT_THERE);
    assert_int_equal(answer("personality", 0xffffffff), ALLOWED);
    assert_int_equal(answer("personality", 0x0400000), NOT_THERE);
    assert_int_equal(answer("clone", CLONE_VM | CLONE_VFORK | 17), ALLOWED);
    assert_int_equal(answer("clone", CLONE_NEWUSER | 17), REFUSED);
    assert_int_equal(answer("unshare", CLONE_FILES), ALLOWED);
    assert_int_equal(answer("unshare", CLONE_NEWTIME), REFUSED);
    assert_int_equal(answer("unshare", CLONE_NEWNET | CLONE_FS), REFUSED);
}

/* The kernel looks at 32 bits of the second argument, whatever the others are. */
static void test_quotas_of_projects_are_not_left(void **state) {
    static const uint64_t refused[] = {FS_IOC_FSSETXATTR, FS_IOC_SETFLAGS, FS_IOC32_SETFLAGS,
                                       FS_IOC_FSSETXATTR | UINT64_C(1) << 40};
    int number = seccomp_syscall_resolve_name("ioctl");

    (void)state;
    for (size_t i = 0; i < RV_COUNT(refused); i++) {
        struct seccomp_data data = {
            .nr = number, .arch = seccomp_arch_native(), .args = {1, refused[i]}};
        assert_int_equal(run(&data), REFUSED);
    }
    assert_int_equal(answer("ioctl", FS_IOC_FSSETXATTR), ALLOWED); /* as the first: a descriptor */
}

#if defined(__x86_64__)
static void test_old_numbers_too(void **state) {
    enum { OLD_SOCKET = 359, OLD_SOCKETCALL = 102, OLD_MOUNT = 21, OLD_READ = 3 };

    (void)state;
    assert_int_equal(answer_number(SCMP_ARCH_X86, OLD_READ, 0), ALLOWED);
    assert_int_equal(answer_number(SCMP_ARCH_X86, OLD_SOCKETCALL, 0), ALLOWED);
    assert_int_equal(answer_number(SCMP_ARCH_X86, OLD_SOCKET, AF_UNIX), ALLOWED);
    assert_int_equal(answer_number(SCMP_ARCH_X86, OLD_SOCKET, AF_VSOCK), REFUSED);
    assert_int_equal(answer_number(SCMP_ARCH_X86, OLD_MOUNT, 0), REFUSED);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_call_has_its_answer),
        cmocka_unit_test(test_what_nobody_knows_is_not_there),
        cmocka_unit_test(test_looks_at_arguments),
        cmocka_unit_test(test_quotas_of_projects_are_not_left),
#if defined(__x86_64__)
        cmocka_unit_test(test_old_numbers_too),
#endif
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
