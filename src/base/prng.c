/*
 * xoshiro256** (Blackman and Vigna), seeded by splitmix64 so that any seed gives a good state.
 * The same seed gives the same numbers everywhere. Not for secrets.
 */
#include "base/prng.h"

#include "base/assert.h"

static uint64_t rotate(uint64_t v, int by) {
    return v << by | v >> (64 - by);
}

void rv_prng_seed(struct rv_prng *p, uint64_t seed) {
    for (int i = 0; i < 4; i++) {
        uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        p->s[i] = z ^ z >> 31;
    }
}

uint64_t rv_prng_next(struct rv_prng *p) {
    uint64_t result = rotate(p->s[1] * 5, 7) * 9, t = p->s[1] << 17;

    p->s[2] ^= p->s[0];
    p->s[3] ^= p->s[1];
    p->s[1] ^= p->s[2];
    p->s[0] ^= p->s[3];
    p->s[2] ^= t;
    p->s[3] = rotate(p->s[3], 45);
    return result;
}

uint64_t rv_prng_below(struct rv_prng *p, uint64_t bound) {
    uint64_t least;
    unsigned __int128 product;

    /* The high word of next * bound; low words under 2^64 mod bound would be one too many. */
    RV_ASSERT(bound > 0);
    least = (0 - bound) % bound;
    do {
        product = (unsigned __int128)rv_prng_next(p) * bound;
    } while ((uint64_t)product < least);
    return (uint64_t)(product >> 64);
}

double rv_prng_unit(struct rv_prng *p) {
    return (double)(rv_prng_next(p) >> 11) * 0x1p-53;
}

void rv_prng_uuid(struct rv_prng *p, uint8_t out[16]) {
    for (int i = 0; i < 16; i += 8) {
        uint64_t v = rv_prng_next(p);

        for (int j = 0; j < 8; j++)
            out[i + j] = (uint8_t)(v >> (8 * j));
    }
    out[6] = (uint8_t)((out[6] & 0x0f) | 0x40);
    out[8] = (uint8_t)((out[8] & 0x3f) | 0x80);
}

void rv_uuid_format(const uint8_t uuid[16], char out[37]) {
    static const char hex[] = "0123456789abcdef";

    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = hex[uuid[i] >> 4];
        *out++ = hex[uuid[i] & 15];
    }
    *out = '\0';
}
