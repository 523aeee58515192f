/* From ContainerInfo to what the containerizer does, and what is refused on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <linux/capability.h>
#include <sys/resource.h>

#include "daemon/isolation.h"
#include "daemon/volumes.h"
#include "wire/codec.h"

#define BIT(capability) (UINT64_C(1) << (capability))
#define LINUX(text) "{\"type\": \"MESOS\", \"linux_info\": {" text "}}"
#define EFFECTIVE(names) "\"effective_capabilities\": {\"capabilities\": [" names "]}"
#define BOUNDING(names) "\"bounding_capabilities\": {\"capabilities\": [" names "]}"

static struct rv_arena arena;

static int set_up(void **state) {
    (void)state;
    rv_arena_init(&arena);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    rv_arena_free(&arena);
    return 0;
}

static struct rv_isolation_policy policy_of(const struct rv_agent_flags *flags) {
    struct rv_isolation_policy policy;
    struct rv_error err;

    if (rv_isolation_policy_read(flags, &policy, &err))
        fail_msg("%s", err.message);
    policy.isolates = true;
    return policy;
}

static const struct rv_agent_flags by_default = {.disallow_sharing_agent_pid_namespace = true,
                                                 .disallow_sharing_agent_ipc_namespace = true};

static const Reeve__V1__ContainerInfo *container_of(const char *json) {
    ProtobufCMessage *m;
    struct rv_error err;

    if (rv_wire_decode(&reeve__v1__container_info__descriptor, RV_ENC_JSON, rv_str(json), NULL,
                       &arena, &m, &err))
        fail_msg("%s: %s", json, err.message);
    return (const void *)m;
}

static struct rv_container_isolation given(const struct rv_agent_flags *flags, const char *json,
                                           struct rv_isolation_wish wish) {
    struct rv_isolation_policy policy = policy_of(flags);
    struct rv_container_isolation out;
    struct rv_error err;

    wish.container = json ? container_of(json) : NULL;
    if (rv_isolation_from(&policy, &wish, &arena, &out, &err))
        fail_msg("%s: %s", json, err.message);
    return out;
}

static void refused(const struct rv_agent_flags *flags, const char *json,
                    struct rv_isolation_wish wish, const char *says) {
    struct rv_isolation_policy policy = policy_of(flags);
    struct rv_container_isolation out;
    struct rv_error err = {0};

    wish.container = container_of(json);
    if (!rv_isolation_from(&policy, &wish, &arena, &out, &err))
        fail_msg("%s was not refused", json);
    if (!strstr(err.message, says))
        fail_msg("%s: \"%s\" does not say \"%s\"", json, err.message, says);
}

static const struct rv_isolation_wish executor = {.executor = true}, nested = {.nested = true},
                                      session = {.nested = true, .debug = true}, standalone;

static void test_capabilities_are_the_default_set_or_fewer(void **state) {
    (void)state;
    struct rv_container_isolation i = given(&by_default, NULL, executor);

    assert_true(i.has_capabilities);
    assert_true(i.bounding == rv_linux_default_capabilities);
    assert_true(i.effective == rv_linux_default_capabilities);
    assert_false(i.ambient); /* who is not root has none */
    assert_false(i.bounding & (BIT(CAP_NET_RAW) | BIT(CAP_MKNOD) | BIT(CAP_SYS_ADMIN)));
    i = given(&by_default, LINUX(EFFECTIVE("\"CHOWN\"")), executor);
    assert_true(i.effective == BIT(CAP_CHOWN) && i.ambient);
    i = given(&by_default, LINUX(EFFECTIVE("")), executor);
    assert_true(i.effective == 0);
    i = given(&by_default, LINUX("\"capability_info\": {\"capabilities\": [\"KILL\"]}"), executor);
    assert_true(i.effective == BIT(CAP_KILL));
    i = given(&by_default, LINUX(BOUNDING("\"CHOWN\", \"KILL\"")), executor);
    assert_true(i.bounding == (BIT(CAP_CHOWN) | BIT(CAP_KILL)) && i.effective == i.bounding);
}

