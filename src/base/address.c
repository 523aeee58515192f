/* See address.h. */
#include "base/address.h"

#include <stdlib.h>

#include "base/str.h"

#define HOST_MAX 255
#define ADDRESSES_MAX 1000 /* in one list */

const char *rv_address_parse(const char *s, size_t n, uint16_t default_port,
                             struct rv_address *out) {
    _cleanup_free_ char *text = rv_strndup(s, n);
    char *host = text, *port = NULL;
    int64_t number = default_port;

    if (*text == '[') {
        char *end = strchr(text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return "an address in brackets does not end";
        host = text + 1;
        *end = 0;
        port = end[1] ? end + 2 : NULL;
    } else if ((port = strchr(text, ':'))) {
        *port++ = 0;
    }
    if (!*host || strlen(host) > HOST_MAX || strpbrk(host, " \t\r\n/@[]"))
        return "a host is missing or is none";
    if (port && rv_parse_i64(port, 1, 65535, &number))
        return "a port is not between 1 and 65535";
    *out = (struct rv_address){rv_strdup(host), (uint16_t)number};
    return NULL;
}

const char *rv_addresses_parse(const char *s, size_t n, uint16_t default_port,
                               struct rv_addresses *out) {
    for (const char *end = s + n; s <= end;) {
        size_t one = (size_t)(end - s);
        const char *comma = one ? memchr(s, ',', one) : NULL;
        struct rv_address address;
        if (comma)
            one = (size_t)(comma - s);
        const char *problem = rv_address_parse(s, one, default_port, &address);
        if (problem)
            return problem;
        rv_vec_push(&out->list, address);
        if (out->list.n > ADDRESSES_MAX)
            return "there are too many hosts";
        s += one + 1;
    }
    return NULL;
}

void rv_address_free(struct rv_address *a) {
    free(a->host);
    *a = (struct rv_address){NULL, 0};
}

void rv_addresses_free(struct rv_addresses *a) {
    for (size_t i = 0; i < a->list.n; i++)
        rv_address_free(&a->list.v[i]);
    rv_vec_free(&a->list);
}
