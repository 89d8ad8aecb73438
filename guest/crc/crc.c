/*
 * Checksums: a compute guest of long chains, each step needing the one before.
 * CRC-32 (IEEE 802.3) goes by table, a load for each byte; CRC-32C (RFC 3720
 * appendix B.4) bit by bit, shifts only.
 *
 * Options: size=N bytes (default 65,536, at most 1 MiB); rounds=N (default 32).
 */
#include "guest.h"
#include "options.h"
#include "print.h"

const char guest_name[] = "crc";

#define SIZE_MAX_BYTES 1048576

/* The generator polynomials, bit-reversed. */
#define CRC32_POLYNOMIAL 0xedb88320u
#define CRC32C_POLYNOMIAL 0x82f63b78u

static uint8_t data[SIZE_MAX_BYTES];
static uint32_t table[256];

static inline uint32_t shift_byte(uint32_t crc, uint32_t polynomial) {
    for (int bit = 0; bit < 8; bit++)
        crc = crc & 1 ? crc >> 1 ^ polynomial : crc >> 1;
    return crc;
}

static uint32_t crc32(uint32_t crc, uint32_t size) {
    crc = ~crc;
    for (uint32_t i = 0; i < size; i++)
        crc = crc >> 8 ^ table[(crc ^ data[i]) & 0xff];
    return ~crc;
}

static uint32_t crc32c(uint32_t crc, uint32_t size) {
    crc = ~crc;
    for (uint32_t i = 0; i < size; i++)
        crc = shift_byte(crc ^ data[i], CRC32C_POLYNOMIAL);
    return ~crc;
}

int guest_main(void) {
    uint32_t size = option_number("size", 65536, 1, SIZE_MAX_BYTES);
    uint32_t rounds = option_number("rounds", 32, 1, UINT32_MAX);
    print("crc: %u bytes, %u rounds\n", size, rounds);

    for (uint32_t i = 0; i < 256; i++)
        table[i] = shift_byte(i, CRC32_POLYNOMIAL);
    for (uint32_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 8));

    uint32_t by_table = 0, by_bit = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        by_table = crc32(by_table, size);
        by_bit = crc32c(by_bit, size);
    }
    print("crc: crc32 0x%08x crc32c 0x%08x\n", by_table, by_bit);
    return EXIT_OK;
}