static void test_more_capabilities_are_refused_by_name(void **state) {
    (void)state;
    refused(&by_default, LINUX(EFFECTIVE("\"NET_RAW\", \"CHOWN\"")), executor,
            "effective_capabilities: NET_RAW not allowed by --bounding_capabilities");
    refused(&by_default, LINUX(BOUNDING("\"SYS_ADMIN\"")), executor, "SYS_ADMIN not allowed");
    refused(&by_default, LINUX("\"capability_info\": {\"capabilities\": [\"BPF\"]}"), executor,
            "capability_info: BPF not allowed");
    refused(&by_default, LINUX(EFFECTIVE("\"KILL\"") "," BOUNDING("\"CHOWN\"")), executor,
            "KILL not allowed by bounding_capabilities");
    refused(&by_default, LINUX(EFFECTIVE("0")), executor, "no capability 0");
}

static void test_the_operator_allows_and_gives_others(void **state) {
    (void)state;
    struct rv_agent_flags flags = {
        .bounding_capabilities =
            (char *)(uintptr_t) "{\"capabilities\": [\"NET_RAW\", \"CHOWN\"]}"};
    struct rv_container_isolation i = given(&flags, LINUX(EFFECTIVE("\"NET_RAW\"")), executor);
    struct rv_isolation_policy policy;
    struct rv_error err;

    assert_true(i.effective == BIT(CAP_NET_RAW));
    assert_true(i.bounding == (BIT(CAP_NET_RAW) | BIT(CAP_CHOWN)));
    i = given(&flags, NULL, executor);
    assert_true(i.effective == BIT(CAP_CHOWN));
    flags.effective_capabilities = (char *)(uintptr_t) "{\"capabilities\": [\"NET_RAW\"]}";
    i = given(&flags, NULL, executor);
    assert_true(i.effective == BIT(CAP_NET_RAW) && i.ambient);
    flags.effective_capabilities = (char *)(uintptr_t) "{\"capabilities\": [\"KILL\"]}";
    assert_int_equal(rv_isolation_policy_read(&flags, &policy, &err), -RV_ERR_PERMISSION);
    assert_non_null(strstr(err.message, "--effective_capabilities: KILL"));
    flags.effective_capabilities = (char *)(uintptr_t) "KILL";
    assert_int_equal(rv_isolation_policy_read(&flags, &policy, &err), -RV_ERR_INVALID);
    assert_non_null(strstr(err.message, "--effective_capabilities"));
}

static void test_namespaces_are_shared_as_the_operator_allows(void **state) {
    (void)state;
    static const char processes[] = LINUX("\"share_pid_namespace\": true");
    static const char memory[] = LINUX("\"ipc_mode\": \"SHARE_PARENT\"");
    static const struct rv_agent_flags open = {0};

    assert_false(given(&open, NULL, executor).share_pid_namespace);
    assert_true(given(&open, processes, executor).share_pid_namespace);
    refused(&by_default, processes, executor,
            "share_pid_namespace: true needs an agent with "
            "--no-disallow_sharing_agent_pid_namespace");
    refused(&by_default, processes, standalone, "share_pid_namespace");
    assert_true(given(&by_default, processes, nested).share_pid_namespace);
    assert_true(given(&open, memory, executor).share_ipc);
    refused(&by_default, memory, executor,
            "ipc_mode: SHARE_PARENT needs an agent with --no-disallow_sharing_agent_ipc_namespace");
    refused(&by_default, memory, standalone, "ipc_mode");
    assert_false(given(&by_default, memory, nested).share_ipc); /* its parent's */
    struct rv_container_isolation i =
        given(&by_default, LINUX("\"ipc_mode\": \"PRIVATE\", \"shm_size\": 8"), nested);
    assert_true(i.own_ipc && !i.share_ipc && i.shm_bytes == 8 << 20);
    refused(&by_default, LINUX("\"shm_size\": 8"), executor, "shm_size: only with");
    refused(&by_default, LINUX("\"ipc_mode\": \"PRIVATE\""), session, "a session shares");
}

static void test_no_profile_only_where_the_operator_allows(void **state) {
    (void)state;
    static const char unconfined[] = LINUX("\"seccomp\": {\"unconfined\": true}");
    static const struct rv_agent_flags open = {.allow_unconfined_seccomp = true};
    static const char *const says =
        "seccomp.unconfined: true needs an agent with --allow_unconfined_seccomp";

    refused(&by_default, unconfined, executor, says);
    refused(&by_default, unconfined, nested, says);
    refused(&by_default, unconfined, session, says);
    refused(&by_default, unconfined, standalone, says);
    assert_true(given(&open, unconfined, executor).unconfined);
    assert_false(given(&open, NULL, executor).unconfined);
    assert_false(
        given(&by_default, LINUX("\"seccomp\": {\"unconfined\": false}"), executor).unconfined);
}

