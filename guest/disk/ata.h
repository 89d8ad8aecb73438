/*
 * The first ATA channel of a PC, by programmed I/O and IRQ 14. ATA/ATAPI-6
 * (T13/1410D) sections 7 and 8.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ATA_DATA = 0x1f0,
    ATA_ERROR = 0x1f1,
    ATA_FEATURES = 0x1f1,
    ATA_COUNT = 0x1f2,
    ATA_LBA_LOW = 0x1f3,
    ATA_LBA_MID = 0x1f4,
    ATA_LBA_HIGH = 0x1f5,
    ATA_DEVICE = 0x1f6,
    ATA_STATUS = 0x1f7,
    ATA_COMMAND = 0x1f7,
    ATA_CONTROL = 0x3f6, /* read: Alternate Status */
    ATA_IRQ = 14,

    STATUS_BUSY = 0x80,
    STATUS_READY = 0x40,
    STATUS_DATA = 0x08,
    STATUS_ERROR = 0x01,
    ERROR_UNREADABLE = 0x40,
    ERROR_NOT_FOUND = 0x10,
    ERROR_ABORTED = 0x04,
    DEVICE_LBA = 0x40,
    DEVICE_SECOND = 0x10,
    CONTROL_RESET = 0x04,
    CONTROL_NO_INTERRUPT = 0x02,

    SECTOR_BYTES = 512,
};

/* How a command names sectors. */
enum ata_addressing { ATA_CHS, ATA_LBA28, ATA_LBA48, ATA_ADDRESSINGS };

struct ata_drive {
    uint8_t number;
    uint32_t sectors;
    uint16_t heads, track; /* the translation in force */
    uint8_t multiple;      /* sectors in a block of the MULTIPLE commands */
    uint16_t identity[256];
};

struct ata_way {
    enum ata_addressing addressing;
    bool multiple;
};

/* The way that every drive knows and that reaches every sector below 128 GiB. */
extern const struct ata_way ata_plain;

/* Let interrupts come; with `false`, wait by polling from here on. */
void ata_init(bool by_interrupt);

/* Look for drive 0 or 1; false if there is none. */
bool ata_find(struct ata_drive *drive, uint8_t number);

/*
 * Move `count` sectors (1 to 256, with LBA48 to 65535). Return 0, or Error; on
 * an error the registers say where.
 */
uint8_t ata_read(const struct ata_drive *drive, struct ata_way way, uint32_t sector, uint32_t count,
                 void *into);
uint8_t ata_write(const struct ata_drive *drive, struct ata_way way, uint32_t sector,
                  uint32_t count, const void *from);

/* A command without data. Return 0, or Error. */
uint8_t ata_plain_command(const struct ata_drive *drive, uint8_t command, uint8_t features,
                          uint8_t count);

/* READ VERIFY SECTORS. */
uint8_t ata_verify(const struct ata_drive *drive, uint32_t sector, uint32_t count);

/* The sector that the registers name, by LBA28. */
uint32_t ata_named_sector(void);

void ata_select(uint8_t number, uint8_t bits);

/* How many interrupts have come. */
extern volatile uint32_t ata_interrupts;
