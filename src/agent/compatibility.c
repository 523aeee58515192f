/*
 * Whether an agent may come back as what it says it is now (INV-20). What frameworks were told and
 * tasks were promised must still be true: so by default nothing may differ, and with the additive
 * policy there may only be more.
 */
#include "agent/internal.h"

struct judging {
    const struct rv_agent_info *before, *now;
    bool additive;
    struct rv_buf *why; /* a sentence for each difference */
};

static void differs(const struct judging *j, const char *what, const char *before,
                    const char *now) {
    rv_buf_printf(j->why, "%s%s: %s before, %s now", j->why->n ? "; " : "", what,
                  before && *before ? before : "none", now && *now ? now : "none");
}

/* --- what was detected --- */

static bool is_detected(const struct rv_agent_config *c, const char *name) {
    for (size_t i = 0; i < c->n_detected; i++) {
        if (rv_streq(c->detected[i], name)) {
            return true;
        }
    }
    return false;
}

/* A machine may come to have a little more: of what nobody named the agent goes on with what it
 * had, which is not for frameworks to notice. */
void rv_agent_keep_detected(struct rv_agent *a, const struct rv_agent_info *before) {
    struct rv_resources *now = &a->info.resources;

    for (size_t i = 0; !a->config.additive && i < before->resources.n; i++) {
        const struct rv_resource *r = &before->resources.v[i];
        if (r->kind->type != RV_SCALAR || !is_detected(&a->config, r->kind->name) ||
            !rv_resources_contains_one(now, r)) {
            continue;
        }
        for (size_t k = 0; k < now->n; k++) {
            if (rv_kind_eq(now->v[k].kind, r->kind)) {
                now->v[k].scalar = r->scalar;
            }
        }
    }
}

/* --- resources --- */

static void judge_resources(const struct judging *j) {
    const struct rv_resources *before = &j->before->resources, *now = &j->now->resources;
    struct rv_buf old = {0}, fresh = {0};

    if (j->additive ? rv_resources_contains(now, before) : rv_resources_eq(now, before)) {
        return;
    }
    rv_resources_format(before, &old);
    rv_resources_format(now, &fresh);
    differs(j, "resources", old.data, fresh.data);
    rv_buf_free(&old);
    rv_buf_free(&fresh);
}

/* --- attributes --- */

static bool same_attribute(const struct rv_attribute *a, const struct rv_attribute *b) {
    const struct rv_attributes x = {(struct rv_attribute *)(uintptr_t)a, 1, 1};
    const struct rv_attributes y = {(struct rv_attribute *)(uintptr_t)b, 1, 1};

    return rv_attributes_eq(&x, &y);
}

/* Whether `now` may stand for `before`. */
static bool is_kept(const struct rv_attribute *before, const struct rv_attribute *now,
                    bool additive) {
    if (!rv_streq(before->name, now->name) || before->type != now->type) {
        return false;
    }
    if (additive && before->type == RV_RANGES) {
        return rv_ranges_contains(&now->ranges, &before->ranges);
    }
    if (additive && before->type == RV_SET) {
        return rv_set_contains(&now->set, &before->set);
    }
    return same_attribute(before, now);
}

static void judge_attributes(const struct judging *j) {
    const struct rv_attributes *before = &j->before->attributes, *now = &j->now->attributes;
    bool ok = j->additive || before->n == now->n;
    struct rv_buf old = {0}, fresh = {0};

    for (size_t i = 0; ok && i < before->n; i++) {
        bool found = false;
        for (size_t k = 0; k < now->n; k++) {
            found = found || is_kept(&before->v[i], &now->v[k], j->additive);
        }
        ok = found;
    }
    if (!ok) {
        rv_attributes_format(before, &old);
        rv_attributes_format(now, &fresh);
        differs(j, "attributes", old.data, fresh.data);
    }
    rv_buf_free(&old);
    rv_buf_free(&fresh);
}

/* --- the rest --- */

static void judge_text(const struct judging *j, const char *what, const char *before,
                       const char *now) {
    if (!rv_streq(before ? before : "", now ? now : "")) {
        differs(j, what, before, now);
    }
}

static void judge_port(const struct judging *j) {
    struct rv_buf before = {0}, now = {0};

    if (j->before->port != j->now->port) {
        rv_buf_put_i64(&before, j->before->port);
        rv_buf_put_i64(&now, j->now->port);
        differs(j, "port", before.data, now.data);
    }
    rv_buf_free(&before);
    rv_buf_free(&now);
}

static void judge_domain(const struct judging *j) {
    const struct rv_agent_info *before = j->before, *now = j->now;

    if (j->additive && !before->region && !before->zone) {
        return;
    }
    judge_text(j, "region", before->region, now->region);
    judge_text(j, "zone", before->zone, now->zone);
}

void rv_agent_judge(const struct rv_agent *a, const struct rv_agent_info *before,
                    struct rv_buf *why) {
    const struct judging j = {before, &a->info, a->config.additive, why};

    judge_text(&j, "hostname", before->hostname, a->info.hostname);
    if (!a->config.any_port) {
        judge_port(&j);
    }
    judge_domain(&j);
    judge_resources(&j);
    judge_attributes(&j);
}

bool rv_agent_info_same(const struct rv_agent_info *a, const struct rv_agent_info *b) {
    return rv_streq(a->hostname, b->hostname) && rv_streq(a->ip, b->ip) && a->port == b->port &&
           rv_streq(a->region, b->region) && rv_streq(a->zone, b->zone) &&
           rv_resources_eq(&a->resources, &b->resources) &&
           rv_attributes_eq(&a->attributes, &b->attributes);
}
