/*
 * The string instructions as a table, which strings.S makes and strings.c holds
 * against a model. Intel SDM vol. 2, REP/REPE/REPZ/REPNE/REPNZ.
 */
#pragma once

#define KIND_MOVS 0 /* [EDI] = [ESI] */
#define KIND_STOS 1 /* [EDI] = EAX */
#define KIND_LODS 2 /* EAX = [ESI] */
#define KIND_CMPS 3 /* flags of [ESI] - [EDI] */
#define KIND_SCAS 4 /* flags of EAX - [EDI] */
#define KIND_INS 5  /* [EDI] = port */
#define KIND_OUTS 6 /* port = [ESI] */

#define REPEAT_NOT 0
#define REPEAT_ECX 1     /* until ECX is zero */
#define REPEAT_EQUAL 2   /* until that, or not equal */
#define REPEAT_UNEQUAL 3 /* until that, or equal */

#ifndef __ASSEMBLER__
#include <stdint.h>

struct string_operation {
    const char *name;
    void (*run)(void);
    uint32_t kind, repeat;
    uint32_t width; /* bytes an element has */
};

extern const struct string_operation string_operations[], string_operations_end[];

struct string_registers {
    uint32_t eax, ecx, edx, esi, edi, eflags;
};

/* Load the registers, run the operation, store them again. */
void string_run(struct string_registers *registers, void (*operation)(void));

/* REP STOSW with 16-bit addresses: of ECX and EDI only the low halves count. */
void string_stos_addr16(void);
#endif
