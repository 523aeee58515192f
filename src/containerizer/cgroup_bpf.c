/*
 * The allow-list of devices on cgroups v2: there is no controller for it, but a BPF program that
 * the kernel asks at each open and mknod. It is written here, instruction by instruction, from the
 * list. Holds: a group has at most one program of ours, replaced in one step; its name has the hash
 * of the list in it, so that setting the same again costs no new program. Programs of groups above
 * are asked too, all have to agree.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "containerizer/cgroup_internal.h"

enum { MAX_PROGRAMS = 64 };

struct code {
    struct bpf_insn *v;
    size_t n, cap;
};

static int bpf(enum bpf_cmd command, union bpf_attr *attr) {
    int rc;

    do {
        rc = (int)syscall(SYS_bpf, command, attr, sizeof *attr);
    } while (rc < 0 && errno == EAGAIN); /* loading was interrupted by a signal */
    return rc < 0 ? -errno : rc;
}

/* `offset` is a jump's, in instructions, or a load's, in bytes. */
static void emit(struct code *code, int op, int to, int from, int offset, int32_t value) {
    struct bpf_insn i = {.code = (__u8)op, .off = (__s16)offset, .imm = value};

    i.dst_reg = (__u8)(to & 15);
    i.src_reg = (__u8)(from & 15);
    rv_vec_push(code, i);
}

