/* Keys of machines. Costs O(length). */
#include "model/maintenance.h"

size_t rv_machine_key(const char *hostname, const char *ip, char out[RV_MACHINE_KEY_MAX]) {
    size_t n = hostname ? strlen(hostname) : 0, m = ip ? strlen(ip) : 0;

    if (n > RV_HOSTNAME_MAX || m > RV_IP_MAX)
        return 0;
    for (size_t i = 0; i < n; i++)
        out[i] = hostname[i] >= 'A' && hostname[i] <= 'Z' ? (char)(hostname[i] - 'A' + 'a')
                                                          : hostname[i];
    out[n] = ' ';
    if (m)
        memcpy(out + n + 1, ip, m);
    out[n + 1 + m] = '\0';
    return n + 1 + m;
}
