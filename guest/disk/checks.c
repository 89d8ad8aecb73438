/* What a drive must do, one line each. What it holds is changed in its middle. */
#include "check.h"
#include "cpu.h"
#include "disk.h"
#include "guest.h"

enum {
    NO_SUCH_COMMAND = 0x02,
    DIAGNOSE = 0x90,
    IDENTIFY = 0xec,
    SET_MULTIPLE = 0xc6,
    CHECK_POWER = 0xe5,
    FLUSH_CACHE = 0xe7,
    FLUSH_CACHE_EXT = 0xea,
    SET_FEATURES = 0xef,
    FEATURE_PIO_MODE = 0x03,
    PIO_MODE_4 = 0x0c,
    CONTROL_PREVIOUS = 0x80,
    DIAGNOSTIC_PASSED = 1,
    RUN = 40, /* sectors, more than two blocks of READ MULTIPLE */
};

static uint8_t first_copy[256 * SECTOR_BYTES], second_copy[256 * SECTOR_BYTES];

static void check_identity(const struct ata_drive *drive) {
    const uint16_t *words = drive->identity;
    uint8_t sum = 0;

    check_begin("identity");
    expect("ATAPI bit", words[0] >> 15, 0);
    expect("LBA bit", words[49] >> 9 & 1, 1);
    expect("48-bit address bit", words[83] >> 10 & 1, 1);
    expect("sectors by 48 bits", words[100] | (uint32_t)words[101] << 16, drive->sectors);
    for (uint32_t at = 0; (words[255] & 0xff) == 0xa5 && at < SECTOR_BYTES; at++)
        sum += ((const uint8_t *)words)[at];
    expect("checksum", sum, 0);
    check_end();
}

static void check_ways(const struct ata_drive *drive) {
    uint32_t first = drive->sectors / 2; /* within what CHS reaches */

    check_begin("addresses");
    for (uint32_t at = 0; at < RUN * SECTOR_BYTES; at++)
        first_copy[at] = (uint8_t)(at * 7 + at / 251);
    expect("error of writing", ata_write(drive, ata_plain, first, RUN, first_copy), 0);
    for (int way = 0; way < 2 * ATA_ADDRESSINGS; way++) {
        struct ata_way by = {(enum ata_addressing)(way / 2), way & 1};
        memset(second_copy, 0, RUN * SECTOR_BYTES);
        expect("error of reading", ata_read(drive, by, first, RUN, second_copy), 0);
        expect("difference", memcmp(first_copy, second_copy, RUN * SECTOR_BYTES) != 0, 0);
        expect("error of writing", ata_write(drive, by, first, RUN, first_copy), 0);
    }
    check_end();
}

static void check_count_zero(const struct ata_drive *drive) {
    check_begin("count 0 is 256");
    expect("error", ata_read(drive, ata_plain, 0, 256, first_copy), 0);
    expect("error of the last", ata_read(drive, ata_plain, 255, 1, second_copy), 0);
    expect("difference", memcmp(first_copy + 255 * SECTOR_BYTES, second_copy, SECTOR_BYTES), 0);
    check_end();
}

static void check_end_of_disk(const struct ata_drive *drive) {
    check_begin("the last sector, and none behind");
    expect("error", ata_read(drive, ata_plain, drive->sectors - 1, 1, first_copy), 0);
    expect("none", ata_read(drive, ata_plain, drive->sectors, 1, first_copy) == 0, 0);
    expect("none, written", ata_write(drive, ata_plain, drive->sectors, 1, first_copy) == 0, 0);
    expect("error of verifying", ata_verify(drive, 0, 256), 0);
    expect("ready", in8(ATA_STATUS) & (STATUS_BUSY | STATUS_READY | STATUS_DATA), STATUS_READY);
    check_end();
}

