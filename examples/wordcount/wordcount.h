/*
 * wordcount: counts the words of many files as a MapReduce framework on libreeve.
 *
 * A map task counts the words of some files and writes them to one file a partition; a reduce task
 * adds up one partition of all maps. Both run in this program's own executor, which the agents
 * start as `wordcount --executor`. What a task has to do travels in its data, as lines of text:
 *
 *   map       map ID PARTITIONS FOLDER, then a line for each file
 *   reduce    reduce PARTITION MAPS FOLDER
 *
 * and what it did comes back in the data of its last status: "bytes words milliseconds". Folder is
 * a folder that all agents share; outputs appear there whole or not at all, by rename(), so that a
 * task may run twice.
 *
 * A word is [A-Za-z]+, in lower case; files end words. Files may be compressed by gzip.
 */
#ifndef WORDCOUNT_H
#define WORDCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- words.c: counting ---- */

struct word {
    char *text; /* NULL: an empty slot */
    uint64_t count;
};

struct words {
    struct word *slots;
    size_t n, capacity; /* capacity is 0 or a power of two */
    uint64_t total;     /* the sum of the counts */
};

void words_free(struct words *w);
void words_add(struct words *w, const char *text, size_t n, uint64_t count);
uint64_t words_count(const struct words *w, const char *text);
/* Adds the words of a text, plain or gzip. 0, or -1 with errno. */
int words_add_file(struct words *w, const char *path, uint64_t *bytes);
/* Adds what words_write() wrote, or `uniq -c`: lines of count and word. 0, or -1 with errno. */
int words_merge_file(struct words *w, const char *path);
/* Writes those of one partition as lines of count and word. 0, or -1 with errno. */
int words_write(const struct words *w, const char *path, unsigned partition, unsigned partitions);
/* The most frequent first, equal ones by the alphabet; the caller frees the array only. */
struct word *words_sorted(const struct words *w);

/* ---- input.c: what to read ---- */

struct input_file {
    char *path;
    uint64_t weight; /* about how many bytes of text */
};

struct input {
    struct input_file *files; /* by path */
    size_t n;
    uint64_t weight;
    unsigned *split; /* which split a file belongs to */
    unsigned n_splits;
};

/* Text files below the folders, until limit bytes. */
void input_find(struct input *in, const char *const *folders, size_t n, uint64_t limit);
/* Into at most n splits of about the same weight. */
void input_split(struct input *in, unsigned n);
int input_write_list(const struct input *in, const char *path);
void input_free(struct input *in);

/* ---- the two halves ---- */

struct options {
    const char *master;
    const char *program;  /* absolute path of this program, for the agents */
    const char *work_dir; /* shared with the agents; exists */
    const char *list_file;
    const char **shared; /* paths that executors see as they are on the machine */
    size_t n_shared;
    unsigned maps, reduces, top;
    double cpus, mem_mb; /* of a task */
    bool check;
};

int executor_main(void);
int scheduler_main(const struct options *options, struct input *in);

/* ---- report.c: what a person sees ---- */

struct agent_report {
    char *id, *hostname;
    double cpus;      /* the most ever offered */
    double used_cpus; /* now */
    unsigned maps, reduces;
    uint64_t bytes, busy_ms;
    bool has_executor;
};

struct report {
    struct agent_report *agents;
    size_t n_agents;
    double *used; /* share of the cpus in use, a sample every SAMPLE_MS */
    size_t n_used;
    bool tty;
    unsigned last_tenth;
};

enum { SAMPLE_MS = 100 };

struct agent_report *report_agent(struct report *r, const char *id);
void report_sample(struct report *r);
void report_progress(struct report *r, unsigned done, unsigned all, unsigned running,
                     unsigned failed, double seconds);
void report_words(const struct words *w, unsigned top);
void report_cluster(const struct report *r);
void report_free(struct report *r);

/* Memory or nothing. */
void *must_realloc(void *old, size_t n);
char *must_strdup(const char *s);

#endif
