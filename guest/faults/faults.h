/*
 * The checks of the `faults` guest, in groups, and what they share.
 */
#pragma once

#include "attempt.h"
#include "paging.h"
#include "segments.h"

/* The groups, in the order in which they run. */
void check_exceptions(void);
void check_interrupts(void);
void check_pages(void);
void check_rings(void);
void check_ports(void);
void check_double_faults(void);

/* probes.S: functions to attempt, and addresses in them. */
typedef void probe(uint32_t argument);
extern probe probe_divide, probe_divide_large, probe_divide_signed, probe_undefined,
    probe_breakpoint, probe_int, probe_into, probe_bound, probe_fpu, probe_load_ds, probe_load_ss,
    probe_jump_data, probe_int_absent, probe_int_beyond, probe_trace, probe_read, probe_write,
    probe_fetch, probe_copy, probe_push, probe_shadow, probe_no_window;
extern const uint8_t probe_divide_at[], probe_divide_large_at[], probe_divide_signed_at[],
    probe_breakpoint_after[], probe_int_after[], probe_into_after[], probe_bound_at[],
    probe_fpu_at[], probe_load_ds_at[], probe_load_ss_at[], probe_jump_data_at[],
    probe_int_absent_at[], probe_int_beyond_at[], trace_1[], trace_2[], trace_3[], trace_4[],
    trace_5[], probe_read_at[], probe_write_at[], probe_copy_at[], probe_push_at[],
    probe_push_after[], probe_shadow_after[];

/* What probe_write and user_write store. */
#define WRITTEN 0x600d600d

/* The address space of all groups from check_pages() on. */
extern struct address_space space;

/* A part of it that belongs to whichever check runs, unmapped in between. */
#define WINDOW 0x40000000u

/* Frames for the checks to map, filled with words that tell where they are. */
#define FRAMES 4
extern uint32_t frames[FRAMES][PAGE_BYTES / 4];
void frames_fill(void);
#define FRAME_WORD(frame, index) ((frame) << 16 | (index))

/* A reason for vectors to be in an error code, Intel SDM vol. 3A figure 6-7. */
#define ERROR_OF_VECTOR(vector) ((vector) * 8 + 2)

/* Attempt a probe; one whole check that it traps as described. */
void check_trap(const char *name, probe *run, uint32_t argument, uint32_t vector, uint32_t error,
                const void *eip);

/* Within a check: hold an outcome against what is wanted. */
void expect_trap(const struct outcome *outcome, uint32_t vector, uint32_t error, uint32_t eip);
void expect_page_fault(const struct outcome *outcome, uint32_t error, uint32_t eip,
                       uint32_t address);
