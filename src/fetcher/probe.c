/* A check over HTTPS, or one that is redirected, see fetcher.h. In a program of its own, as the
 * executor that wants it must stay small. Who runs it sets the limit of time. */
#include <curl/curl.h>
#include <stdio.h>

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

int rv_probe(const char *url) {
    char why[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_easy_init();
    CURLcode rc = CURLE_FAILED_INIT;
    long status = 0;

    if (curl) {
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
    if (rc == CURLE_OK)
        printf("%ld\n", status);
    else
        printf("%s\n", *why ? why : curl_easy_strerror(rc));
    return rc == CURLE_OK ? 0 : 1;
}
