/* CRC-32C (Castagnoli), as used for records on disk. */
#ifndef RV_BASE_CRC_H
#define RV_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Continues from `crc`; 0 to begin. */
uint32_t rv_crc32c(uint32_t crc, const void *data, size_t n);

#endif
