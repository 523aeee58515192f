/* See isolation.h. Each part of ContainerInfo has a function, which fills its part or refuses it.
 */
#include "daemon/isolation.h"

#include <linux/capability.h>
#include <sys/resource.h>

#include "base/fixed.h"
#include "daemon/volumes.h"
#include "executor/unsupported.h"
#include "wire/codec.h"

/* Deprecated fields are still sent by clients. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

enum { MIB = 1024 * 1024, MAX_HOSTNAME = 64, FIRST_CAPABILITY = 1000 };

/* --- capabilities --- */

/* The wire's numbers are the kernel's plus FIRST_CAPABILITY. */
static int bits_of(const Reeve__V1__CapabilityInfo *m, const char *name, uint64_t *out,
                   struct rv_error *err) {
    uint64_t bits = 0;

    for (size_t i = 0; i < m->n_capabilities; i++) {
        int number = (int)m->capabilities[i] - FIRST_CAPABILITY;
        if (number < 0 || number > CAP_LAST_CAP)
            return rv_error_set(err, RV_ERR_INVALID, "%s: there is no capability %d", name,
                                (int)m->capabilities[i]);
        bits |= UINT64_C(1) << number;
    }
    *out = bits;
    return 0;
}

static void name_bits(uint64_t bits, struct rv_buf *out) {
    for (int i = 0; i <= CAP_LAST_CAP; i++)
        if (bits >> i & 1)
            rv_buf_printf(out, "%s%s", out->n ? ", " : "",
                          rv_wire_enum_name(&reeve__v1__capability_info__capability__descriptor,
                                            i + FIRST_CAPABILITY));
    if (!out->n)
        rv_buf_puts(out, "none");
}

static int within(uint64_t asked, uint64_t allowed, const char *name, const char *by,
                  struct rv_error *err) {
    _cleanup_(rv_buf_free) struct rv_buf more = {0}, may = {0};

    if (!(asked & ~allowed))
        return 0;
    name_bits(asked & ~allowed, &more);
    name_bits(allowed, &may);
    return rv_error_set(err, RV_ERR_PERMISSION, "%s: %s not allowed by %s: %s", name, more.data, by,
                        may.data);
}

static int capabilities(const struct rv_isolation_policy *p, const Reeve__V1__LinuxInfo *m,
                        struct rv_container_isolation *out, struct rv_error *err) {
    const Reeve__V1__CapabilityInfo *effective =
        m ? m->effective_capabilities ? m->effective_capabilities : m->capability_info : NULL;
    const char *name = effective && effective == m->capability_info
                           ? "container.linux_info.capability_info"
                           : "container.linux_info.effective_capabilities";
    int rc = 0;

    out->has_capabilities = true;
    out->bounding = p->bounding;
    out->effective = p->effective;
    out->ambient = p->effective_is_given || effective;
    if (m && m->bounding_capabilities) {
        static const char bounding[] = "container.linux_info.bounding_capabilities";
        rc = bits_of(m->bounding_capabilities, bounding, &out->bounding, err);
        if (!rc)
            rc = within(out->bounding, p->bounding, bounding, "--bounding_capabilities", err);
    }
    if (!rc && effective) {
        rc = bits_of(effective, name, &out->effective, err);
        if (!rc && m->bounding_capabilities)
            rc = within(out->effective, out->bounding, name, "bounding_capabilities", err);
        if (!rc)
            rc = within(out->effective, p->bounding, name, "--bounding_capabilities", err);
    }
    out->effective &= out->bounding;
    return rc;
}

/* --- namespaces --- */

static int ipc(const struct rv_isolation_policy *p, const struct rv_isolation_wish *wish,
               const Reeve__V1__LinuxInfo *m, struct rv_container_isolation *out,
               struct rv_error *err) {
    bool own = m->has_ipc_mode && m->ipc_mode == REEVE__V1__LINUX_INFO__IPC_MODE__PRIVATE;

    if (m->has_ipc_mode && m->ipc_mode == REEVE__V1__LINUX_INFO__IPC_MODE__UNKNOWN)
        return rv_error_set(err, RV_ERR_INVALID,
                            "container.linux_info.ipc_mode: must be PRIVATE or SHARE_PARENT");
    if (m->has_shm_size && !own)
        return rv_error_set(err, RV_ERR_INVALID,
                            "container.linux_info.shm_size: only with ipc_mode PRIVATE");
    if (own && wish->debug)
        return rv_error_set(err, RV_ERR_INVALID,
                            "container.linux_info.ipc_mode: a session shares its parent's");
    if (m->has_shm_size)
        out->shm_bytes = (uint64_t)m->shm_size * MIB;
    out->own_ipc = own && wish->nested;
    out->share_ipc = m->has_ipc_mode && !own && !wish->nested;
    if (out->share_ipc && !p->share_ipc)
        return rv_error_set(err, RV_ERR_PERMISSION,
                            "container.linux_info.ipc_mode: SHARE_PARENT needs an agent with "
                            "--no-disallow_sharing_agent_ipc_namespace: the parent is the machine");
    return 0;
}