static void check_commands(const struct ata_drive *drive) {
    check_begin("commands without data");
    expect("unknown", ata_plain_command(drive, NO_SUCH_COMMAND, 0, 0), ERROR_ABORTED);
    expect("flush", ata_plain_command(drive, FLUSH_CACHE, 0, 0), 0);
    expect("flush ext", ata_plain_command(drive, FLUSH_CACHE_EXT, 0, 0), 0);
    expect("power", ata_plain_command(drive, CHECK_POWER, 0, 0), 0);
    expect("power mode", in8(ATA_COUNT), 0xff);
    expect("blocks of 3", ata_plain_command(drive, SET_MULTIPLE, 0, 3), ERROR_ABORTED);
    expect("blocks", ata_plain_command(drive, SET_MULTIPLE, 0, drive->multiple), 0);
    expect("mode", ata_plain_command(drive, SET_FEATURES, FEATURE_PIO_MODE, PIO_MODE_4), 0);
    expect("no feature", ata_plain_command(drive, SET_FEATURES, 0xff, 0), ERROR_ABORTED);
    check_end();
}

static void check_deep_registers(const struct ata_drive *drive) {
    check_begin("registers two deep");
    ata_select(drive->number, DEVICE_LBA);
    out8(ATA_LBA_LOW, 0x12);
    out8(ATA_LBA_LOW, 0x34);
    expect("newest", in8(ATA_LBA_LOW), 0x34);
    out8(ATA_CONTROL, CONTROL_PREVIOUS);
    expect("previous", in8(ATA_LBA_LOW), 0x12);
    out8(ATA_CONTROL, 0);
    expect("newest again", in8(ATA_LBA_LOW), 0x34);
    check_end();
}

static void expect_signature(void) {
    expect("error", in8(ATA_ERROR) & 0x7f, DIAGNOSTIC_PASSED);
    expect("count", in8(ATA_COUNT), 1);
    expect("low", in8(ATA_LBA_LOW), 1);
    expect("mid", in8(ATA_LBA_MID), 0);
    expect("high", in8(ATA_LBA_HIGH), 0);
}

static void check_resets(const struct ata_drive *drives) {
    check_begin("reset and diagnosis");
    out8(ATA_CONTROL, CONTROL_RESET);
    for (int wait = 0; wait < 1000; wait++) /* it takes its time, and must be let have it */
        in8(ATA_STATUS);
    out8(ATA_CONTROL, 0);
    while (in8(ATA_STATUS) & STATUS_BUSY)
        continue;
    expect_signature();
    expect("diagnosis", ata_plain_command(&drives[0], DIAGNOSE, 0, 0), 0);
    expect_signature();
    ata_plain_command(&drives[0], SET_MULTIPLE, 0, drives[0].multiple);
    check_end();
}

static void check_polling(const struct ata_drive *drive) {
    check_begin("no interrupt with nIEN");
    uint32_t before = ata_interrupts;
    ata_init(false);
    expect("error", ata_read(drive, ata_plain, 0, RUN, first_copy), 0);
    expect("interrupts", ata_interrupts - before, 0);
    ata_init(true);
    expect("error", ata_read(drive, ata_plain, 0, RUN, second_copy), 0);
    expect("interrupts", ata_interrupts - before, RUN);
    check_end();
}

static void check_missing(void) {
    check_begin("a second drive that is not there");
    out8(ATA_DEVICE, DEVICE_SECOND | 0xa0);
    expect("status", in8(ATA_STATUS), 0);
    out8(ATA_COMMAND, IDENTIFY); /* to nobody */
    expect("status", in8(ATA_CONTROL), 0);
    ata_select(0, 0);
    expect("ready", in8(ATA_STATUS) & (STATUS_BUSY | STATUS_READY), STATUS_READY);
    check_end();
}

int check_drives(struct ata_drive drives[], uint32_t count) {
    for (uint32_t number = 0; number < count; number++) {
        check_identity(&drives[number]);
        check_ways(&drives[number]);
        check_count_zero(&drives[number]);
        check_end_of_disk(&drives[number]);
        check_commands(&drives[number]);
        check_deep_registers(&drives[number]);
        check_polling(&drives[number]);
    }
    if (count == 1)
        check_missing();
    check_resets(drives);
    return check_summary();
}
