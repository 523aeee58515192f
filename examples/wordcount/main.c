/* wordcount: options, input, the folder that is shared. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <reeve.h>

#include "wordcount.h"

static const char usage[] =
    "wordcount --master=HOST:PORT [options]: counts words on a cluster\n"
    "\n"
    "  --master=HOST:PORT   the master, or several with commas between; $REEVE_MASTER\n"
    "  --input=DIR          text files and .gz below it; may come often, and as operands;\n"
    "                       documentation, licences and changelogs of this machine by default\n"
    "  --limit=MB           about how much text at most; 200\n"
    "  --maps=N             map tasks, fewer if there are fewer files; 600\n"
    "  --reduces=N          reduce tasks; 16\n"
    "  --cpus=N --mem=MB    of a task; 0.2 and 32\n"
    "  --top=N              words to show; 20\n"
    "  --work_dir=DIR       where tasks meet, seen by all agents; by default one below /tmp\n"
    "  --list-files=FILE    write the names of the files that are counted\n"
    "  --check              compare all counts with those of a shell pipeline\n"
    "\n"
    "Exit status: 0 if all was counted and, with --check, is right; else 1; 2 for wrong use.\n";

static int wrong_use(const char *what, const char *value) {
    fprintf(stderr, "wordcount: %s \"%s\"; --help says more\n", what, value);
    return 2;
}

static bool parse_unsigned(const char *text, unsigned min, unsigned max, unsigned *out) {
    char *end;
    unsigned long n;

    errno = 0;
    n = strtoul(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || n < min || n > max)
        return false;
    *out = (unsigned)n;
    return true;
}

static bool parse_amount(const char *text, double *out) {
    char *end;
    double n = strtod(text, &end);

    if (end == text || *end || !(n >= 0.001 && n < 1e6))
        return false;
    *out = n;
    return true;
}

struct arguments {
    struct options options;
    const char **folders;
    size_t n_folders;
    unsigned limit_mb;
    bool executor, help;
};

static void add_folder(struct arguments *a, const char *folder) {
    a->folders = must_realloc(a->folders, (a->n_folders + 1) * sizeof *a->folders);
    a->folders[a->n_folders++] = folder;
}

static int parse(int argc, char **argv, struct arguments *a) {
    static const struct option table[] = {
        {"master", 1, NULL, 'm'}, {"input", 1, NULL, 'i'},      {"limit", 1, NULL, 'l'},
        {"maps", 1, NULL, 'n'},   {"reduces", 1, NULL, 'r'},    {"cpus", 1, NULL, 'c'},
        {"mem", 1, NULL, 'M'},    {"top", 1, NULL, 't'},        {"work_dir", 1, NULL, 'w'},
        {"check", 0, NULL, 'k'},  {"list-files", 1, NULL, 'f'}, {"executor", 0, NULL, 'e'},
        {"help", 0, NULL, 'h'},   {NULL, 0, NULL, 0},
    };
    struct options *o = &a->options;
    bool ok = true;
    int c;

    while (ok && (c = getopt_long(argc, argv, "h", table, NULL)) != -1) {
        switch (c) {
        case 'm':
            o->master = optarg;
            break;
        case 'i':
            add_folder(a, optarg);
            break;
        case 'l':
            ok = parse_unsigned(optarg, 1, 1000000, &a->limit_mb);
            break;
        case 'n':
            ok = parse_unsigned(optarg, 1, 100000, &o->maps);
            break;
        case 'r':
            ok = parse_unsigned(optarg, 1, 10000, &o->reduces);
            break;
        case 'c':
            ok = parse_amount(optarg, &o->cpus);
            break;
        case 'M':
            ok = parse_amount(optarg, &o->mem_mb);
            break;
        case 't':
            ok = parse_unsigned(optarg, 0, 1000000, &o->top);
            break;
        case 'w':
            o->work_dir = optarg;
            break;
        case 'f':
            o->list_file = optarg;
            break;
        case 'k':
            o->check = true;
            break;
        case 'e':
            a->executor = true;
            break;
        case 'h':
            a->help = true;
            break;
        default:
            return 2; /* getopt has said why */
        }
    }
    if (!ok)
        return wrong_use("cannot take", optarg);
    for (; optind < argc; optind++)
        add_folder(a, argv[optind]);
    return 0;
}

static int remove_files(const char *path) {
    const struct dirent *entry;
    DIR *dir = opendir(path);

    if (!dir)
        return -1;
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    return rmdir(path);
}

