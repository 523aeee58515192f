/* What a person sees: progress while it runs, then words, agents and utilisation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wordcount.h"

enum { SPARK_WIDTH = 60 };

struct agent_report *report_agent(struct report *r, const char *id) {
    struct agent_report *agent;

    for (size_t i = 0; i < r->n_agents; i++)
        if (!strcmp(r->agents[i].id, id))
            return &r->agents[i];
    r->agents = must_realloc(r->agents, (r->n_agents + 1) * sizeof *r->agents);
    agent = &r->agents[r->n_agents++];
    *agent = (struct agent_report){.id = must_strdup(id)};
    return agent;
}

void report_sample(struct report *r) {
    double used = 0, all = 0;

    for (size_t i = 0; i < r->n_agents; i++) {
        used += r->agents[i].used_cpus;
        all += r->agents[i].cpus;
    }
    if (!(r->n_used & (r->n_used - 1)))
        r->used = must_realloc(r->used, (r->n_used ? r->n_used * 2 : 1) * sizeof *r->used);
    r->used[r->n_used++] = all > 0 ? used / all : 0;
}

void report_progress(struct report *r, unsigned done, unsigned all, unsigned running,
                     unsigned failed, double seconds) {
    unsigned tenth = all ? done * 10 / all : 0;

    if (r->tty) {
        char bar[41];
        unsigned full = all ? done * 40 / all : 0;
        for (unsigned i = 0; i < 40; i++)
            bar[i] = i < full ? '#' : '.';
        bar[40] = 0;
        printf("\r[%s] %u/%u tasks, %u under way, %u again  %.1f s ", bar, done, all, running,
               failed, seconds);
        if (done == all)
            putchar('\n');
    } else if (tenth > r->last_tenth) {
        r->last_tenth = tenth;
        printf("%3u %%: %u of %u tasks after %.1f s, %u under way\n", tenth * 10, done, all,
               seconds, running);
    }
    fflush(stdout);
}

void report_words(const struct words *w, unsigned top) {
    struct word *list = words_sorted(w);

    printf("\n%llu words, %zu different. The most frequent:\n", (unsigned long long)w->total, w->n);
    for (size_t i = 0; i < w->n && i < top; i++)
        printf("%10llu %s\n", (unsigned long long)list[i].count, list[i].text);
    free(list);
}

/* A column is the mean of the samples that fall into it. */
static void print_spark(const struct report *r) {
    static const char *const levels[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    size_t width = r->n_used < SPARK_WIDTH ? r->n_used : SPARK_WIDTH;
    double sum = 0;

    for (size_t i = 0; i < r->n_used; i++)
        sum += r->used[i];
    printf("\ncpus in use over %.1f s, on average %.0f %%:\n  |",
           (double)r->n_used * SAMPLE_MS / 1e3, r->n_used ? sum * 100 / (double)r->n_used : 0);
    for (size_t i = 0; i < width; i++) {
        size_t from = i * r->n_used / width, to = (i + 1) * r->n_used / width;
        double part = 0;
        for (size_t j = from; j < to; j++)
            part += r->used[j];
        part = part * 8 / (double)(to - from) + 0.5;
        fputs(levels[part < 0 ? 0 : part > 8 ? 8 : (int)part], stdout);
    }
    puts("|");
}

void report_cluster(const struct report *r) {
    printf("\n%-44s %-16s %5s %6s %7s %8s %8s\n", "agent", "host", "maps", "reduces", "cpus", "MB",
           "cpu s");
    for (size_t i = 0; i < r->n_agents; i++) {
        const struct agent_report *a = &r->agents[i];
        printf("%-44s %-16s %5u %6u %8.2f %8.1f %8.2f\n", a->id, a->hostname ? a->hostname : "",
               a->maps, a->reduces, a->cpus, (double)a->bytes / 1e6, (double)a->busy_ms / 1e3);
    }
    print_spark(r);
}

void report_free(struct report *r) {
    for (size_t i = 0; i < r->n_agents; i++) {
        free(r->agents[i].id);
        free(r->agents[i].hostname);
    }
    free(r->agents);
    free(r->used);
    *r = (struct report){0};
}
