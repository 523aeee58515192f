/*
 * One name after the other, in the thread pool; what is an address already is taken as it is. A
 * name that is not known is left out: another server may be.
 */
#include "io/zk_names.h"

#include <netdb.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/str.h"

struct rv_zk_names {
    uv_loop_t *loop;
    uv_getaddrinfo_t request;
    const struct rv_addresses *servers; /* NULL: forgotten */
    size_t at;
    RV_VEC(char *) addresses;
    rv_zk_names_found found;
    void *ctx;
};

static void names_free(struct rv_zk_names *names) {
    for (size_t i = 0; i < names->addresses.n; i++)
        free(names->addresses.v[i]);
    rv_vec_free(&names->addresses);
    free(names);
}

static int compare_strings(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void finish(struct rv_zk_names *names) {
    rv_zk_names_found found = names->found;
    void *ctx = names->ctx;
    struct rv_buf list = {0};

    if (names->addresses.n)
        qsort(names->addresses.v, names->addresses.n, sizeof *names->addresses.v, compare_strings);
    for (size_t i = 0; i < names->addresses.n; i++)
        if (!i || !rv_streq(names->addresses.v[i - 1], names->addresses.v[i]))
            rv_buf_printf(&list, "%s%s", i ? "," : "", names->addresses.v[i]);
    names_free(names);
    found(ctx, list.n ? rv_buf_take(&list, NULL) : NULL);
}

static void find_next(struct rv_zk_names *names);

static void add(struct rv_zk_names *names, const struct sockaddr *a) {
    char text[64];
    int failed = a->sa_family == AF_INET
                     ? uv_ip4_name((const struct sockaddr_in *)a, text, sizeof text)
                     : uv_ip6_name((const struct sockaddr_in6 *)a, text, sizeof text);

    if (!failed)
        rv_vec_push(&names->addresses,
                    rv_asprintf("%s:%u", text, (unsigned)names->servers->list.v[names->at].port));
}

static void on_answer(uv_getaddrinfo_t *request, int status, struct addrinfo *list) {
    struct rv_zk_names *names = request->data;

    if (!names->servers) {
        uv_freeaddrinfo(list);
        names_free(names);
        return;
    }
    for (struct addrinfo *a = list; !status && a; a = a->ai_next)
        add(names, a->ai_addr);
    uv_freeaddrinfo(list);
    if (status)
        RV_WARN("zookeeper", "%s: %s", names->servers->list.v[names->at].host, uv_strerror(status));
    names->at++;
    find_next(names);
}

static void find_next(struct rv_zk_names *names) {
    static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    for (; names->at < names->servers->list.n; names->at++) {
        const char *host = names->servers->list.v[names->at].host;
        union {
            struct sockaddr any;
            struct sockaddr_in v4;
            struct sockaddr_in6 v6;
        } numeric;
        if (!uv_ip4_addr(host, 1, &numeric.v4) || !uv_ip6_addr(host, 1, &numeric.v6))
            add(names, &numeric.any);
        else if (!uv_getaddrinfo(names->loop, &names->request, on_answer, host, NULL, &hints))
            return;
    }
    finish(names);
}

void rv_zk_names_find(uv_loop_t *loop, const struct rv_addresses *servers, rv_zk_names_found found,
                      void *ctx, struct rv_zk_names **out) {
    struct rv_zk_names *names = rv_calloc(1, sizeof *names);

    *names = (struct rv_zk_names){.loop = loop, .servers = servers, .found = found, .ctx = ctx};
    names->request.data = names;
    *out = names;
    find_next(names);
}

void rv_zk_names_forget(struct rv_zk_names *names) {
    if (!names)
        return;
    names->servers = NULL;
    uv_cancel((uv_req_t *)&names->request);
}
