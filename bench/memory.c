/*
 * Idle resident memory of a master, an agent, and the command executor of a task that sleeps, as
 * three processes of their own.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "emulator.h"

/* The executor that works below a folder; 0: there is none. */
static int find_executor(const char *folder) {
    DIR *proc = opendir("/proc");
    int found = 0;

    for (struct dirent *d; proc && (d = readdir(proc));) {
        char path[300], text[4096];
        snprintf(path, sizeof path, "/proc/%s/cwd", d->d_name);
        ssize_t n = readlink(path, text, sizeof text - 1);
        if (n <= 0 || (size_t)n < strlen(folder) || strncmp(text, folder, strlen(folder)) != 0)
            continue;
        snprintf(path, sizeof path, "/proc/%s/comm", d->d_name);
        FILE *f = fopen(path, "re");
        if (f && fgets(text, sizeof text, f) && !strcmp(text, "reeve-executor\n"))
            found = atoi(d->d_name);
        if (f)
            fclose(f);
    }
    if (proc)
        closedir(proc);
    return found;
}

int main(void) {
    char *work_dir = new_work_dir(), address[64];
    uint16_t port, agent_port;

    signal(SIGPIPE, SIG_IGN);
    int master = start_master(NULL, &port);
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    int agent = start_agent(address, work_dir, NULL, &agent_port);
    sleep(3);
    printf("limits: master 16, agent 8, executor 2 MiB\n");
    printf("figure memory.master %.2f MiB\n", (double)resident_kib(master) / 1024);
    printf("figure memory.agent %.2f MiB\n", (double)resident_kib(agent) / 1024);
    int scheduler = run_task(address, "sleep 60");
    int executor = 0;
    for (int i = 0; i < 100 && !executor; i++) {
        usleep(100000);
        executor = find_executor(work_dir);
    }
    sleep(1);
    if (executor)
        printf("figure memory.executor %.2f MiB\n", (double)resident_kib(executor) / 1024);
    stop_process(scheduler);
    stop_process(agent);
    stop_process(master);
    return remove_folder(work_dir) || !executor;
}
