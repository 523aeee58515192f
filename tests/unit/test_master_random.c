/*
 * Random walks of the master's core: any call at any time. Only the invariants are looked at
 * (rv_master_check after each step). See test_master.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "master_script.h"

/* --- a random walk: any call at any time; only the invariants are looked at --- */

#define N(n) (unsigned)rv_prng_below(prng, (n))

static const char *const states[] = {"STARTING", "RUNNING", "KILLING", "FINISHED", "FAILED",
                                     "KILLED",   "LOST",    "ERROR",   "DROPPED",  "GONE"};
#define STATE states[N(RV_COUNT(states))]

static struct rv_master_framework *framework_of(struct script *s, unsigned f) {
    struct party *p = party(s, (char[]){'S', (char)('0' + f), '\0'});
    void *v;

    for (size_t it = 0; s->m && p->stream && rv_map_next(&s->m->frameworks, &it, NULL, &v);)
        if (((struct rv_master_framework *)v)->stream == p->stream)
            return v;
    return NULL;
}

/* The number of an offer that the framework holds, if it holds one; else of one of late. */
static unsigned long long an_offer(struct script *s, struct rv_prng *prng, unsigned f) {
    struct rv_master_framework *framework = framework_of(s, f);
    unsigned long long last = s->m ? s->m->next_offer : 0;

    if (framework && !rv_list_empty(&framework->offers) && N(4)) {
        const struct rv_master_offer *o =
            RV_LIST_ENTRY(framework->offers.next, struct rv_master_offer, on_framework);

        return strtoull(strrchr(o->id.v, 'O') + 1, NULL, 10);
    }
    return last > 4 ? last - 1 - N(4) : N(4);
}

/* An acknowledgement that somebody waits for. */
static bool due_acknowledgement(struct script *s, unsigned f, char line[512]) {
    struct rv_master_framework *framework = framework_of(s, f);
    void *v;

    for (size_t it = 0; framework && rv_map_next(&framework->tasks, &it, NULL, &v);) {
        const struct rv_master_task *t = v;

        if (!t->has_update_uuid)
            continue;
        snprintf(line, 512, "scheduler S%u acknowledge task=%s agent=%s uuid=%u", f, t->id.v,
                 t->agent_id.v, t->update_uuid[0]);
        return true;
    }
    return false;
}

/* An update of a task that is there. */
static bool due_update(struct script *s, struct rv_prng *prng, unsigned a, char line[512]) {
    struct party *p = party(s, (char[]){'A', (char)('0' + a), '\0'});
    struct rv_master_agent *agent = s->m ? rv_map_gets(&s->m->agents, p->agent_id) : NULL;
    const struct rv_master_task *t;

    if (!agent || rv_list_empty(&agent->tasks))
        return false;
    t = RV_LIST_ENTRY(N(2) ? agent->tasks.next : agent->tasks.prev, struct rv_master_task,
                      on_agent);
    snprintf(line, 512, "agent A%u update task=%s framework=%s state=%s uuid=%u", a, t->id.v,
             t->framework->id.v, STATE, 1 + N(200));
    return true;
}

