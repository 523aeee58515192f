/*
 * From offers to tasks: takes from the resources of an offer what a task needs, as they are
 * (reserved for our role or not, allocated to it), and spreads the tasks over the offers that came
 * together, one on each in turn. Offers that do not do are declined with the default filter.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/fixed.h"
#include "cli/run.h"

#define RAW(m) ((const ProtobufCMessage *)(m))

int rv_run_options_check(const struct rv_run_options *o, struct rv_error *err) {
    for (size_t i = 0; i < o->env.n; i++)
        if (!strchr(o->env.v[i], '=') || *o->env.v[i] == '=')
            return rv_error_set(err, RV_ERR_INVALID, "--env: \"%s\" is not NAME=VALUE",
                                o->env.v[i]);
    for (size_t i = 0; i < o->constraints.n; i++)
        if (!strchr(o->constraints.v[i], '=') || *o->constraints.v[i] == '=')
            return rv_error_set(err, RV_ERR_INVALID, "--constraint: \"%s\" is not NAME=VALUE",
                                o->constraints.v[i]);
    if (!o->instances)
        return rv_error_set(err, RV_ERR_INVALID, "--instances: at least 1");
    if (!o->cpus && !o->mem)
        return rv_error_set(err, RV_ERR_INVALID, "a task needs cpus or mem");
    return 0;
}

void rv_run_describe(int64_t cpus, int64_t mem, const struct rv_run_options *o,
                     struct rv_buf *out) {
    char c[24], m[24], d[24], g[24];

    rv_fixed_format(cpus, c);
    rv_fixed_format(mem, m);
    rv_buf_printf(out, "%s cpus and %s MB of mem", c, m);
    if (!o)
        return;
    rv_fixed_format(o->disk, d);
    rv_fixed_format(o->gpus, g);
    if (o->disk)
        rv_buf_printf(out, ", %s MB of disk", d);
    if (o->gpus)
        rv_buf_printf(out, ", %s gpus", g);
    if (o->ports)
        rv_buf_printf(out, ", %lld ports", (long long)o->ports);
    for (size_t i = 0; i < o->constraints.n; i++)
        rv_buf_printf(out, ", %s", o->constraints.v[i]);
}

/* --- what is left of an offer --- */

struct bag {
    const Reeve__V1__Offer *offer;
    int64_t *left;       /* of each resource, thousandths */
    int64_t ports_taken; /* from the first range on */
    RV_VEC(Reeve__V1__TaskInfo *) tasks;
};

/* Volumes, shared and revocable resources are not for us. */
static bool is_plain(const Reeve__V1__Resource *r) {
    return !r->disk && !r->revocable && !r->shared && !r->provider_id;
}

static bool is_scalar(const Reeve__V1__Resource *r, const char *name) {
    return is_plain(r) && r->type == REEVE__V1__VALUE__TYPE__SCALAR && r->scalar &&
           rv_streq(r->name, name);
}

static bool is_ports(const Reeve__V1__Resource *r) {
    return is_plain(r) && r->type == REEVE__V1__VALUE__TYPE__RANGES && r->ranges &&
           rv_streq(r->name, "ports");
}

static int64_t left_of(const struct bag *b, const char *name) {
    int64_t sum = 0;

    for (size_t i = 0; i < b->offer->n_resources; i++)
        if (is_scalar(b->offer->resources[i], name))
            sum += b->left[i];
    return sum;
}

static int64_t ports_left(const struct bag *b) {
    uint64_t n = 0;

    for (size_t i = 0; i < b->offer->n_resources; i++) {
        const Reeve__V1__Resource *r = b->offer->resources[i];
        for (size_t k = 0; is_ports(r) && k < r->ranges->n_range; k++)
            n += r->ranges->range[k]->end - r->ranges->range[k]->begin + 1;
    }
    return (int64_t)n - b->ports_taken;
}

static bool meets(const Reeve__V1__Offer *offer, const char *constraint) {
    size_t n = strcspn(constraint, "=");
    const char *value = constraint + n + 1;

    if (n == strlen("hostname") && !strncmp(constraint, "hostname", n))
        return rv_streq(offer->hostname, value);
    for (size_t i = 0; i < offer->n_attributes; i++) {
        const Reeve__V1__Attribute *a = offer->attributes[i];
        double number;
        if (strlen(a->name) != n || strncmp(a->name, constraint, n) != 0)
            continue;
        if (a->type == REEVE__V1__VALUE__TYPE__TEXT && a->text && rv_streq(a->text->value, value))
            return true;
        if (a->type == REEVE__V1__VALUE__TYPE__SCALAR && a->scalar &&
            !rv_parse_double(value, &number) && !(number < a->scalar->value) &&
            !(number > a->scalar->value))
            return true;
    }
    return false;
}

