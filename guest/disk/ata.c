#include "ata.h"

#include "cpu.h"
#include "guest.h"
#include "pic.h"

enum {
    READ_SECTORS = 0x20,
    READ_SECTORS_EXT = 0x24,
    READ_MULTIPLE_EXT = 0x29,
    WRITE_SECTORS = 0x30,
    WRITE_SECTORS_EXT = 0x34,
    WRITE_MULTIPLE_EXT = 0x39,
    READ_VERIFY = 0x40,
    READ_MULTIPLE = 0xc4,
    WRITE_MULTIPLE = 0xc5,
    SET_MULTIPLE = 0xc6,
    IDENTIFY = 0xec,
    SECTOR_WORDS = SECTOR_BYTES / 2,
};

const struct ata_way ata_plain = {ATA_LBA28, false};
volatile uint32_t ata_interrupts;
static volatile bool has_come;
static volatile uint8_t status_then;
static bool waits_for_interrupt;

static void interrupt(void) {
    status_then = in8(ATA_STATUS); /* which ends the request */
    has_come = true;
    ata_interrupts++;
}

void ata_init(bool by_interrupt) {
    waits_for_interrupt = by_interrupt;
    out8(ATA_CONTROL, by_interrupt ? 0 : CONTROL_NO_INTERRUPT);
    if (by_interrupt)
        irq_enable(ATA_IRQ, interrupt);
    else
        irq_disable(ATA_IRQ);
}

static uint8_t poll(void) {
    uint8_t status;

    for (int wait = 0; wait < 4; wait++) /* the 400 ns until Status is right */
        in8(ATA_CONTROL);
    while ((status = in8(ATA_STATUS)) & STATUS_BUSY)
        continue;
    return status;
}

/* Wait for what a command does with an interrupt. Return Status. */
static uint8_t wait(void) {
    if (!waits_for_interrupt)
        return poll();
    do { /* a request that was seen by polling may still be on its way, and come first */
        while (!has_come)
            wait_for_interrupt();
        has_come = false;
    } while (status_then & STATUS_BUSY);
    return status_then;
}

void ata_select(uint8_t number, uint8_t bits) {
    out8(ATA_DEVICE, bits | 0xa0 | (number ? DEVICE_SECOND : 0));
    poll();
}

static void words_in(void *into, uint32_t words) {
    __asm__ volatile("rep insw" : "+D"(into), "+c"(words) : "d"(ATA_DATA) : "memory");
}

static void words_out(const void *from, uint32_t words) {
    __asm__ volatile("rep outsw" : "+S"(from), "+c"(words) : "d"(ATA_DATA) : "memory");
}

static void address(const struct ata_drive *drive, struct ata_way way, uint32_t sector,
                    uint32_t count) {
    uint32_t parts = sector;
    uint8_t device = DEVICE_LBA;

    if (way.addressing == ATA_CHS) {
        uint32_t track = sector / drive->track;
        parts = sector % drive->track + 1 + (track / drive->heads << 8);
        device = (uint8_t)(track % drive->heads);
    } else if (way.addressing == ATA_LBA28) {
        device |= sector >> 24;
    }
    ata_select(drive->number, device);
    if (way.addressing == ATA_LBA48) {
        out8(ATA_COUNT, (uint8_t)(count >> 8));
        out8(ATA_LBA_LOW, (uint8_t)(sector >> 24));
        out8(ATA_LBA_MID, 0);
        out8(ATA_LBA_HIGH, 0);
    }
    out8(ATA_COUNT, (uint8_t)count);
    out8(ATA_LBA_LOW, (uint8_t)parts);
    out8(ATA_LBA_MID, (uint8_t)(parts >> 8));
    out8(ATA_LBA_HIGH, (uint8_t)(parts >> 16));
}

static uint32_t block_of(const struct ata_drive *drive, struct ata_way way, uint32_t left) {
    uint32_t block = way.multiple ? drive->multiple : 1;

    return left < block ? left : block;
}