static void scheduler_chance(struct script *s, struct rv_prng *prng, char line[512]) {
    unsigned f = N(3), t = N(6);
    unsigned long long o = an_offer(s, prng, f);

    switch (N(14)) {
    case 0:
    case 1:
        if (framework_of(s, f) && N(8)) { /* most end before they come anew */
            snprintf(line, 512, "close S%u", f);
            break;
        }
        snprintf(line, 512, "scheduler S%u subscribe %s name=n%u roles=%s failover=%u %s%s", f,
                 (const char *[]){"", "", "", "id=M-0000", "id=M-0001"}[N(5)], N(3),
                 N(2) ? "r" : "r,q", N(4) ? 20000 : 0, N(2) ? "caps=PARTITION_AWARE " : "",
                 N(2) ? "checkpoint=1" : "");
        break;
    case 2:
    case 3:
    case 4:
    case 5:
        snprintf(line, 512,
                 "scheduler S%u accept offers=M-O%llu refuse=%u launch=t%u@cpus:1;mem:32+"
                 "t%u@cpus:0.3;ports:[%u-7] %s",
                 f, o, N(2) * 3000, t, N(6), 1 + N(7),
                 (const char *[]){"", "", "executor=e1@cpus:0.2", "executor=e2@ports:[4-5]"}[N(4)]);
        break;
    case 6:
        snprintf(line, 512,
                 "scheduler S%u accept offers=M-O%llu,M-O%llu refuse=0 "
                 "group=t%u@cpus:1+t%u@cpus:1 executor=e%u@cpus:0.1",
                 f, o, o + N(2), t, N(6), N(2));
        break;
    case 7:
        snprintf(line, 512, "scheduler S%u %s offers=M-O%llu refuse=%u", f,
                 (const char *[]){"decline", "decline", "accept_inverse_offers",
                                  "decline_inverse_offers"}[N(4)],
                 o, N(2) * 5000);
        break;
    case 8:
    case 9:
        if (N(8) && due_acknowledgement(s, f, line))
            break;
        snprintf(line, 512, "scheduler S%u acknowledge task=t%u agent=M-S%u uuid=%u", f, t, N(4),
                 N(4));
        break;
    case 10:
    case 11:
        snprintf(line, 512, "scheduler S%u %s", f,
                 (const char *[]){"revive", "suppress", "reconcile"}[N(3)]);
        break;
    case 12:
        snprintf(line, 512, "scheduler S%u kill task=t%u", f, t);
        break;
    default:
        if (N(4) == 0)
            snprintf(line, 512, "scheduler S%u teardown", f);
        else
            snprintf(line, 512, "scheduler S%u update_framework roles=%s name=n", f,
                     N(2) ? "r" : "q");
        break;
    }
}

static void agent_chance(struct script *s, struct rv_prng *prng, char line[512]) {
    unsigned a = N(3), t = N(6);

    switch (N(10)) {
    case 0:
        snprintf(line, 512, "agent A%u register resources=cpus:4;mem:1024;ports:[1-9];disk:100", a);
        break;
    case 1:
        snprintf(line, 512,
                 "agent A%u reregister id=M-S%u resources=cpus:4;mem:1024;ports:[1-9] "
                 "frameworks=M-0000,M-0001 tasks=t%u@M-0000@%s@cpus:1;ports:[%u-6]@%u+"
                 "t%u@M-0001@%s@cpus:1;mem:32 executors=e%u@M-0000@cpus:0.2",
                 a, N(4), t, STATE, 1 + N(6), N(4), N(6), STATE, N(3));
        break;
    case 2:
        snprintf(line, 512, "agent A%u reregister id=M-S%u resources=cpus:%u;mem:1024", a, N(4),
                 2 + N(4));
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        if (N(8) && due_update(s, prng, a, line))
            break;
        snprintf(line, 512, "agent A%u update task=t%u framework=M-000%u state=%s uuid=%u%s", a, t,
                 N(2), STATE, N(4), N(4) ? "" : " latest=FINISHED");
        break;
    case 7:
        snprintf(line, 512, "agent A%u exited executor=e1", a);
        break;
    case 8:
        snprintf(line, 512, "agent A%u %s", a, N(6) ? "pong" : "unregister");
        break;
    default:
        snprintf(line, 512, "agent A%u total resources=cpus:%u;mem:1024;ports:[1-9]", a, N(6));
        break;
    }
}

/* What may be reserved, made, used, and undone. */
static const char *const made[] = {"cpus!r:1",     "cpus!r:0.5",   "disk!r:20",
                                   "disk!r#v1:10", "disk!r:5",     "disk!r#v2:5",
                                   "disk!r#v1~:5", "cpus!r!r/s:1", "mem!r:32"};
static const char *const changes[] = {"reserve", "reserve",   "reserve", "create",
                                      "create",  "unreserve", "destroy", "destroy"};
#define MADE made[N(RV_COUNT(made))]

static void operations(struct rv_prng *prng, char line[512], size_t n) {
    for (unsigned more = 1 + N(3); more; more--) {
        n += (size_t)snprintf(line + n, 512 - n, " %s=%s@%s", changes[N(RV_COUNT(changes))],
                              (const char *[]){"", "o1", "o2"}[N(3)], MADE);
        if (N(3) == 0)
            n += (size_t)snprintf(line + n, 512 - n, ";%s", MADE);
    }
    if (N(4) == 0)
        n += (size_t)snprintf(line + n, 512 - n, " grow=@disk!r#v1:10@disk!r:5");
    if (N(4) == 0)
        n += (size_t)snprintf(line + n, 512 - n, " shrink=@disk!r#v1:15@5");
    if (N(2))
        snprintf(line + n, 512 - n, " launch=t%u@%s;%s executor=e3@%s", N(6), MADE, MADE, MADE);
}

