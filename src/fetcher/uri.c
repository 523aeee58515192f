/*
 * What a URI says: where from, where to, and which content. Schemes: http, https, file, and plain
 * absolute paths. The fragment #sha256=HEX is ours: the content must have that checksum.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "fetcher/fetcher.h"

static const char fragment[] = "#sha256=";

static int parse_checksum(const char *text, char out[RV_SHA256_TEXT], struct rv_error *err) {
    size_t n = strlen(text);

    for (size_t i = 0; i < n; i++)
        if (n != RV_SHA256_TEXT - 1 || !isxdigit((unsigned char)text[i]))
            n = 0;
    if (!n)
        return rv_error_set(err, RV_ERR_INVALID, "#sha256= needs 64 hexadecimal digits");
    for (size_t i = 0; i <= n; i++)
        out[i] = (char)tolower((unsigned char)text[i]);
    return 0;
}

/* In place. A NUL would cut the text short and is left as it is. */
static void decode_percents(char *s) {
    char *to = s;

    for (; *s; s++) {
        int high = *s == '%' ? rv_hex_digit(s[1]) : -1;
        int low = high >= 0 ? rv_hex_digit(s[2]) : -1;

        if (low >= 0 && high * 16 + low) {
            *to++ = (char)(high * 16 + low);
            s += 2;
        } else
            *to++ = *s;
    }
    *to = '\0';
}

/* Without what stands between ':' and '@' of the authority. */
static char *without_password(const char *uri) {
    const char *authority = strstr(uri, "://"), *at = NULL, *colon;
    size_t n;

    if (!authority)
        return rv_strdup(uri);
    authority += 3;
    n = strcspn(authority, "/?#");
    for (size_t i = 0; i < n; i++)
        if (authority[i] == '@')
            at = authority + i;
    colon = at ? memchr(authority, ':', (size_t)(at - authority)) : NULL;
    if (!colon)
        return rv_strdup(uri);
    return rv_asprintf("%.*s:***%s", (int)(colon - uri), uri, at);
}

static int parse_local(const char *path, struct rv_uri *out, struct rv_error *err) {
    if (rv_starts_with(path, "localhost/"))
        path += strlen("localhost");
    if (*path != '/')
        return rv_error_set(err, RV_ERR_UNSUPPORTED, "a file URI names a path of this machine");
    out->source = RV_URI_LOCAL;
    out->location = rv_strdup(path);
    return 0;
}

static int parse_source(const char *value, struct rv_uri *out, struct rv_error *err) {
    const char *separator = strstr(value, "://");
    size_t n = separator ? (size_t)(separator - value) : 0;

    if (*value == '/')
        return parse_local(value, out, err);
    if (n == 4 && !strncasecmp(value, "file", n))
        return parse_local(separator + 3, out, err);
    if ((n == 4 && !strncasecmp(value, "http", n)) || (n == 5 && !strncasecmp(value, "https", n))) {
        out->source = RV_URI_HTTP;
        out->location = rv_strndup(value, strcspn(value, "#"));
        return 0;
    }
    if (n)
        return rv_error_set(err, RV_ERR_UNSUPPORTED,
                            "the scheme %.*s is not supported (http, https and file are)",
                            (int)RV_MIN(n, (size_t)32), value);
    return rv_error_set(err, RV_ERR_INVALID, "neither an absolute path nor a URI with a scheme");
}

/* The last element of the path; a query is no part of it. */
static int name_of(const struct rv_uri *uri, char **out, struct rv_error *err) {
    const char *path = uri->location, *slash;

    if (uri->source == RV_URI_HTTP)
        path = strstr(path, "://") + 3;
    size_t n = uri->source == RV_URI_HTTP ? strcspn(path, "?") : strlen(path);
    slash = memrchr(path, '/', n);
    size_t skip = slash ? (size_t)(slash - path) + 1 : n;
    char *name = rv_strndup(path + skip, n - skip);
    if (uri->source == RV_URI_HTTP)
        decode_percents(name);
    if (!*name || !strcmp(name, ".") || !strcmp(name, "..") || strchr(name, '/')) {
        free(name);
        return rv_error_set(err, RV_ERR_INVALID, "its path names no file: set output_file");
    }
    *out = name;
    return 0;
}

int rv_uri_parse(const Reeve__V1__Fetch__Uri *uri, struct rv_uri *out, struct rv_error *err) {
    const char *checksum = strstr(uri->value, fragment);
    _cleanup_free_ char *value =
        rv_strndup(uri->value, checksum ? (size_t)(checksum - uri->value) : strlen(uri->value));

    *out = (struct rv_uri){.shown = without_password(uri->value)};
    int r = checksum ? parse_checksum(checksum + strlen(fragment), out->checksum, err) : 0;
    if (!r)
        r = parse_source(value, out, err);
    if (!r && uri->output_file && *uri->output_file) {
        out->output = rv_strdup(uri->output_file);
        r = rv_place_check(out->output, err);
        if (r)
            rv_error_prefix(err, "output_file");
    } else if (!r)
        r = name_of(out, &out->output, err);
    return r;
}

void rv_uri_free(struct rv_uri *uri) {
    free(uri->location);
    free(uri->shown);
    free(uri->output);
    *uri = (struct rv_uri){0};
}

enum rv_archive_kind rv_archive_kind(const char *name) {
    static const char *const trees[] = {
        ".tar",     ".tar.gz", ".tgz",     ".tar.bz2",  ".tbz2", ".tbz",   ".tar.xz", ".txz",
        ".tar.zst", ".tzst",   ".tar.lz4", ".tar.lzma", ".tlz",  ".tar.Z", ".zip",
    };

    for (size_t i = 0; i < RV_COUNT(trees); i++)
        if (rv_ends_with(name, trees[i]))
            return RV_ARCHIVE_TREE;
    return rv_ends_with(name, ".gz") && strlen(name) > 3 ? RV_ARCHIVE_GZIP : RV_ARCHIVE_NONE;
}