static void test_cgroups_are_shared_unless_told_otherwise(void **state) {
    (void)state;
    assert_false(given(&by_default, NULL, executor).share_cgroup);
    assert_true(given(&by_default, NULL, nested).share_cgroup);
    assert_true(given(&by_default, LINUX("\"share_cgroups\": true"), nested).share_cgroup);
    assert_false(given(&by_default, LINUX("\"share_cgroups\": false"), nested).share_cgroup);
    assert_false(given(&by_default, NULL, standalone).share_cgroup);
}

static void test_networks_hostname_and_terminal(void **state) {
    (void)state;
#define NETWORK(text) "{\"type\": \"MESOS\", \"network_infos\": [{" text "}]}"
    assert_false(given(&by_default, NETWORK(""), executor).own_network);
    assert_false(
        given(&by_default, NETWORK("\"ip_addresses\": [{\"protocol\": \"IPv4\"}]"), executor)
            .own_network);
    assert_true(given(&by_default, NETWORK("\"name\": \"none\""), nested).own_network);
    refused(&by_default, NETWORK("\"name\": \"none\""), executor, "has to reach its agent");
    refused(&by_default, NETWORK("\"name\": \"bridge\""), nested, "no network \"bridge\"");
    refused(&by_default, NETWORK("\"port_mappings\": [{\"host_port\": 1, \"container_port\": 2}]"),
            executor, "port_mappings");
    refused(&by_default, NETWORK("\"ip_addresses\": [{\"ip_address\": \"10.0.0.1\"}]"), executor,
            "ip_addresses");
    assert_string_equal(
        given(&by_default, "{\"type\": \"MESOS\", \"hostname\": \"web-1\"}", executor).hostname,
        "web-1");
    refused(&by_default, "{\"type\": \"MESOS\", \"hostname\": \"a b\"}", executor, "hostname");
    given(&by_default, "{\"type\": \"MESOS\", \"tty_info\": {}}", executor);
    refused(&by_default, "{\"type\": \"DOCKER\", \"docker\": {\"image\": \"i\"}}", executor,
            "DOCKER");
}

static void test_rlimits(void **state) {
    (void)state;
#define RLIMITS(text) "{\"type\": \"MESOS\", \"rlimit_info\": {\"rlimits\": [" text "]}}"
    struct rv_container_isolation i =
        given(&by_default,
              RLIMITS("{\"type\": \"RLMT_NOFILE\", \"soft\": 100, \"hard\": 200}, {\"type\": "
                      "\"RLMT_CORE\"}"),
              executor);

    assert_int_equal(i.n_rlimits, 2);
    assert_int_equal(i.rlimits[0].resource, RLIMIT_NOFILE);
    assert_true(i.rlimits[0].soft == 100 && i.rlimits[0].hard == 200);
    assert_int_equal(i.rlimits[1].resource, RLIMIT_CORE);
    assert_true(i.rlimits[1].soft == RLIM_INFINITY && i.rlimits[1].hard == RLIM_INFINITY);
    refused(&by_default, RLIMITS("{\"type\": \"UNKNOWN\"}"), executor, "known limit");
    refused(&by_default, RLIMITS("{\"type\": \"RLMT_AS\", \"soft\": 2, \"hard\": 1}"), executor,
            "over the hard limit");
}

static void test_limits_of_cpus_and_memory(void **state) {
    (void)state;
    struct rv_container_limits l = rv_isolation_limits((struct rv_limits){0, 0});

    assert_true(l.cpu_milli == 0 && l.mem_bytes == 0);
    l = rv_isolation_limits((struct rv_limits){1500, 64500});
    assert_true(l.cpu_milli == 1500 && l.mem_bytes == 64 * 1048576 + 524288);
    l = rv_isolation_limits((struct rv_limits){RV_LIMIT_INFINITE, RV_LIMIT_INFINITE});
    assert_true(l.cpu_milli == -1 && l.mem_bytes == -1);
    l = rv_isolation_limits((struct rv_limits){0, INT64_MAX - 1});
    assert_true(l.mem_bytes > 0);
}