/* Somebody asks for operations, or is told how they ended. */
static void operations_chance(struct script *s, struct rv_prng *prng, char line[512]) {
    unsigned f = N(3), a = N(3), number = s->operations.n ? N((unsigned)s->operations.n) : 0;
    unsigned last = s->operations.n > 4 ? (unsigned)s->operations.n - 1 - N(4) : number;
    size_t n;

    switch (N(11)) {
    case 0:
    case 1:
    case 2:
    case 8:
    case 9:
        n = (size_t)snprintf(line, 512, "scheduler S%u accept offers=M-O%llu refuse=%u", f,
                             an_offer(s, prng, f), N(2) * 3000);
        operations(prng, line, n);
        break;
    case 3:
    case 4:
        snprintf(line, 512, "agent A%u operation n=%u state=%s%s", a, N(4) ? last : number,
                 N(4) ? "FINISHED" : "FAILED", N(2) ? " uuid=1" : "");
        break;
    case 5:
        snprintf(line, 512,
                 "scheduler S%u acknowledge_operation_status operation=o%u agent=M-S%u uuid=1", f,
                 1 + N(2), N(4));
        break;
    case 6:
    case 10:
        n = (size_t)snprintf(line, 512, "operator O1 operate agent=M-S%u", N(4));
        snprintf(line + n, 512 - n, " %s=@%s", changes[N(RV_COUNT(changes))], MADE);
        break;
    default:
        snprintf(line, 512,
                 "agent A%u reregister id=M-S%u resources=cpus:4;mem:1024;disk:100 "
                 "total=cpus:2;cpus!r:2;mem:1024;disk:60;disk!r:30;disk!r#v1%s:10 "
                 "frameworks=M-0000,M-0001 operations=%u%s+%u@FINISHED%s",
                 a, N(4), N(2) ? "~" : "", last, N(2) ? "@FINISHED@1" : "",
                 number == last ? last + 1 : number, N(2) ? "" : "@1");
        break;
    }
}

static void quota_chance(struct rv_prng *prng, char line[512]) {
    static const char *const words[] = {"quota", "quota", "set_quota", "remove_quota"};
    unsigned limit = N(6);

    snprintf(line, 512, "operator O%u %s roles=%s limits=cpus:%u guarantees=cpus:%u%s", N(3),
             words[N(4)], N(2) ? "r" : "q", limit, N(limit + 2), N(3) ? "" : " force=1");
}

static void operator_chance(struct rv_prng *prng, char line[512]) {
    unsigned a = N(3);

    switch (N(8)) {
    case 0:
        snprintf(line, 512, "operator O1 gone agent=M-S%u", N(6));
        break;
    case 1:
        snprintf(line, 512, "operator O1 drain agent=M-S%u%s", N(6), N(4) ? "" : " mark_gone=1");
        break;
    case 2:
        snprintf(line, 512, "operator O1 deactivate agent=M-S%u", N(6));
        break;
    case 3:
    case 4:
        snprintf(line, 512, "operator O1 reactivate agent=M-S%u", N(6));
        break;
    case 5:
        if (N(3))
            snprintf(line, 512, "operator O1 schedule windows=A%u/10.0.0.1+A%u/10.0.0.1@%u", a,
                     (a + 1) % 3, N(3));
        else
            snprintf(line, 512, "operator O1 schedule");
        break;
    default:
        snprintf(line, 512, "operator O1 %s machines=A%u/10.0.0.1", N(2) ? "up" : "down", a);
        break;
    }
}

/* One line of chance. Names are few, so that they meet; offers are those of late. A seed is another
 * walk with another compiler: arguments are drawn in its order. */
