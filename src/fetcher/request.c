/* See request.h. Memory files instead of pipes: nobody needs to wait for them. */
#include "fetcher/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/str.h"

static int memory_file(const char *name, int *fd, struct rv_error *err) {
    int made = memfd_create(name, MFD_CLOEXEC);

    if (made < 0)
        return rv_error_set(err, RV_ERR_IO, "memfd_create: %s", strerror(errno));
    *fd = made;
    return 0;
}

static int write_whole(int fd, const uint8_t *data, size_t n, struct rv_error *err) {
    for (size_t done = 0; done < n;) {
        ssize_t one = pwrite(fd, data + done, n - done, (off_t)done);
        if (one <= 0)
            return rv_error_set(err, RV_ERR_IO, "cannot write a request: %s", strerror(errno));
        done += (size_t)one;
    }
    return 0;
}

int rv_fetch_request_open(const Reeve__V1__CommandInfo *command,
                          const Reeve__V1__Fetch__Request *base, int *fd, struct rv_error *err) {
    Reeve__V1__Fetch__Request request = *base;
    size_t n = command->n_uris;
    Reeve__V1__Fetch__Uri *uris = rv_calloc(n, sizeof *uris);
    Reeve__V1__Fetch__Uri **list = rv_calloc(n, sizeof *list);
    int made = -1, r = memory_file("fetch-request", &made, err);

    for (size_t i = 0; i < n; i++) {
        const Reeve__V1__CommandInfo__URI *from = command->uris[i];
        reeve__v1__fetch__uri__init(&uris[i]);
        uris[i].value = from->value;
        uris[i].has_executable = uris[i].has_extract = uris[i].has_cache = true;
        uris[i].executable = from->executable;
        uris[i].extract = from->extract;
        uris[i].cache = from->cache;
        uris[i].output_file = from->output_file;
        list[i] = &uris[i];
    }
    request.n_uris = n;
    request.uris = list;
    size_t size = reeve__v1__fetch__request__get_packed_size(&request);
    _cleanup_free_ uint8_t *packed = rv_malloc(size);
    reeve__v1__fetch__request__pack(&request, packed);
    if (!r)
        r = write_whole(made, packed, size, err);
    free(uris);
    free(list);
    if (!r)
        *fd = made;
    else if (made >= 0)
        close(made);
    return r;
}

int rv_fetch_output_open(int *fd, struct rv_error *err) {
    return memory_file("fetch-output", fd, err);
}

char *rv_fetch_reason(int fd) {
    char text[1024];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return rv_strdup(*text ? text : "Failed to fetch: the fetcher ended without a word");
}