/* r1 is the kernel's question, of 32-bit words: access << 16 | type, major, minor. Yes is 1. */
static void write_program(const struct rv_cgroup_rules *rules, struct code *code) {
    emit(code, BPF_LDX | BPF_W | BPF_MEM, BPF_REG_2, BPF_REG_1, 0, 0);
    emit(code, BPF_ALU | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0);
    emit(code, BPF_ALU | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff); /* type */
    emit(code, BPF_ALU | BPF_RSH | BPF_K, BPF_REG_3, 0, 0, 16);     /* access */
    emit(code, BPF_LDX | BPF_W | BPF_MEM, BPF_REG_4, BPF_REG_1, 4, 0);
    emit(code, BPF_LDX | BPF_W | BPF_MEM, BPF_REG_5, BPF_REG_1, 8, 0);
    for (size_t i = 0; i < rules->n; i++) {
        const struct rv_cgroup_rule *r = &rules->v[i];
        size_t from = code->n;
        emit(code, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_2, 0, 0,
             r->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
        /* Nothing may be asked that is not allowed. */
        emit(code, BPF_ALU | BPF_MOV | BPF_X, BPF_REG_0, BPF_REG_3, 0, 0);
        emit(code, BPF_ALU | BPF_AND | BPF_K, BPF_REG_0, 0, 0, ~(int32_t)r->access);
        emit(code, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 0, 0);
        if (r->major >= 0)
            emit(code, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_4, 0, 0, r->major);
        if (r->minor >= 0)
            emit(code, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_5, 0, 0, r->minor);
        emit(code, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 1);
        emit(code, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
        for (size_t k = from; k < code->n; k++) /* to the next rule */
            if (code->v[k].code == (BPF_JMP | BPF_JNE | BPF_K))
                code->v[k].off = (__s16)(code->n - k - 1);
    }
    emit(code, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0);
    emit(code, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* The program's descriptor or -errno. */
static int load(const struct rv_cgroup_rules *rules, const char *name) {
    struct code code = {0};
    union bpf_attr attr;
    int rc;

    write_program(rules, &code);
    memset(&attr, 0, sizeof attr);
    attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attr.insns = (uintptr_t)code.v;
    attr.insn_cnt = (__u32)code.n;
    attr.license = (uintptr_t) "Apache-2.0";
    snprintf(attr.prog_name, sizeof attr.prog_name, "%s", name);
    rc = bpf(BPF_PROG_LOAD, &attr);
    rv_vec_free(&code);
    return rc;
}

/* The program of ours at the group: its descriptor and name, or -ENOENT. */
static int find(int group, char name[BPF_OBJ_NAME_LEN]) {
    __u32 ids[MAX_PROGRAMS];
    union bpf_attr attr;
    int rc;

    memset(&attr, 0, sizeof attr);
    attr.query.target_fd = (__u32)group;
    attr.query.attach_type = BPF_CGROUP_DEVICE;
    attr.query.prog_ids = (uintptr_t)ids;
    attr.query.prog_cnt = MAX_PROGRAMS;
    rc = bpf(BPF_PROG_QUERY, &attr);
    if (rc < 0)
        return rc;
    for (__u32 i = 0, n = attr.query.prog_cnt; i < n; i++) {
        struct bpf_prog_info info = {0};
        int fd;
        memset(&attr, 0, sizeof attr);
        attr.prog_id = ids[i];
        fd = bpf(BPF_PROG_GET_FD_BY_ID, &attr);
        if (fd < 0)
            continue;
        memset(&attr, 0, sizeof attr);
        attr.info.bpf_fd = (__u32)fd;
        attr.info.info_len = sizeof info;
        attr.info.info = (uintptr_t)&info;
        if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) >= 0 && rv_starts_with(info.name, "rv_")) {
            memcpy(name, info.name, BPF_OBJ_NAME_LEN);
            return fd;
        }
        close(fd);
    }
    return -ENOENT;
}

static void name_of(const struct rv_cgroup_rules *rules, char name[BPF_OBJ_NAME_LEN]) {
    _cleanup_(rv_buf_free) struct rv_buf text = {0};

    for (size_t i = 0; i < rules->n; i++)
        rv_buf_printf(&text, "%c%d:%d:%d ", rules->v[i].type, (int)rules->v[i].major,
                      (int)rules->v[i].minor, rules->v[i].access);
    /* 15 characters is what the kernel keeps. */
    snprintf(name, BPF_OBJ_NAME_LEN, "rv_%012llx",
             (unsigned long long)(rv_hash(text.data, text.n) & 0xffffffffffffULL));
}

int rv_cgroup_bpf_set(const char *dir, const struct rv_cgroup_rules *rules, struct rv_error *err) {
    char name[BPF_OBJ_NAME_LEN], old_name[BPF_OBJ_NAME_LEN] = "";
    int group = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), program = -1, old, rc;
    union bpf_attr attr;

    if (group < 0)
        return rv_cgroup_fail(err, errno, "cannot open", dir, NULL);
    name_of(rules, name);
    old = find(group, old_name);
    rc = old >= 0 && rv_streq(name, old_name) ? 1 : 0;
    if (rc == 0) {
        program = load(rules, name);
        rc = program < 0 ? program : 0;
    }
    if (rc == 0) {
        memset(&attr, 0, sizeof attr);
        attr.target_fd = (__u32)group;
        attr.attach_bpf_fd = (__u32)program;
        attr.attach_type = BPF_CGROUP_DEVICE;
        attr.attach_flags = BPF_F_ALLOW_MULTI;
        if (old >= 0) {
            attr.attach_flags |= BPF_F_REPLACE;
            attr.replace_bpf_fd = (__u32)old;
        }
        rc = bpf(BPF_PROG_ATTACH, &attr);
    }
    if (program >= 0)
        close(program); /* the group holds it */
    if (old >= 0)
        close(old);
    close(group);
    if (rc >= 0)
        return 0;
    return rv_error_set(err, rc == -EPERM ? RV_ERR_PERMISSION : RV_ERR_UNSUPPORTED,
                        "cannot limit the devices of %s, which takes a BPF program: %s%s", dir,
                        strerror(-rc),
                        rc == -EPERM ? " (CAP_BPF and CAP_NET_ADMIN are needed)" : "");
}

int rv_cgroup_bpf_probe(void) {
    int fd = load(&(struct rv_cgroup_rules){0}, "rv_probe");

    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}