static const char *chance(struct script *s, struct rv_prng *prng, char line[512]) {
    unsigned what = N(100);

    if (what < 36)
        scheduler_chance(s, prng, line);
    else if (what < 50)
        operations_chance(s, prng, line);
    else if (what < 84)
        agent_chance(s, prng, line);
    else if (what < 88)
        snprintf(line, 512, "close %c%u", N(2) ? 'S' : 'A', N(3));
    else if (what < 89)
        snprintf(line, 512, "registry %s",
                 (const char *[]){"manual", "auto", "auto", "auto"}[N(4)]);
    else if (what < 91)
        snprintf(line, 512, "registry %s", N(3) ? "ok" : "fail");
    else if (what < 92 && N(10) == 0)
        snprintf(line, 512,
                 "restart id=M%u agent_reregister=30000 max_completed_tasks=3 "
                 "max_unreachable_tasks=%u agent_removal_interval=%u max_absent_agents=%u "
                 "absent_age=%u gc_interval=%u",
                 (unsigned)s->next_number, N(3), N(3) * 10000, N(3), N(3) * 20000, N(3) * 5000);
    else if (what < 93 && N(2))
        operator_chance(prng, line);
    else if (what < 93 && N(2))
        quota_chance(prng, line);
    else if (what < 93)
        snprintf(line, 512, "operator O%u weight role=r weight=%u", N(3), 1 + N(3));
    else
        snprintf(line, 512, "t=%lld", (long long)(s->now_ms + N(N(20) ? 300 : 40000)));
    return line;
}

/* The ids in the line are those of the leader there is now, or of one before. */
static const char *of_leader(struct script *s, const char *line, struct rv_buf *out) {
    const char *id = s->m ? s->m->config.id : "M";

    rv_buf_clear(out);
    for (; *line; line++) {
        rv_buf_putc(out, *line);
        if (*line == 'M' && line[1] == '-')
            rv_buf_puts(out, id + 1);
    }
    return out->data;
}

/* An agent knows its id only after it registered: lines of others would be nonsense. */
static bool makes_sense(struct script *s, const char *line) {
    struct party *p;

    if (strncmp(line, "agent A", 7) != 0 || strstr(line, "register"))
        return true;
    p = party(s, (char[]){'A', line[7], '\0'});
    return p->agent_id != NULL;
}

static void test_random_walks(void **state) {
    const char *steps = getenv("RV_STEPS"), *first = getenv("RV_SEED");
    struct rv_master_counters sum = {0};
    size_t applied = 0;
    uint64_t seed0 = first ? strtoull(first, NULL, 10) : 1;

    (void)state;
    for (uint64_t seed = seed0; seed < seed0 + (first ? 1 : 60); seed++) {
        struct script s = {0};
        struct rv_prng prng;
        struct rv_buf of_now = {0};
        char line[512];

        rv_prng_seed(&prng, seed);
        script_run(&s, "operator O1 subscribe\n");
        for (int i = 0; i < (steps ? atoi(steps) : 400) && !s.failed; i++)
            if (makes_sense(&s, chance(&s, &prng, line)))
                script_run(&s, of_leader(&s, line, &of_now));
        rv_buf_free(&of_now);
        if (s.failed) {
            size_t from = s.text.n > 4000 ? s.text.n - 4000 : 0;

            fprintf(stderr, "seed %llu:\n...%s\n", (unsigned long long)seed, s.text.data + from);
            fail();
        }
        sum.offers_accepted += s.m->counters.offers_accepted;
        sum.valid_status_updates += s.m->counters.valid_status_updates;
        sum.agent_reregistrations += s.m->counters.agent_reregistrations;
        sum.agent_removals += s.m->counters.agent_removals;
        sum.tasks_finished += s.m->counters.tasks_finished;
        applied += s.operations.n;
        script_free(&s);
    }
    if (first)
        printf(
            "accepted %llu, updates %llu, back %llu, removed %llu, finished %llu, operations "
            "%zu\n",
            (unsigned long long)sum.offers_accepted, (unsigned long long)sum.valid_status_updates,
            (unsigned long long)sum.agent_reregistrations, (unsigned long long)sum.agent_removals,
            (unsigned long long)sum.tasks_finished, applied);
    else /* the walks did get somewhere */
        assert_true(sum.offers_accepted > 100 && sum.valid_status_updates > 100 &&
                    sum.agent_reregistrations > 20 && sum.agent_removals > 20 &&
                    sum.tasks_finished > 20 && applied > 20);
}
int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_walks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