static int linux_info(const struct rv_isolation_policy *p, const struct rv_isolation_wish *wish,
                      const Reeve__V1__LinuxInfo *m, struct rv_container_isolation *out,
                      struct rv_error *err) {
    out->share_pid_namespace = m->share_pid_namespace;
    if (m->share_pid_namespace && !wish->nested && !p->share_pids)
        return rv_error_set(err, RV_ERR_PERMISSION,
                            "container.linux_info.share_pid_namespace: true needs an agent with "
                            "--no-disallow_sharing_agent_pid_namespace: it shares the machine's");
    out->share_cgroup = wish->nested && m->share_cgroups;
    if (m->seccomp && m->seccomp->profile_name)
        return rv_error_set(err, RV_ERR_UNSUPPORTED,
                            "container.linux_info.seccomp.profile_name: there are no profiles but "
                            "the default");
    out->unconfined = m->seccomp && m->seccomp->unconfined;
    if (out->unconfined && !p->unconfined)
        return rv_error_set(err, RV_ERR_PERMISSION,
                            "container.linux_info.seccomp.unconfined: true needs an agent with "
                            "--allow_unconfined_seccomp");
    return ipc(p, wish, m, out, err);
}

static int networks(const struct rv_isolation_wish *wish, const Reeve__V1__ContainerInfo *m,
                    struct rv_container_isolation *out, struct rv_error *err) {
    for (size_t i = 0; i < m->n_network_infos; i++) {
        const Reeve__V1__NetworkInfo *n = m->network_infos[i];
        bool address = false;
        for (size_t k = 0; k < n->n_ip_addresses; k++)
            address = address || n->ip_addresses[k]->ip_address;
        if (n->name && !rv_streq(n->name, "none"))
            return rv_error_set(err, RV_ERR_UNSUPPORTED,
                                "container.network_infos.name: there is no network \"%.100s\"; "
                                "\"none\" is a network of its own, with loopback only",
                                n->name);
        if (n->name && (wish->executor || wish->debug))
            return rv_error_set(err, RV_ERR_UNSUPPORTED,
                                "container.network_infos.name: \"none\" is for containers that "
                                "the API makes: %s",
                                wish->debug ? "a session shares its parent's"
                                            : "an executor has to reach its agent");
        if (n->n_port_mappings)
            return rv_error_set(err, RV_ERR_UNSUPPORTED,
                                "container.network_infos.port_mappings: not supported: containers "
                                "use the machine's ports");
        if (address)
            return rv_error_set(err, RV_ERR_UNSUPPORTED,
                                "container.network_infos.ip_addresses: not supported: containers "
                                "have the machine's addresses");
        out->own_network = out->own_network || n->name;
    }
    return 0;
}

