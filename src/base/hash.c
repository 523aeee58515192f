/*
 * A 64-bit hash of bytes: each step multiplies two words to 128 bits and folds the halves, as the
 * multiply-fold family does. Reads are little-endian, so that the result is the same everywhere.
 * About a cycle a byte for short keys. Not for keys that an enemy may choose at will.
 */
#include <endian.h>

#include "base/str.h"

#define K0 UINT64_C(0x9e3779b97f4a7c15) /* odd, half of the bits set, without pattern */
#define K1 UINT64_C(0xd1b54a32d192ed03)
#define K2 UINT64_C(0x8cb92ba72f3d8dd7)

static uint64_t fold(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t read64(const unsigned char *p) {
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

static uint64_t read_tail(const unsigned char *p, size_t n) {
    uint64_t v = 0;

    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

uint64_t rv_hash(const void *data, size_t n) {
    const unsigned char *p = data;
    uint64_t h = K2 ^ (n * K0), a, b;
    size_t rest = n;

    while (rest > 16) {
        h = fold(read64(p) ^ K0, read64(p + 8) ^ h);
        p += 16;
        rest -= 16;
    }
    if (rest > 8) {
        a = read64(p);
        b = read_tail(p + 8, rest - 8);
    } else {
        a = rest == 8 ? read64(p) : read_tail(p, rest);
        b = 0;
    }
    h = fold(a ^ K0, b ^ h ^ K1);
    return fold(h ^ K1, n ^ K2);
}
