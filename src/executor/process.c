/*
 * Starting and ending processes, see process.h. Names of users are looked up in /etc/passwd and
 * /etc/group alone, since a static program cannot load the other name services.
 */
#include "executor/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "base/vec.h"
#include "containerizer/proctree.h"
#include "containerizer/spawn.h"

enum { MAX_GROUPS = 256 };

/* How variables begin that only the executor itself has a use for; the token is a secret. */
static const char *const own_variables[] = {"MESOS_EXECUTOR_AUTHENTICATION_TOKEN=",
                                            "REEVE_FETCHER"};

struct env {
    RV_VEC(char *) v;
};

static bool same_name(const char *a, const char *b) {
    size_t n = strcspn(a, "=");
    return strncmp(a, b, n) == 0 && b[n] == '=';
}

static void env_put(struct env *env, char *entry) {
    for (size_t i = 0; i < env->v.n; i++) {
        if (same_name(entry, env->v.v[i])) {
            free(env->v.v[i]);
            env->v.v[i] = entry;
            return;
        }
    }
    rv_vec_push(&env->v, entry);
}

static void env_add_command(struct env *env, const Reeve__V1__CommandInfo *command) {
    if (!command || !command->environment)
        return;
    for (size_t i = 0; i < command->environment->n_variables; i++) {
        const Reeve__V1__Environment__Variable *v = command->environment->variables[i];
        const Reeve__V1__Secret *secret = v->secret;

        if (!*v->name || strchr(v->name, '='))
            continue;
        if (secret && secret->value)
            env_put(env, rv_asprintf("%s=%.*s", v->name, (int)secret->value->data.len,
                                     (const char *)secret->value->data.data));
        else if (!secret) /* else it is in our own environment, by the agent */
            env_put(env, rv_asprintf("%s=%s", v->name, v->value ? v->value : ""));
    }
}

/* Moves the strings into one block behind the pointers. */
static char **env_pack(struct env *env) {
    size_t size = (env->v.n + 1) * sizeof(char *);
    char **block, *at;

    for (size_t i = 0; i < env->v.n; i++)
        size += strlen(env->v.v[i]) + 1;
    block = rv_malloc(size);
    at = (char *)&block[env->v.n + 1];
    for (size_t i = 0; i < env->v.n; i++) {
        block[i] = at;
        at = stpcpy(at, env->v.v[i]) + 1;
        free(env->v.v[i]);
    }
    block[env->v.n] = NULL;
    rv_vec_free(&env->v);
    return block;
}

const char *rv_process_role(const Reeve__V1__TaskInfo *task) {
    const Reeve__V1__Resource *first = task->n_resources ? task->resources[0] : NULL;

    return first && first->allocation_info ? first->allocation_info->role : NULL;
}

char **rv_process_env(const Reeve__V1__TaskInfo *task, const Reeve__V1__CommandInfo *check) {
    const char *role = rv_process_role(task);
    struct env env = {{0}};

    for (char **e = environ; *e; e++) {
        bool own = false;
        for (size_t i = 0; i < RV_COUNT(own_variables); i++)
            own = own || rv_starts_with(*e, own_variables[i]);
        if (!own)
            rv_vec_push(&env.v, rv_strdup(*e));
    }
    env_put(&env, rv_asprintf("MESOS_TASK_ID=%s", task->task_id->value));
    if (role)
        env_put(&env, rv_asprintf("MESOS_ALLOCATION_ROLE=%s", role));
    env_add_command(&env, task->command);
    env_add_command(&env, check);
    return env_pack(&env);
}

struct user {
    uid_t uid;
    gid_t gid, groups[MAX_GROUPS];
    size_t n_groups;
};

static void find_groups(const char *name, struct user *out) {
    FILE *f = fopen("/etc/group", "re");
    struct group *g;

    out->groups[out->n_groups++] = out->gid;
    if (!f)
        return;
    while ((g = fgetgrent(f)))
        for (char **member = g->gr_mem; *member; member++)
            if (strcmp(*member, name) == 0 && g->gr_gid != out->gid && out->n_groups < MAX_GROUPS)
                out->groups[out->n_groups++] = g->gr_gid;
    fclose(f);
}

static int find_user(const char *name, struct user *out, struct rv_error *err) {
    FILE *f = fopen("/etc/passwd", "re");
    struct passwd *p = NULL;

    if (!f)
        return rv_error_set(err, RV_ERR_IO, "Cannot read /etc/passwd: %s", strerror(errno));
    while ((p = fgetpwent(f)) && strcmp(p->pw_name, name) != 0)
        continue;
    if (p) {
        out->uid = p->pw_uid;
        out->gid = p->pw_gid;
    }
    fclose(f);
    if (!p)
        return rv_error_set(err, RV_ERR_NOT_FOUND, "There is no user '%s'", name);
    out->n_groups = 0;
    find_groups(name, out);
    return 0;
}