/* ---- volumes and secrets ---- */

#define VOLUME(rest)                                                                               \
    "{\"type\": \"MESOS\", \"volumes\": [{\"mode\": \"RO\", \"container_path\": " rest "}]}"
#define SOURCE(rest) VOLUME("\"v\", \"source\": {" rest "}")
#define SANDBOX(type, path)                                                                        \
    "\"type\": \"SANDBOX_PATH\", \"sandbox_path\": {\"type\": \"" type "\", \"path\": \"" path "\"}"

static void test_volumes(void **state) {
    (void)state;
    struct rv_container_isolation i =
        given(&by_default, VOLUME("\"//a/./b//\", \"host_path\": \"/x//y/\""), executor);

    assert_int_equal(i.n_volumes, 1);
    assert_int_equal(i.volumes[0].source, RV_VOLUME_HOST);
    assert_string_equal(i.volumes[0].target, "/a/b");
    assert_string_equal(i.volumes[0].path, "/x/y");
    assert_true(i.volumes[0].read_only);
    i = given(&by_default, VOLUME("\"v\", \"host_path\": \"x\""), executor);
    assert_int_equal(i.volumes[0].source, RV_VOLUME_SANDBOX);
    i = given(&by_default, SOURCE(SANDBOX("SELF", "./p")), executor);
    assert_int_equal(i.volumes[0].source, RV_VOLUME_SANDBOX);
    assert_string_equal(i.volumes[0].path, "p");
    i = given(&by_default, SOURCE(SANDBOX("PARENT", "p")), nested);
    assert_int_equal(i.volumes[0].source, RV_VOLUME_PARENT);
    i = given(&by_default,
              SOURCE("\"type\": \"SECRET\", \"secret\": {\"type\": \"VALUE\", \"value\": "
                     "{\"data\": \"aHVzaA==\"}}"),
              executor);
    assert_int_equal(i.volumes[0].source, RV_VOLUME_SECRET);
    assert_true(rv_str_eq(i.volumes[0].data, RV_STR("hush")));
}

static void test_volumes_that_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *json, *says;
    } cases[] = {
        {VOLUME("\"v\""), "neither a host_path nor a source"},
        {VOLUME("\"/\", \"host_path\": \"/x\""), "must not be the root"},
        {VOLUME("\".\", \"host_path\": \"/x\""), "must not be the root"},
        {VOLUME("\"a/../b\", \"host_path\": \"/x\""), "container_path: must not contain '..'"},
        {VOLUME("\"v\", \"host_path\": \"/x/..\""), "must not contain '..'"},
        {SOURCE("\"type\": \"HOST_PATH\", \"host_path\": {\"path\": \"x\"}"), "must be absolute"},
        {SOURCE("\"type\": \"HOST_PATH\", \"host_path\": {\"path\": \"/x\", "
                "\"mount_propagation\": {\"mode\": \"BIDIRECTIONAL\"}}"),
         "BIDIRECTIONAL"},
        {SOURCE(SANDBOX("SELF", "/x")), "not absolute"},
        {SOURCE(SANDBOX("PARENT", "x")), "for nested containers"},
        {SOURCE("\"type\": \"DOCKER_VOLUME\", \"docker_volume\": {\"name\": \"x\"}"),
         "only HOST_PATH, SANDBOX_PATH and SECRET"},
        {SOURCE("\"type\": \"SECRET\", \"secret\": {\"type\": \"VALUE\"}"), "is gone"},
        {SOURCE("\"type\": \"SECRET\", \"secret\": {\"type\": \"REFERENCE\", \"reference\": "
                "{\"name\": \"x\"}}"),
         "--secrets_dir"},
    };

    for (size_t k = 0; k < RV_COUNT(cases); k++)
        refused(&by_default, cases[k].json, executor, cases[k].says);
    refused(&by_default, VOLUME("\"v\", \"host_path\": \"/x\""), session, "a session shares");
}