/* Removes the folder that we made, and our files in it. Executors that have not heard of the end
 * yet still write there: to its name, so it gets another one first, or to the folder itself, which
 * their containers see, so it is tried again. */
static void remove_folder(const char *path) {
    const struct timespec pause = {.tv_nsec = 20000000};
    char going[PATH_MAX];
    bool tried = false;

    snprintf(going, sizeof going, "%s.going", path);
    for (int i = 0; i < 500 && (tried || !rename(path, going)); i++) {
        tried = true;
        if (!remove_files(going))
            return;
        if (errno != ENOTEMPTY)
            break;
        nanosleep(&pause, NULL);
    }
    fprintf(stderr, "wordcount: %s is left: %s\n", tried ? going : path, strerror(errno));
}

static void share(struct options *o, const char *path) {
    o->shared = must_realloc(o->shared, (o->n_shared + 1) * sizeof *o->shared);
    o->shared[o->n_shared++] = path;
}

/* What executors need and would not see: each of their containers has a /tmp to itself. */
static void share_all(struct arguments *a, char library[PATH_MAX]) {
    struct options *o = &a->options;
    Dl_info where;

    share(o, o->work_dir);
    for (size_t i = 0; i < a->n_folders; i++)
        if (!strncmp(a->folders[i], "/tmp/", 5))
            share(o, a->folders[i]);
    if (!strncmp(o->program, "/tmp/", 5)) {
        share(o, o->program);
        if (dladdr((void *)(uintptr_t)&reeve_version, &where) && realpath(where.dli_fname, library))
            share(o, dirname(library));
    }
}

static int run(struct arguments *a, const char *own_folder) {
    static const char *const default_folders[] = {
        "/usr/share/common-licenses", "/usr/share/doc",  "/usr/share/perl",
        "/usr/share/perl5",           "/usr/share/info", "/usr/share/man"};
    struct options *o = &a->options;
    char work_dir[PATH_MAX], program[PATH_MAX], library[PATH_MAX];
    struct input in = {0};
    int rc = 1;

    if (!realpath(own_folder ? own_folder : o->work_dir, work_dir) ||
        !realpath("/proc/self/exe", program)) {
        fprintf(stderr, "wordcount: %s: %s\n", own_folder ? own_folder : o->work_dir,
                strerror(errno));
        return 1;
    }
    o->work_dir = work_dir;
    o->program = program;
    if (strpbrk(work_dir, "'\n") || strpbrk(program, "'\n"))
        return wrong_use("there is a quote or line end in", work_dir);
    share_all(a, library);
    input_find(&in, a->n_folders ? a->folders : default_folders,
               a->n_folders ? a->n_folders : sizeof default_folders / sizeof *default_folders,
               (uint64_t)a->limit_mb * 1000000);
    if (!in.n) {
        fputs("wordcount: there is no text to count\n", stderr);
    } else if (o->list_file && input_write_list(&in, o->list_file)) {
        fprintf(stderr, "wordcount: %s: %s\n", o->list_file, strerror(errno));
    } else {
        input_split(&in, o->maps);
        printf("%zu files, about %.1f MB of text, in %u map and %u reduce tasks of %g cpus and"
               " %g MB\n",
               in.n, (double)in.weight / 1e6, in.n_splits, o->reduces, o->cpus, o->mem_mb);
        fflush(stdout);
        rc = scheduler_main(o, &in);
    }
    input_free(&in);
    free(o->shared);
    return rc;
}

int main(int argc, char **argv) {
    struct arguments a = {
        .limit_mb = 200,
        .options = {.master = getenv("REEVE_MASTER"),
                    .maps = 600,
                    .reduces = 16,
                    .top = 20,
                    .cpus = 0.2,
                    .mem_mb = 32},
    };
    char folder[] = "/tmp/wordcount-XXXXXX";
    const char *own_folder = NULL;
    int rc = parse(argc, argv, &a);

    if (!rc && a.help) {
        fputs(usage, stdout);
    } else if (!rc && a.executor) {
        rc = executor_main();
    } else if (!rc && !a.options.master) {
        rc = wrong_use("which master?", "--master");
    } else if (!rc) {
        if (!a.options.work_dir && !(own_folder = mkdtemp(folder)))
            fprintf(stderr, "wordcount: %s: %s\n", folder, strerror(errno));
        rc = a.options.work_dir || own_folder ? run(&a, own_folder) : 1;
        if (own_folder)
            remove_folder(own_folder);
    }
    free(a.folders);
    return rc;
}