/* argv for the command; the array is to be freed, the strings are the command's. */
static int build_argv(const Reeve__V1__CommandInfo *c, char ***out, const char **file,
                      struct rv_error *err) {
    static char sh[] = "sh", dash_c[] = "-c";
    char **argv;

    if (!c || !c->value)
        return rv_error_set(err, RV_ERR_INVALID, "The command has no value");
    argv = rv_calloc(c->n_arguments + 4, sizeof *argv);
    if (c->shell) {
        argv[0] = sh;
        argv[1] = dash_c;
        argv[2] = c->value;
        *file = "/bin/sh";
    } else {
        argv[0] = c->value;
        for (size_t i = 0; i < c->n_arguments; i++)
            argv[i] = c->arguments[i];
        *file = c->value;
    }
    *out = argv;
    return 0;
}

void rv_process_give_up_terminal(void) {
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;

    if (!isatty(STDIN_FILENO))
        return;
    /* Whoever gives up the terminal of a session is told so. */
    sigaction(SIGHUP, &ignore, &before);
    (void)ioctl(STDIN_FILENO, TIOCNOTTY);
    sigaction(SIGHUP, &before, NULL);
}

int rv_process_start(const Reeve__V1__CommandInfo *command, char *const *env, int output,
                     pid_t *pid, struct rv_error *err) {
    _cleanup_free_ char **argv = NULL;
    const char *file = NULL;
    struct user user;
    struct rv_spawn spawn = {.env = (const char *const *)env,
                             .directory = -1,
                             .fds = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO},
                             .tty = output < 0 && isatty(STDIN_FILENO)};
    int rc = build_argv(command, &argv, &file, err);

    if (!rc && command->user && geteuid() == 0) {
        rc = find_user(command->user, &user, err);
        spawn.switch_user = rc == 0 && user.uid != 0;
    }
    if (rc)
        return rc;
    spawn.argv = (const char *const *)argv;
    spawn.program = file;
    if (output >= 0)
        spawn.fds[1] = spawn.fds[2] = output;
    if (spawn.switch_user) {
        spawn.uid = user.uid;
        spawn.gid = user.gid;
        spawn.groups = user.groups;
        spawn.n_groups = user.n_groups;
    }
    return rv_spawn(&spawn, pid, NULL, err);
}

static bool is_known(const struct rv_process_set *set, pid_t pid) {
    for (size_t i = 0; i < set->n_known; i++)
        if (set->known[i] == pid)
            return true;
    return false;
}

static void mark(void *ctx, struct rv_proctree *t) {
    const struct rv_process_set *set = ctx;
    const struct rv_proc *leader = rv_proctree_find(t, set->leader);
    /* A session that has members keeps its number from being given to another process. */
    bool given_away = leader && set->reaped;
    pid_t self = getpid();

    for (size_t i = 0; i < t->n; i++) {
        struct rv_proc *p = &t->v[i];
        if (!given_away && (p->pid == set->leader || p->session == set->leader))
            p->owner = 0;
        else if (p->ppid == self && !is_known(set, p->pid) && rv_proc_alive(p))
            p->owner = 0;
    }
}

size_t rv_process_signal(const struct rv_process_set *set, int signal) {
    struct rv_proctree t = {0};
    size_t n = 0;

    rv_proctree_scan(&t);
    mark((void *)(uintptr_t)set, &t);
    rv_proctree_spread(&t);
    for (size_t i = 0; i < t.n; i++)
        if (t.v[i].owner >= 0 && rv_proc_alive(&t.v[i]) && kill(t.v[i].pid, signal) == 0)
            n++;
    rv_proctree_free(&t);
    return n;
}

/* Whether the kernel shows a child that is neither known nor the leader; true if it cannot say.
 * Mostly there is no child at all, and /proc need not be asked. */
static bool has_orphans(const struct rv_process_set *set) {
    bool found = false;
    siginfo_t info;
    char pid[16];
    FILE *f;

    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD)
        return false;
    f = fopen("/proc/thread-self/children", "re");
    if (!f)
        return true;
    while (!found && fscanf(f, "%15s", pid) == 1)
        found = !is_known(set, (pid_t)strtol(pid, NULL, 10));
    fclose(f);
    return found;
}

size_t rv_process_kill(const struct rv_process_set *set) {
    struct rv_proctree t = {0};
    size_t n;

    /* Once the leader is gone all that is left of its task is among the executor's children. */
    if (set->reaped && !has_orphans(set))
        return 0;
    n = rv_proctree_kill(&t, mark, (void *)(uintptr_t)set);
    rv_proctree_free(&t);
    return n;
}
