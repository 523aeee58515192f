/*
 * What an agent has: --resources and --attributes, and for what they do not name, what the machine
 * has. The rules are those of attributes-resources.md: a GiB of memory and 5 GiB of disk, or half
 * if there is less than twice that, are left to the system; ports are 31000 to 32000.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "daemon/agent_daemon.h"
#include "daemon/version.h"
#include "wire/resources_codec.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static int64_t cpus(void) {
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
}

static uint64_t mem_bytes(void) {
    FILE *f = fopen("/proc/meminfo", "re");
    static const char name[] = "MemTotal:";
    unsigned long long kib = 0;
    char line[128];

    while (f && kib == 0 && fgets(line, sizeof line, f))
        if (rv_starts_with(line, name))
            kib = strtoull(line + strlen(name), NULL, 10);
    if (f)
        fclose(f);
    return (uint64_t)kib * 1024;
}

/* Of the whole file system: what is free changes, and the agent is to be the same again. */
static uint64_t disk_bytes(const char *path) {
    struct statvfs s;

    return statvfs(path, &s) ? 0 : (uint64_t)s.f_blocks * s.f_frsize;
}

static int64_t leave(uint64_t bytes, uint64_t system) {
    return (int64_t)((bytes > 2 * system ? bytes - system : bytes / 2) / MIB);
}

static bool named(const struct rv_resources *r, const char *name) {
    for (size_t i = 0; i < r->n; i++)
        if (rv_streq(r->v[i].kind->name, name))
            return true;
    return false;
}

static void add_detected(struct rv_resources *r, const char *role, const char *name,
                         const char *format, int64_t amount, struct rv_agent_detected *detected) {
    struct rv_resources one = {0};
    char text[64];

    if (named(r, name))
        return;
    if (detected)
        detected->v[detected->n++] = name;
    snprintf(text, sizeof text, format, (long long)amount);
    if (!rv_resources_parse(text, role, &one, NULL))
        rv_resources_add(r, &one);
    rv_resources_free(&one);
}

static int parse_domain(const char *text, struct rv_agent_info *out, struct rv_error *err) {
    const char *slash = text ? strchr(text, '/') : NULL;

    if (!text)
        return 0;
    if (!slash || slash == text || !slash[1])
        return rv_error_set(err, RV_ERR_INVALID, "--domain: \"%s\" is not region/zone", text);
    out->region = rv_strndup(text, (size_t)(slash - text));
    out->zone = rv_strdup(slash + 1);
    Reeve__V1__DomainInfo__FaultDomain__RegionInfo region =
        REEVE__V1__DOMAIN_INFO__FAULT_DOMAIN__REGION_INFO__INIT;
    Reeve__V1__DomainInfo__FaultDomain__ZoneInfo zone =
        REEVE__V1__DOMAIN_INFO__FAULT_DOMAIN__ZONE_INFO__INIT;
    Reeve__V1__DomainInfo__FaultDomain fault = REEVE__V1__DOMAIN_INFO__FAULT_DOMAIN__INIT;
    Reeve__V1__DomainInfo domain = REEVE__V1__DOMAIN_INFO__INIT;
    region.name = out->region;
    zone.name = out->zone;
    fault.region = &region;
    fault.zone = &zone;
    domain.fault_domain = &fault;
    out->domain = rv_wire_pack(&domain.base);
    return 0;
}

int rv_agent_detect(const struct rv_agent_flags *flags, struct rv_agent_info *out,
                    struct rv_agent_detected *detected, struct rv_error *err) {
    const char *role = flags->default_role;
    int r = 0;

    if (rv_role_problem(role))
        return rv_error_set(err, RV_ERR_INVALID, "--default_role: \"%s\": %s", role,
                            rv_role_problem(role));
    if (flags->resources) {
        r = rv_wire_resources_parse_flag(flags->resources, role, &out->resources, err);
        if (!r)
            r = rv_resources_validate(&out->resources, err);
        if (r) {
            rv_error_prefix(err, "--resources");
            return r;
        }
    }
    add_detected(&out->resources, role, "cpus", "cpus:%lld", cpus(), detected);
    add_detected(&out->resources, role, "mem", "mem:%lld", leave(mem_bytes(), GIB), detected);
    add_detected(&out->resources, role, "disk", "disk:%lld",
                 leave(disk_bytes(flags->work_dir), 5 * GIB), detected);
    add_detected(&out->resources, role, "ports", "ports:[31000-%lld]", 32000, detected);
    if (flags->attributes) {
        r = rv_attributes_parse(flags->attributes, &out->attributes, err);
        if (r) {
            rv_error_prefix(err, "--attributes");
            return r;
        }
    }
    r = parse_domain(flags->domain, out, err);
    out->version = rv_strdup(RV_API_VERSION);
    out->capabilities = 1u << RV_AGENT_MULTI_ROLE | 1u << RV_AGENT_HIERARCHICAL_ROLE |
                        1u << RV_AGENT_RESERVATION_REFINEMENT | 1u << RV_AGENT_AGENT_DRAINING |
                        1u << RV_AGENT_AGENT_OPERATION_FEEDBACK | 1u << RV_AGENT_RESIZE_VOLUME;
    return r;
}
