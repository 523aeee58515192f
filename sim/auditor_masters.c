/*
 * The auditor's part at the masters and what they share: who leads, and what the registry holds, as
 * ZooKeeper's own log says (INV-1, INV-4, INV-5).
 */
#include <stdio.h>
#include <stdlib.h>

#include "auditor_internal.h"
#include "cluster.h"

/* --- the registry --- */

static int digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c - 'a' + 10;
}

/* A record's key from the name of its node, where what is not plain is %XX. */
static char *key_of(const char *name) {
    struct rv_buf key = {0};

    for (const char *p = name; *p; p++)
        if (*p == '%' && p[1] && p[2]) {
            rv_buf_putc(&key, (char)(digit(p[1]) << 4 | digit(p[2])));
            p += 2;
        } else {
            rv_buf_putc(&key, *p);
        }
    return rv_buf_take(&key, NULL);
}

/* "reeve-registry 1 WRITER ...": who has written once, and then another did, writes no more. */
static void head_written(struct sim_auditor *a, const struct rv_blob *head) {
    const char *text = (const char *)head->data, *first = memchr(text, ' ', head->n);
    const char *second = first ? strchr(first + 1, ' ') : NULL;
    _cleanup_free_ char *writer =
        second ? rv_strndup(second + 1, strcspn(second + 1, " ")) : rv_strdup("nobody");

    if (rv_streq(writer, a->writer))
        return;
    if (rv_map_gets(&a->writers, writer))
        sim_fail(a->world, "INV-4: master %s writes after %s has taken over", writer, a->writer);
    rv_map_put(&a->writers, rv_str(writer), a);
    free(a->writer);
    a->writer = rv_strdup(writer);
}

static void record_written(struct sim_auditor *a, const struct sim_zk_change *c, const char *name) {
    _cleanup_free_ char *key = key_of(name);

    rv_blob_unref(c->change == RV_ZK_REMOVE
                      ? rv_map_remove(&a->records, rv_str(key))
                      : rv_map_put(&a->records, rv_str(key), rv_blob_ref(c->data)));
}

/* "PATH/registry", or "PATH/registry/XX/NAME". */
void sim_audit_committed(struct sim_auditor *a, const struct sim_zk_txn *t) {
    static const char root[] = SIM_ZK_PATH "/registry";

    for (size_t i = 0; i < t->changes.list.n; i++) {
        const struct sim_zk_change *c = &t->changes.list.v[i];
        const char *rest = rv_starts_with(c->path, root) ? c->path + strlen(root) : NULL;

        if (rest && !*rest && c->data)
            head_written(a, c->data);
        else if (rest && strlen(rest) > 4 && rest[3] == '/')
            record_written(a, c, rest + 4);
    }
}

static bool same_value(const struct rv_blob *b, struct rv_str value) {
    return b && b->n == value.n && !memcmp(b->data, value.s, value.n);
}

void sim_audit_loaded(struct sim_auditor *a, const struct sim_master *m, const char *key,
                      struct rv_str value) {
    a->n_loaded++;
    if (!same_value(rv_map_gets(&a->records, key), value))
        sim_fail(a->world, "INV-5: %s reads another %s than was written", m->server.party.name,
                 key);
}

void sim_audit_loaded_all(struct sim_auditor *a, const struct sim_master *m) {
    if (a->n_loaded != rv_map_count(&a->records))
        sim_fail(a->world, "INV-5: %s reads %zu records of %zu", m->server.party.name, a->n_loaded,
                 rv_map_count(&a->records));
    a->checks++;
}

void sim_audit_durable(struct sim_auditor *a, const char *kind, const char *id, const char *what) {
    const struct sim_cluster *c = a->master->cluster;
    _cleanup_free_ char *key = rv_asprintf("%s/%s", kind, id);

    a->checks++;
    if (!rv_map_gets(c->has_zk ? &a->records : &a->master->registry.content.records, key))
        sim_fail(a->world, "INV-4: %s is told, but there is no durable record %s", what, key);
}

/* --- who leads --- */

/* Nobody but ZooKeeper knows when a session ends. What a master was told of it before lets it lead
 * for two thirds of the timeout, in which nobody else may begin to. */
static bool acts_too_late(const struct sim_master *m) {
    const struct sim_cluster *c = m->cluster;
    uint64_t session = (uint64_t)rv_zk_id(rv_election_session(m->elector.election));
    int64_t ended_ms = sim_ensemble_ended_ms(&c->zk, session);

    return ended_ms != INT64_MAX && c->world.now_ms - ended_ms > c->session_ms * 2 / 3;
}

void sim_audit_master_acts(struct sim_auditor *a, const struct sim_master *m) {
    a->checks++;
    if (m != a->master || !a->leading)
        sim_fail(a->world, "INV-1: %s (%s) acts after %s has begun to lead", m->server.party.name,
                 m->id, a->master->server.party.name);
    if (m->elector.election && acts_too_late(m))
        sim_fail(a->world, "INV-1: %s (%s) acts long after its session has expired",
                 m->server.party.name, m->id);
}

void sim_audit_master_says(struct sim_auditor *a, const struct sim_master *m,
                           const struct sim_message *said) {
    bool sends = said->kind == SIM_ANSWER && said->status == 307;
    char self[16];

    a->checks++;
    if (sim_master_leads(m))
        return;
    if (said->kind != SIM_ANSWER || (!sends && said->status != 503))
        sim_fail(a->world, "INV-2: %s, which does not lead, serves: %d", m->server.party.name,
                 said->status);
    snprintf(self, sizeof self, "%zu", m->number);
    if (sends && (!said->body || rv_str_eq(rv_strn(said->body->data, said->body->n), rv_str(self))))
        sim_fail(a->world, "INV-2: %s sends to itself", m->server.party.name);
}

void sim_audit_master_started(struct sim_auditor *a, struct sim_master *m,
                              const struct rv_registry_snapshot *s) {
    if (a->leading)
        sim_audit_books_closed(a);
    a->master = m;
    a->leading = true;
    sim_audit_books_opened(a, s);
}

void sim_audit_master_ended(struct sim_auditor *a, const struct sim_master *m) {
    if (m != a->master || !a->leading)
        return;
    a->leading = false;
    sim_audit_books_closed(a);
}

void sim_audit_masters_free(struct sim_auditor *a) {
    void *v;

    for (size_t it = 0; rv_map_next(&a->records, &it, NULL, &v);)
        rv_blob_unref(v);
    rv_map_free(&a->records);
    rv_map_free(&a->writers);
    free(a->writer);
}
