#pragma once

#include "ata.h"

/* Both return the guest's exit status. */
int check_drives(struct ata_drive drives[], uint32_t count);
int disk_storm(struct ata_drive drives[], uint32_t count, uint32_t ops, uint32_t seed);