/* NULL: a task fits; else why not. */
static const char *misfit(const struct bag *b, const struct rv_run_options *o) {
    for (size_t i = 0; i < o->constraints.n; i++)
        if (!meets(b->offer, o->constraints.v[i]))
            return "no offer meets the constraints";
    if (left_of(b, "cpus") < o->cpus || left_of(b, "mem") < o->mem)
        return "too little cpus or mem";
    if (left_of(b, "disk") < o->disk)
        return "too little disk";
    if (left_of(b, "gpus") < o->gpus)
        return "too few gpus";
    if (ports_left(b) < o->ports)
        return "too few ports";
    return NULL;
}

/* --- tasks --- */

static void add_resource(Reeve__V1__TaskInfo *task, Reeve__V1__Resource *r) {
    task->resources =
        rv_realloc(task->resources, (task->n_resources + 1) * sizeof *task->resources);
    task->resources[task->n_resources++] = r;
}

/* A copy on the heap, as protobuf-c frees it. */
static Reeve__V1__Resource *copy_of(const Reeve__V1__Resource *r) {
    struct rv_blob *packed = rv_wire_pack(RAW(r));
    Reeve__V1__Resource *copy = reeve__v1__resource__unpack(NULL, packed->n, packed->data);

    rv_blob_unref(packed);
    return copy;
}

static void take_scalar(struct bag *b, Reeve__V1__TaskInfo *task, const char *name,
                        int64_t needed) {
    for (size_t i = 0; needed && i < b->offer->n_resources; i++) {
        const Reeve__V1__Resource *r = b->offer->resources[i];
        int64_t amount = is_scalar(r, name) ? RV_MIN(needed, b->left[i]) : 0;
        if (!amount)
            continue;
        Reeve__V1__Resource *part = copy_of(r);
        part->scalar->value = rv_fixed_to_double(amount);
        add_resource(task, part);
        b->left[i] -= amount;
        needed -= amount;
    }
}

static void set_env(Reeve__V1__CommandInfo *command, const char *name, size_t n,
                    const char *value) {
    Reeve__V1__Environment__Variable *v = rv_malloc(sizeof *v);

    reeve__v1__environment__variable__init(v);
    v->name = rv_strndup(name, n);
    v->value = rv_strdup(value);
    if (!command->environment) {
        command->environment = rv_malloc(sizeof *command->environment);
        reeve__v1__environment__init(command->environment);
    }
    Reeve__V1__Environment *e = command->environment;
    e->variables = rv_realloc(e->variables, (e->n_variables + 1) * sizeof *e->variables);
    e->variables[e->n_variables++] = v;
}

static void set_number(Reeve__V1__CommandInfo *command, const char *name, uint64_t number) {
    char value[24];

    snprintf(value, sizeof value, "%llu", (unsigned long long)number);
    set_env(command, name, strlen(name), value);
}

/* One range of a single port after the other: simple, and the master adds them up. */
static void take_port(Reeve__V1__TaskInfo *task, const Reeve__V1__Resource *from, uint64_t port,
                      int64_t number) {
    Reeve__V1__Resource *r = copy_of(from);
    char name[32];

    for (size_t i = 1; i < r->ranges->n_range; i++)
        protobuf_c_message_free_unpacked(&r->ranges->range[i]->base, NULL);
    r->ranges->n_range = 1;
    r->ranges->range[0]->begin = r->ranges->range[0]->end = port;
    add_resource(task, r);
    snprintf(name, sizeof name, "PORT%lld", (long long)number);
    set_number(task->command, name, port);
}

static void take_ports(struct bag *b, Reeve__V1__TaskInfo *task, int64_t needed) {
    int64_t seen = 0, taken = 0;

    for (size_t i = 0; i < b->offer->n_resources; i++) {
        const Reeve__V1__Resource *r = b->offer->resources[i];
        for (size_t k = 0; is_ports(r) && k < r->ranges->n_range; k++)
            for (uint64_t port = r->ranges->range[k]->begin;
                 port <= r->ranges->range[k]->end && taken < needed; port++)
                if (seen++ >= b->ports_taken)
                    take_port(task, r, port, taken++);
    }
    b->ports_taken += taken;
}

