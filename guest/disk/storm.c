/* Random reads and writes of every kind; what a sector holds follows from its last write. */
#include "cpu.h"
#include "disk.h"
#include "guest.h"
#include "print.h"

enum { SECTORS = 2048, RUN = 48, WORDS = SECTOR_BYTES / 4 };

static uint16_t last_write[2][SECTORS]; /* 0: what the image had */
static uint32_t buffer[RUN * WORDS];
static uint32_t state;

static uint32_t draw(uint32_t below) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return (uint32_t)((uint64_t)state * below >> 32);
}

static uint32_t word_of(uint32_t sector, uint32_t write, uint32_t at) {
    return (sector * 0x9e3779b9 ^ write * 0x85ebca6b) + at;
}

static bool right(uint8_t drive, uint32_t first, uint32_t count) {
    for (uint32_t n = 0; n < count; n++) {
        uint32_t write = last_write[drive][first + n];
        for (uint32_t at = 0; write && at < WORDS; at++)
            if (buffer[n * WORDS + at] != word_of(first + n, write, at))
                return false;
    }
    return true;
}

static struct ata_way draw_way(void) {
    struct ata_way way;

    way.addressing = (enum ata_addressing)draw(ATA_ADDRESSINGS);
    way.multiple = draw(2);
    return way;
}

int disk_storm(struct ata_drive drives[], uint32_t count, uint32_t ops, uint32_t seed) {
    uint32_t checksum = 0, written = 0;

    state = seed * 2654435761u + 1;
    for (uint32_t op = 1; op <= ops; op++) {
        const struct ata_drive *drive = &drives[draw(count)];
        uint32_t limit = drive->sectors < SECTORS ? drive->sectors : SECTORS;
        uint32_t length = 1 + draw(limit < RUN ? limit : RUN);
        uint32_t first = draw(limit - length + 1);
        struct ata_way way = draw_way();
        uint8_t error;

        ata_init(draw(4) != 0); /* now and then by polling */
        if (draw(2)) {
            error = ata_read(drive, way, first, length, buffer);
            if (!error && !right(drive->number, first, length)) {
                print("disk: op %u: sectors from %u on are not what was written\n", op, first);
                return EXIT_CHECK_FAILED;
            }
            for (uint32_t at = 0; at < length * WORDS; at++)
                checksum = (checksum << 1 | checksum >> 31) + buffer[at];
        } else {
            uint16_t write = (uint16_t)(op % 0xffff + 1);
            for (uint32_t n = 0; n < length; n++) {
                last_write[drive->number][first + n] = write;
                for (uint32_t at = 0; at < WORDS; at++)
                    buffer[n * WORDS + at] = word_of(first + n, write, at);
            }
            error = ata_write(drive, way, first, length, buffer);
            written += length;
        }
        if (error) {
            print("disk: op %u: error %02x at sector %u\n", op, error, ata_named_sector());
            return EXIT_CHECK_FAILED;
        }
        if (op % 1000 == 0)
            print("disk: %u ops, checksum %08x\n", op, checksum);
    }
    print("disk: %u drives, %u ops, %u sectors written, checksum %08x\n", count, ops, written,
          checksum);
    return EXIT_OK;
}
