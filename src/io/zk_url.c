/* What can be wrong with it is said without its password. */
#include "io/zk_url.h"

#include <stdlib.h>

#include "base/str.h"

static const char scheme[] = "zk://";

bool rv_zk_url_is(const char *text) {
    return text && rv_starts_with(text, scheme);
}

char *rv_zk_url_hide(const char *text) {
    const char *rest = text + strlen(scheme);

    if (!rv_zk_url_is(text))
        return rv_strdup(text);
    size_t authority = strcspn(rest, "/");
    const char *at = memrchr(rest, '@', authority), *colon = memchr(rest, ':', authority);
    if (!at || !colon || colon > at)
        return rv_strdup(text);
    return rv_asprintf("%.*s***%s", (int)(colon + 1 - text), text, at);
}

static int wrong(const char *text, const char *why, struct rv_error *err) {
    _cleanup_free_ char *shown = rv_zk_url_hide(text);

    return rv_error_set(err, RV_ERR_INVALID,
                        "\"%s\": %s; it is zk://[user:password@]host:port,.../path", shown, why);
}

static const char *path_problem(const char *path) {
    if (!path[0] || !path[1])
        return "there is no path";
    for (const char *p = path; *p; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return "the path has a blank or a control character";
        if (*p != '/')
            continue;
        size_t n = strcspn(p + 1, "/");
        if (!n || (n <= 2 && !strncmp(p + 1, "..", n)))
            return "the path has a part that is empty, . or ..";
    }
    return NULL;
}

int rv_zk_url_parse(const char *text, struct rv_zk_url *out, struct rv_error *err) {
    struct rv_zk_url url = {.path = NULL};
    const char *problem = NULL, *s = text + strlen(scheme);

    if (!rv_zk_url_is(text))
        return wrong(text, "no zk://", err);
    size_t authority = strcspn(s, "/");
    const char *at = memrchr(s, '@', authority);
    url.path = rv_strdup(s + authority);
    for (size_t n = strlen(url.path); n > 1 && url.path[n - 1] == '/';)
        url.path[--n] = 0;
    if (at) {
        url.credentials = rv_strndup(s, (size_t)(at - s));
        if (!strchr(url.credentials, ':') || *url.credentials == ':')
            problem = "what is before @ is not user:password";
        authority -= (size_t)(at + 1 - s);
        s = at + 1;
    }
    if (!problem)
        problem = rv_addresses_parse(s, authority, RV_ZK_DEFAULT_PORT, &url.servers);
    if (!problem)
        problem = path_problem(url.path);
    if (problem) {
        rv_zk_url_free(&url);
        return wrong(text, problem, err);
    }
    *out = url;
    return 0;
}

void rv_zk_url_copy(struct rv_zk_url *to, const struct rv_zk_url *from) {
    *to = (struct rv_zk_url){.path = rv_strdup(from->path),
                             .credentials = rv_strdup(from->credentials)};
    for (size_t i = 0; i < from->servers.list.n; i++) {
        struct rv_address server = from->servers.list.v[i];
        server.host = rv_strdup(server.host);
        rv_vec_push(&to->servers.list, server);
    }
}

void rv_zk_url_free(struct rv_zk_url *url) {
    rv_addresses_free(&url->servers);
    free(url->path);
    free(url->credentials);
    *url = (struct rv_zk_url){.path = NULL};
}