static void make_task(struct rv_run_task *t, struct bag *b) {
    const struct rv_run_job *job = t->job;
    const struct rv_run_options *o = job->options;
    Reeve__V1__TaskInfo *task = reeve_task_new(t->id, job->name, b->offer);

    if (o->shell)
        reeve_task_set_shell(task, o->shell);
    else
        reeve_task_set_argv(task, (const char *const *)job->argv);
    if (o->user)
        task->command->user = rv_strdup(o->user);
    set_number(task->command, "REEVE_INSTANCE", t->index);
    set_number(task->command, "REEVE_INSTANCES", job->n_tasks);
    for (size_t i = 0; i < o->env.n; i++) {
        size_t n = strcspn(o->env.v[i], "=");
        set_env(task->command, o->env.v[i], n, o->env.v[i] + n + 1);
    }
    take_scalar(b, task, "cpus", o->cpus);
    take_scalar(b, task, "mem", o->mem);
    take_scalar(b, task, "disk", o->disk);
    take_scalar(b, task, "gpus", o->gpus);
    take_ports(b, task, o->ports);
    rv_vec_push(&b->tasks, task);
    free(t->agent_id);
    t->agent_id = rv_strdup(b->offer->agent_id->value);
    t->launched = true;
}

/* --- offers --- */

/* Where the agent of the offer listens. */
static void remember_agent(struct rv_run_job *job, const Reeve__V1__Offer *offer) {
    const Reeve__V1__Address *at = offer->url ? offer->url->address : NULL;
    struct rv_run_agent *agent = NULL, fresh = {0};

    for (size_t i = 0; i < job->agents.n; i++)
        if (rv_streq(job->agents.v[i].id, offer->agent_id->value))
            agent = &job->agents.v[i];
    if (agent)
        return;
    fresh.id = rv_strdup(offer->agent_id->value);
    snprintf(fresh.address.host, sizeof fresh.address.host, "%s",
             at && at->ip && *at->ip ? at->ip
             : at && at->hostname    ? at->hostname
                                     : offer->hostname);
    fresh.address.port = at ? (uint16_t)at->port : 5051;
    rv_vec_push(&job->agents, fresh);
}

static void bag_init(struct bag *b, const Reeve__V1__Offer *offer) {
    *b = (struct bag){.offer = offer};
    b->left = rv_calloc(offer->n_resources + 1, sizeof *b->left);
    for (size_t i = 0; i < offer->n_resources; i++)
        if (offer->resources[i]->scalar &&
            !rv_fixed_from_double(offer->resources[i]->scalar->value, &b->left[i]))
            b->left[i] = 0;
}

static struct rv_run_task *next_task(struct rv_run_job *job) {
    for (size_t i = 0; i < job->n_tasks; i++)
        if (!job->tasks[i].launched && !job->tasks[i].ended)
            return &job->tasks[i];
    return NULL;
}

static void distribute(struct rv_run_job *job, struct bag *bags, size_t n) {
    bool some = true;

    while (some) {
        some = false;
        for (size_t i = 0; i < n; i++) {
            struct rv_run_task *t = next_task(job);
            if (!t)
                return;
            const char *why = misfit(&bags[i], job->options);
            if (why && !bags[i].tasks.n)
                job->misfit = why;
            if (why)
                continue;
            make_task(t, &bags[i]);
            job->n_launched++;
            some = true;
        }
    }
}

static void answer(struct rv_run_job *job, struct bag *b) {
    const char *id = b->offer->id->value;

    if (b->tasks.n) {
        remember_agent(job, b->offer);
        reeve_scheduler_launch(job->scheduler, b->offer, b->tasks.v, b->tasks.n,
                               REEVE_REFUSE_DEFAULT);
    } else {
        int64_t cpus = left_of(b, "cpus"), mem = left_of(b, "mem");
        if (cpus > job->seen_cpus || (cpus == job->seen_cpus && mem > job->seen_mem)) {
            job->seen_cpus = cpus;
            job->seen_mem = mem;
        }
        reeve_scheduler_decline(job->scheduler, &id, 1, REEVE_REFUSE_DEFAULT);
    }
    for (size_t i = 0; i < b->tasks.n; i++)
        reeve__v1__task_info__free_unpacked(b->tasks.v[i], NULL);
    rv_vec_free(&b->tasks);
    free(b->left);
}

void rv_run_offers(struct rv_run_job *job, Reeve__V1__Offer *const *offers, size_t n) {
    struct bag *bags = rv_calloc(n + 1, sizeof *bags);
    size_t before = job->n_launched;

    job->n_offers += n;
    for (size_t i = 0; i < n; i++)
        bag_init(&bags[i], offers[i]);
    if (!job->interrupt)
        distribute(job, bags, n);
    for (size_t i = 0; i < n; i++)
        answer(job, &bags[i]);
    free(bags);
    if (job->n_launched > before)
        job->waiting_since_ms = (int64_t)uv_now(&job->loop);
    if (!next_task(job) && !job->suppressed)
        job->suppressed = !reeve_scheduler_suppress(job->scheduler, NULL, 0);
    rv_run_progress(job);
}
