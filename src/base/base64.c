/*
 * Base64 (RFC 4648). Encoding writes the standard alphabet with padding. Decoding is strict: one
 * alphabet in one text, padding right or absent, no blanks, no stray bits after the last byte, so
 * that a value has one spelling an alphabet. Linear in the size; the decoder writes only out.
 */
#include "base/str.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t rv_base64_encoded_size(size_t n) {
    return n / 3 * 4 + (n % 3 ? 4 : 0);
}

void rv_base64_encode(const void *data, size_t n, char *out) {
    const uint8_t *p = data;
    uint32_t v;

    for (; n >= 3; n -= 3, p += 3) {
        v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        *out++ = alphabet[v >> 18];
        *out++ = alphabet[v >> 12 & 63];
        *out++ = alphabet[v >> 6 & 63];
        *out++ = alphabet[v & 63];
    }
    if (n == 0)
        return;
    v = (uint32_t)p[0] << 16 | (n == 2 ? (uint32_t)p[1] << 8 : 0);
    out[0] = alphabet[v >> 18];
    out[1] = alphabet[v >> 12 & 63];
    out[2] = n == 2 ? alphabet[v >> 6 & 63] : '=';
    out[3] = '=';
}

/* The six bits of c, or -1. Notes in *seen which alphabet c shows: 1 standard, 2 URL. */
static int sextet(char c, unsigned int *seen) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '/') {
        *seen |= 1;
        return c == '+' ? 62 : 63;
    }
    if (c == '-' || c == '_') {
        *seen |= 2;
        return c == '-' ? 62 : 63;
    }
    return -1;
}

long rv_base64_decode(const char *s, size_t n, uint8_t *out) {
    uint32_t bits = 0;
    unsigned int held = 0, seen = 0;
    long size = 0;
    int six;

    if (n > 0 && n % 4 == 0 && s[n - 1] == '=')
        n -= s[n - 2] == '=' ? 2 : 1;
    if (n % 4 == 1)
        return -RV_ERR_INVALID;
    for (size_t i = 0; i < n; i++) {
        six = sextet(s[i], &seen);
        if (six < 0)
            return -RV_ERR_INVALID;
        bits = bits << 6 | (uint32_t)six;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[size++] = (uint8_t)(bits >> held);
            bits &= (1U << held) - 1;
        }
    }
    if (bits != 0 || seen == 3)
        return -RV_ERR_INVALID;
    return size;
}
