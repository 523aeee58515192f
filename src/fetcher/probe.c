/* A check over HTTPS, one that is redirected, or one in another network, see fetcher.h. In a
 * program of its own, as the executor that wants it must stay small. Who runs it sets the limit of
 * time. */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "fetcher/fetcher.h"

enum { MAX_REDIRECTS = 50 }; /* as the peer's */

/* The body does not matter: what follows is not waited for. */
static size_t stop(char *bytes, size_t size, size_t n, void *ctx) {
    (void)bytes;
    (void)size;
    (void)n;
    (void)ctx;
    return 0;
}

static const char tcp[] = "tcp:";

int rv_probe(const char *url) {
    bool connects = strncmp(url, tcp, strlen(tcp)) == 0;
    char why[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_easy_init();
    CURLcode rc = CURLE_FAILED_INIT;
    long status = 0;

    if (curl) {
        if (connects) {
            _cleanup_free_ char *as_http = rv_asprintf("http:%s", url + strlen(tcp));
            curl_easy_setopt(curl, CURLOPT_URL, as_http);
            curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
        } else
            curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
        curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
        curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
        curl_easy_setopt(curl, CURLOPT_USERAGENT, "reeve");
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, stop);
        rc = curl_easy_perform(curl);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_cleanup(curl);
    }
    if (rc == CURLE_WRITE_ERROR && status)
        rc = CURLE_OK;
    if (connects && (rc == CURLE_OK || rc == CURLE_COULDNT_CONNECT)) {
        status = rc == CURLE_OK;
        rc = CURLE_OK;
    }
    if (rc == CURLE_OK)
        printf("%ld\n", status);
    else
        printf("%s\n", *why ? why : curl_easy_strerror(rc));
    return rc == CURLE_OK ? 0 : 1;
}