uint8_t ata_read(const struct ata_drive *drive, struct ata_way way, uint32_t sector, uint32_t count,
                 void *into) {
    uint8_t command = way.addressing == ATA_LBA48 ? READ_SECTORS_EXT : READ_SECTORS;
    uint8_t *at = into;

    if (way.multiple)
        command = way.addressing == ATA_LBA48 ? READ_MULTIPLE_EXT : READ_MULTIPLE;
    address(drive, way, sector, count);
    out8(ATA_COMMAND, command);
    while (count) {
        uint8_t status = wait();
        if (status & STATUS_ERROR || !(status & STATUS_DATA))
            return in8(ATA_ERROR) | !(status & STATUS_ERROR);
        uint32_t block = block_of(drive, way, count);
        words_in(at, block * SECTOR_WORDS);
        at += block * SECTOR_BYTES;
        count -= block;
    }
    return 0;
}

uint8_t ata_write(const struct ata_drive *drive, struct ata_way way, uint32_t sector,
                  uint32_t count, const void *from) {
    uint8_t command = way.addressing == ATA_LBA48 ? WRITE_SECTORS_EXT : WRITE_SECTORS;
    const uint8_t *at = from;

    if (way.multiple)
        command = way.addressing == ATA_LBA48 ? WRITE_MULTIPLE_EXT : WRITE_MULTIPLE;
    address(drive, way, sector, count);
    out8(ATA_COMMAND, command);
    uint8_t status = poll(); /* the first block is asked for without an interrupt */
    while (count) {
        if (status & STATUS_ERROR || !(status & STATUS_DATA)) {
            has_come = false;
            return in8(ATA_ERROR) | !(status & STATUS_ERROR);
        }
        uint32_t block = block_of(drive, way, count);
        words_out(at, block * SECTOR_WORDS);
        at += block * SECTOR_BYTES;
        count -= block;
        status = wait();
    }
    return status & STATUS_ERROR ? in8(ATA_ERROR) : 0;
}

uint8_t ata_plain_command(const struct ata_drive *drive, uint8_t command, uint8_t features,
                          uint8_t count) {
    ata_select(drive->number, 0);
    out8(ATA_FEATURES, features);
    out8(ATA_COUNT, count);
    out8(ATA_COMMAND, command);
    return wait() & STATUS_ERROR ? in8(ATA_ERROR) : 0;
}

uint8_t ata_verify(const struct ata_drive *drive, uint32_t sector, uint32_t count) {
    address(drive, ata_plain, sector, count);
    out8(ATA_COMMAND, READ_VERIFY);
    return wait() & STATUS_ERROR ? in8(ATA_ERROR) : 0;
}

uint32_t ata_named_sector(void) {
    return in8(ATA_LBA_LOW) | (uint32_t)in8(ATA_LBA_MID) << 8 | (uint32_t)in8(ATA_LBA_HIGH) << 16 |
           (uint32_t)(in8(ATA_DEVICE) & 0x0f) << 24;
}

bool ata_find(struct ata_drive *drive, uint8_t number) {
    drive->number = number;
    out8(ATA_DEVICE, 0xa0 | (number ? DEVICE_SECOND : 0));
    uint8_t status = in8(ATA_STATUS);
    if (status == 0 || status == 0xff) /* a missing drive, a missing channel */
        return false;
    ata_select(number, 0);
    out8(ATA_COMMAND, IDENTIFY);
    if (!(wait() & STATUS_DATA))
        return false;
    words_in(drive->identity, SECTOR_WORDS);
    drive->sectors = drive->identity[60] | (uint32_t)drive->identity[61] << 16;
    drive->heads = drive->identity[55];
    drive->track = drive->identity[56];
    drive->multiple = drive->identity[47] & 0xff;
    return ata_plain_command(drive, SET_MULTIPLE, 0, drive->multiple) == 0;
}