static int hostname(const struct rv_isolation_wish *wish, const char *name,
                    struct rv_container_isolation *out, struct rv_error *err) {
    size_t n = strlen(name);

    if (n == 0 || n > MAX_HOSTNAME ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") != n)
        return rv_error_set(err, RV_ERR_INVALID,
                            "container.hostname: 1 to %d letters, digits, '-', '.' and '_'",
                            MAX_HOSTNAME);
    if (wish->debug)
        return rv_error_set(err, RV_ERR_INVALID,
                            "container.hostname: a session shares its parent's");
    out->hostname = name;
    return 0;
}

/* --- limits --- */

static const int rlimit_numbers[] = {
    [REEVE__V1__RLIMIT_INFO__RLIMIT__TYPE__RLMT_AS] = RLIMIT_AS,
    [REEVE__V1__RLIMIT_INFO__RLIMIT__TYPE__RLMT_CORE] = RLIMIT_CORE,
    [REEVE__V1__RLIMIT_INFO__RLIMIT__TYPE__RLMT_CPU] = RLIMIT_CPU,
    [REEVE__V1__RLIMIT_INFO__RLIMIT__TYPE__RLMT_DATA] = RLIMIT_DATA,
    [REEVE__V1__RLIMIT_INFO__RLIMIT__TYPE__RLMT_FSIZE] = RLIMIT_FSIZE,
    [REEVE__V1__RLIMIT_INFO__RLIMIT__TYPE__RLMT_LOCKS] = RLIMIT_LOCKS,
    [REEVE__V1__RLIMIT_INFO__RLIMIT__TYPE__RLMT_MEMLOCK] = RLIMIT_MEMLOCK,
    [REEVE__V1__RLIMIT_INFO__RLIMIT__TYPE__RLMT_MSGQUEUE] = RLIMIT_MSGQUEUE,
    [REEVE__V1__RLIMIT_INFO__RLIMIT__TYPE__RLMT_NICE] = RLIMIT_NICE,
    [REEVE__V1__RLIMIT_INFO__RLIMIT__TYPE__RLMT_NOFILE] = RLIMIT_NOFILE,
    [REEVE__V1__RLIMIT_INFO__RLIMIT__TYPE__RLMT_NPROC] = RLIMIT_NPROC,
    [REEVE__V1__RLIMIT_INFO__RLIMIT__TYPE__RLMT_RSS] = RLIMIT_RSS,
    [REEVE__V1__RLIMIT_INFO__RLIMIT__TYPE__RLMT_RTPRIO] = RLIMIT_RTPRIO,
    [REEVE__V1__RLIMIT_INFO__RLIMIT__TYPE__RLMT_RTTIME] = RLIMIT_RTTIME,
    [REEVE__V1__RLIMIT_INFO__RLIMIT__TYPE__RLMT_SIGPENDING] = RLIMIT_SIGPENDING,
    [REEVE__V1__RLIMIT_INFO__RLIMIT__TYPE__RLMT_STACK] = RLIMIT_STACK,
};

static int rlimits(const Reeve__V1__RLimitInfo *m, struct rv_arena *arena,
                   struct rv_container_isolation *out, struct rv_error *err) {
    struct rv_container_rlimit *v = RV_ARENA_ARRAY(arena, struct rv_container_rlimit, m->n_rlimits);

    for (size_t i = 0; i < m->n_rlimits; i++) {
        const Reeve__V1__RLimitInfo__RLimit *r = m->rlimits[i];
        if (!r->has_type || (int)r->type <= REEVE__V1__RLIMIT_INFO__RLIMIT__TYPE__UNKNOWN ||
            (size_t)r->type >= RV_COUNT(rlimit_numbers))
            return rv_error_set(err, RV_ERR_INVALID,
                                "container.rlimit_info.rlimits[%zu].type: must be a known limit",
                                i);
        v[i].resource = rlimit_numbers[r->type];
        v[i].soft = r->has_soft ? r->soft : RLIM_INFINITY;
        v[i].hard = r->has_hard ? r->hard : RLIM_INFINITY;
        if (v[i].soft > v[i].hard)
            return rv_error_set(err, RV_ERR_INVALID,
                                "container.rlimit_info.rlimits[%zu].soft: over the hard limit", i);
    }
    out->rlimits = v;
    out->n_rlimits = m->n_rlimits;
    return 0;
}

struct rv_container_limits rv_isolation_limits(struct rv_limits l) {
    struct rv_container_limits out = {l.cpus, l.mem};

    if (l.cpus == RV_LIMIT_INFINITE)
        out.cpu_milli = -1;
    if (l.mem == RV_LIMIT_INFINITE)
        out.mem_bytes = -1;
    else if (l.mem > INT64_MAX / MIB)
        out.mem_bytes = INT64_MAX;
    else
        out.mem_bytes = l.mem * MIB / RV_FIXED_ONE;
    return out;
}

/* --- the whole --- */

/* Without isolation a path of the machine is seen at its own place. */
static bool seen_anyway(const Reeve__V1__Volume *v) {
    const char *path = v->host_path;

    if (v->source && v->source->host_path)
        path = v->source->host_path->path;
    return path && *path == '/' && rv_streq(path, v->container_path) &&
           v->mode == REEVE__V1__VOLUME__MODE__RW;
}

static const char *not_isolated(const struct rv_isolation_wish *wish) {
    const Reeve__V1__ContainerInfo *m = wish->container;

    if (m && m->rlimit_info)
        return "container.rlimit_info: not supported by the process containerizer";
    if (m && m->hostname)
        return "container.hostname: not supported by the process containerizer";
    if (rv_limits_given(wish->limits))
        return "limits: not supported by the process containerizer";
    if (!m)
        return NULL;
    Reeve__V1__ContainerInfo rest = *m;
    while (rest.n_volumes && seen_anyway(rest.volumes[rest.n_volumes - 1]))
        rest.n_volumes--;
    return rv_process_unsupported(&rest);
}

static const char *not_supported(const struct rv_isolation_wish *wish) {
    const Reeve__V1__ContainerInfo *m = wish->container;

    if (m->type == REEVE__V1__CONTAINER_INFO__TYPE__DOCKER)
        return "container.type: DOCKER is not supported";
    if (m->mesos && m->mesos->image)
        return "container.mesos.image: images are not supported";
    if (m->n_volumes && wish->debug)
        return "container.volumes: a session shares its parent's";
    return NULL;
}

int rv_isolation_from(const struct rv_isolation_policy *p, const struct rv_isolation_wish *wish,
                      struct rv_arena *arena, struct rv_container_isolation *out,
                      struct rv_error *err) {
    const Reeve__V1__ContainerInfo *m = wish->container;
    struct rv_container_isolation i = {.debug = wish->debug,
                                       .share_cgroup = wish->nested,
                                       .bursts = wish->nested || wish->command,
                                       .shm_bytes = p->default_shm_bytes,
                                       .limits = rv_isolation_limits(wish->limits)};
    const char *problem = !p->isolates ? not_isolated(wish) : m ? not_supported(wish) : NULL;
    int rc = problem ? rv_error_set(err, RV_ERR_UNSUPPORTED, "%s", problem) : 0;

    if (!rc)
        rc = capabilities(p, m ? m->linux_info : NULL, &i, err);
    if (!rc && m && m->linux_info)
        rc = linux_info(p, wish, m->linux_info, &i, err);
    if (!rc && m && m->hostname)
        rc = hostname(wish, m->hostname, &i, err);
    if (!rc && m && m->rlimit_info)
        rc = rlimits(m->rlimit_info, arena, &i, err);
    if (!rc && m)
        rc = networks(wish, m, &i, err);
    if (!rc && m)
        rc = rv_volumes_from(m, p->secrets, wish->nested, arena, &i, err);
    if (!rc)
        *out = i;
    return rc;
}

/* --- the operator's flags --- */

static int capability_flag(const char *name, const char *text, uint64_t *out,
                           struct rv_error *err) {
    _cleanup_(rv_arena_free) struct rv_arena arena;
    ProtobufCMessage *m;
    int rc;

    rv_arena_init(&arena);
    rc = rv_wire_decode(&reeve__v1__capability_info__descriptor, RV_ENC_JSON, rv_str(text), NULL,
                        &arena, &m, err);
    if (!rc)
        return bits_of((const Reeve__V1__CapabilityInfo *)(const void *)m, name, out, err);
    rv_error_prefix(err, "%s: not as {\"capabilities\": [\"NET_RAW\"]}", name);
    return rc;
}

int rv_isolation_policy_read(const struct rv_agent_flags *f, struct rv_isolation_policy *out,
                             struct rv_error *err) {
    struct rv_isolation_policy p = {
        .bounding = rv_linux_default_capabilities,
        .effective = rv_linux_default_capabilities,
        .effective_is_given = f->effective_capabilities != NULL,
        .share_pids = !f->disallow_sharing_agent_pid_namespace,
        .share_ipc = !f->disallow_sharing_agent_ipc_namespace,
        .unconfined = f->allow_unconfined_seccomp,
        .default_shm_bytes = (uint64_t)f->default_container_shm_size,
    };
    int rc = 0;

    if (f->bounding_capabilities)
        rc = capability_flag("--bounding_capabilities", f->bounding_capabilities, &p.bounding, err);
    p.effective &= p.bounding;
    if (!rc && f->effective_capabilities)
        rc = capability_flag("--effective_capabilities", f->effective_capabilities, &p.effective,
                             err);
    if (!rc && f->effective_capabilities)
        rc = within(p.effective, p.bounding, "--effective_capabilities", "--bounding_capabilities",
                    err);
    if (!rc)
        *out = p;
    return rc;
}