static void write_file(const char *folder, const char *name, const char *text) {
    _cleanup_free_ char *path = rv_asprintf("%s/%s", folder, name);
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static int resolve(const char *folder, const char *name, const char *key, struct rv_str *out,
                   struct rv_error *err) {
    Reeve__V1__Secret__Reference r = REEVE__V1__SECRET__REFERENCE__INIT;
    Reeve__V1__Secret secret = REEVE__V1__SECRET__INIT;

    r.name = (char *)(uintptr_t)name;
    r.key = (char *)(uintptr_t)key;
    secret.reference = &r;
    return rv_secret_resolve(&secret, folder, "here", &arena, out, err);
}

static void test_references_to_secrets(void **state) {
    (void)state;
    char folder[] = "/tmp/secrets-XXXXXX";
    static const struct {
        const char *name, *key;
    } wrong[] = {{"..", NULL},          {".", NULL},   {"", NULL},  {"a/b", NULL},
                 {"/etc/passwd", NULL}, {"d", "../a"}, {"d", ""},   {"d", ".hidden"},
                 {"none", NULL},        {"a", "x"},    {"d", NULL}, {"out", NULL},
                 {"up", NULL}};
    _cleanup_free_ char *command = NULL;
    struct rv_error err;
    struct rv_str s;

    assert_non_null(mkdtemp(folder));
    command = rv_asprintf(
        "cd %s && mkdir d && ln -s /etc/passwd out && ln -s ../x up && ln -s a in", folder);
    assert_int_equal(system(command), 0);
    write_file(folder, "a", "alpha\n");
    write_file(folder, "d/k", "");
    write_file(folder, "d/.hidden", "x");
    assert_int_equal(resolve(folder, "a", NULL, &s, &err), 0);
    assert_true(rv_str_eq(s, RV_STR("alpha\n")));
    assert_int_equal(resolve(folder, "in", NULL, &s, &err), 0); /* a link that stays */
    assert_int_equal(resolve(folder, "d", "k", &s, &err), 0);
    assert_int_equal(s.n, 0);
    for (size_t k = 0; k < RV_COUNT(wrong); k++)
        if (!resolve(folder, wrong[k].name, wrong[k].key, &s, &err))
            fail_msg("'%s' was found", wrong[k].name);
    assert_int_equal(resolve(NULL, "a", NULL, &s, &err), -RV_ERR_UNSUPPORTED);
    free(command);
    command = rv_asprintf("truncate -s 2M %s/a", folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(resolve(folder, "a", NULL, &s, &err), -RV_ERR_LIMIT);
    free(command);
    command = rv_asprintf("rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

static void test_without_isolation_nothing_is_left_out_in_silence(void **state) {
    (void)state;
    static const char *const cases[] = {LINUX(""), "{\"type\": \"MESOS\", \"hostname\": \"a\"}",
                                        RLIMITS(""), NETWORK("\"name\": \"none\"")};
    struct rv_isolation_policy policy = {.isolates = false};
    struct rv_isolation_wish wish = executor;
    struct rv_container_isolation out;
    struct rv_error err;

    for (size_t k = 0; k < RV_COUNT(cases); k++) {
        wish.container = container_of(cases[k]);
        assert_int_equal(rv_isolation_from(&policy, &wish, &arena, &out, &err),
                         -RV_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.message, "process containerizer"));
    }
    wish = (struct rv_isolation_wish){.limits = {1000, 0}};
    assert_int_equal(rv_isolation_from(&policy, &wish, &arena, &out, &err), -RV_ERR_UNSUPPORTED);
    wish = (struct rv_isolation_wish){.container = container_of("{\"type\": \"MESOS\"}")};
    assert_int_equal(rv_isolation_from(&policy, &wish, &arena, &out, &err), 0);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_capabilities_are_the_default_set_or_fewer),
        T(test_more_capabilities_are_refused_by_name),
        T(test_the_operator_allows_and_gives_others),
        T(test_namespaces_are_shared_as_the_operator_allows),
        T(test_no_profile_only_where_the_operator_allows),
        T(test_cgroups_are_shared_unless_told_otherwise),
        T(test_networks_hostname_and_terminal),
        T(test_rlimits),
        T(test_limits_of_cpus_and_memory),
        T(test_volumes),
        T(test_volumes_that_are_refused),
        T(test_references_to_secrets),
        T(test_without_isolation_nothing_is_left_out_in_silence),
    };
    return cmocka_run_group_tests_name("isolation", tests, NULL, NULL);
}
