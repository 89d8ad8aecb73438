/*
 * What is written to a disk stays there. Key `w` writes the next record, one a
 * sector, waits until the drive has it, and prints its number; `r` reads all
 * records again and prints how many are whole; `q` leaves. Records of an earlier
 * boot are found.
 *
 * With `ops=N`, N operations that follow from `seed=`: reads and writes of any
 * kind all over both drives, each read compared with what must be there. With
 * `check`, one line for each thing that a drive must do.
 */
#include "disk.h"
#include "ata.h"
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "options.h"
#include "pic.h"
#include "print.h"

const char guest_name[] = "disk";

enum { FLUSH_CACHE = 0xe7 };

/* A record's sector says which it is, all over. */
static void fill(uint32_t words[], uint32_t number) {
    for (uint32_t at = 0; at < SECTOR_BYTES / 4; at++)
        words[at] = 0x464d5654 + number * 0x9e3779b9 + at; /* "TVMF" */
}

static bool holds(const struct ata_drive *drive, uint32_t number) {
    uint32_t found[SECTOR_BYTES / 4], wanted[SECTOR_BYTES / 4];

    fill(wanted, number);
    return ata_read(drive, ata_plain, number, 1, found) == 0 &&
           memcmp(found, wanted, sizeof found) == 0;
}

static uint32_t records(const struct ata_drive *drive) {
    uint32_t number = 0;

    while (number < drive->sectors && holds(drive, number))
        number++;
    return number;
}

/* There is a key, or more: the main program takes them, and the line falls. */
static void key_interrupt(void) {}

static uint8_t next_key(void) {
    while (!(in8(UART_LSR) & LSR_DATA_READY))
        wait_for_interrupt();
    return in8(UART_RBR);
}

static int keep_records(const struct ata_drive *drive) {
    uint32_t words[SECTOR_BYTES / 4];
    uint32_t number = records(drive);

    irq_enable(UART_IRQ, key_interrupt);
    out8(UART_IER, IER_RECEIVED);
    print("disk: %u sectors, %u records\n", drive->sectors, number);
    for (;;) {
        uint8_t error = 0;
        switch (next_key()) {
        case 'w':
            fill(words, number);
            error = ata_write(drive, ata_plain, number, 1, words);
            if (!error)
                error = ata_plain_command(drive, FLUSH_CACHE, 0, 0);
            if (error)
                print("error %02x\n", error);
            else
                print("%u\n", ++number);
            break;
        case 'r':
            print("%u records\n", records(drive));
            break;
        case 'q':
            return EXIT_OK;
        default:
            break;
        }
    }
}

int guest_main(void) {
    static struct ata_drive drives[2];
    uint32_t ops = option_number("ops", 0, 0, 1000000000);
    uint32_t seed = option_number("seed", 1, 0, 0xffffffff);
    uint32_t count = 0;

    ata_init(true);
    while (count < 2 && ata_find(&drives[count], (uint8_t)count))
        count++;
    if (count == 0) {
        print("disk: there is none\n");
        return EXIT_CHECK_FAILED;
    }
    if (option_switch("check"))
        return check_drives(drives, count);
    if (ops)
        return disk_storm(drives, count, ops, seed);
    return keep_records(&drives[0]);
}
