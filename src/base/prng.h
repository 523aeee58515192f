/* xoshiro256** seeded by splitmix64: deterministic randomness for cores and tests. */
#ifndef RV_BASE_PRNG_H
#define RV_BASE_PRNG_H

#include <stdint.h>

struct rv_prng {
    uint64_t s[4];
};

void rv_prng_seed(struct rv_prng *p, uint64_t seed);
uint64_t rv_prng_next(struct rv_prng *p);
uint64_t rv_prng_below(struct rv_prng *p, uint64_t bound); /* [0, bound), unbiased; bound > 0 */
double rv_prng_unit(struct rv_prng *p);                    /* [0, 1) */
void rv_prng_uuid(struct rv_prng *p, uint8_t out[16]);     /* version 4 */
void rv_uuid_format(const uint8_t uuid[16], char out[37]); /* lower case with dashes, NUL */

#endif
