/*
 * The serial port: National Semiconductor PC16550D.
 *
 * Register numbers, bits and tables are those of the PC16550D data sheet
 * (June 1995), section 8. What a machine without a wire does differently:
 *
 * - There is no baud clock. A byte written is out at once, so the transmitter is
 *   always empty; data below the receiver's trigger level count as timed out at
 *   once, so that no received byte ever waits for a clock.
 * - Host input waits on the line, as if the sender were exactly as fast as the
 *   guest reads: the receiver FIFO is the head of that line. Hence no overrun, and
 *   neither FIFO reset nor loopback loses what the guest has not read: input that
 *   is piped in before the guest sets up its port is still there afterwards.
 * - Only looped-back bytes are in the receiver themselves; those can overrun.
 * - Word length, parity and break are kept in LCR and change nothing.
 * - The modem is always there: CTS, DSR and DCD on, RI off.
 */
#include "api.h"

#include <string.h>

/* Register offsets, table II; two share a number by direction or DLAB. */
enum {
    DATA = 0, /* RBR, THR; DLL when DLAB */
    IER = 1,  /* DLM when DLAB */
    IIR_FCR = 2,
    LCR = 3,
    MCR = 4,
    LSR = 5,
    MSR = 6,
    SCR = 7
};

/* Interrupt enable, §8.7. */
enum {
    IER_RECEIVED = 0x01,
    IER_THR_EMPTY = 0x02,
    IER_LINE_STATUS = 0x04,
    IER_MODEM_STATUS = 0x08,
    IER_BITS = 0x0f
};

/* Interrupt identification, table IV, in falling priority. */
enum {
    IIR_LINE_STATUS = 0x06,
    IIR_RECEIVED = 0x04,
    IIR_TIMEOUT = 0x0c,
    IIR_THR_EMPTY = 0x02,
    IIR_MODEM_STATUS = 0x00,
    IIR_NONE = 0x01,
    IIR_FIFOS_ON = 0xc0
};

/* FIFO control, §8.5. */
enum { FCR_ENABLE = 0x01, FCR_CLEAR_RECEIVER = 0x02, FCR_TRIGGER = 0xc0, FCR_TRIGGER_SHIFT = 6 };
static const uint32_t trigger_levels[] = {1, 4, 8, 14};

enum { LCR_DLAB = 0x80 };                                   /* §8.1 */
enum { MCR_OUT2 = 0x08, MCR_LOOP = 0x10, MCR_BITS = 0x1f }; /* §8.8 */

/* Line status, §8.4; of the transmitter THRE and TEMT. */
enum { LSR_DATA_READY = 0x01, LSR_OVERRUN = 0x02, LSR_TRANSMITTER_EMPTY = 0x60 };

/* Modem status, §8.9: levels in the high half, changes since the last read in the low. */
enum { MSR_CTS_DSR_DCD = 0xb0, MSR_RI = 0x40, MSR_RI_FELL = 0x04 };

enum { RESET_DIVISOR = 12 }; /* 9600 Bd from 1.8432 MHz, table III; reset leaves it undefined */

/* Table I. What waits on the line, and the wires, stay. */
void uart_reset(Uart *uart) {
    *uart = (Uart){.divisor = RESET_DIVISOR,
                   .line = uart->line,
                   .line_bytes = uart->line_bytes,
                   .wires = uart->wires};
}

static bool loops(const Uart *uart) { return uart->mcr & MCR_LOOP; }

static bool has_fifos(const Uart *uart) { return uart->fcr & FCR_ENABLE; }

static uint32_t depth(const Uart *uart) { return has_fifos(uart) ? UART_FIFO_BYTES : 1; }

/* Bytes that the guest could read if its FIFO had no end. */
static size_t readable(const Uart *uart) {
    return uart->looped_bytes + (loops(uart) ? 0 : uart->line_bytes);
}

/* How many received bytes wait outside the FIFO, unseen by the guest. */
size_t uart_queued(const Uart *uart) {
    size_t room = depth(uart) - uart->looped_bytes;

    if (loops(uart))
        return uart->line_bytes;
    return uart->line_bytes > room ? uart->line_bytes - room : 0;
}

/* --- the interrupt ------------------------------------------------------------------ */

static uint8_t cause(const Uart *uart) {
    size_t level = readable(uart);

    if ((uart->ier & IER_LINE_STATUS) && uart->overrun)
        return IIR_LINE_STATUS;
    if ((uart->ier & IER_RECEIVED) && level) {
        uint32_t trigger = trigger_levels[uart->fcr >> FCR_TRIGGER_SHIFT];
        return has_fifos(uart) && level < trigger ? IIR_TIMEOUT : IIR_RECEIVED;
    }
    if (uart->thr_empty_pending)
        return IIR_THR_EMPTY;
    if ((uart->ier & IER_MODEM_STATUS) && uart->modem_changes)
        return IIR_MODEM_STATUS;
    return IIR_NONE;
}

/* A PC gates the output by OUT2. */
static bool interrupts(const Uart *uart) {
    return (uart->mcr & MCR_OUT2) && cause(uart) != IIR_NONE;
}

/* Behind whatever may have changed it: the level of the interrupt output. */
static void tell(Uart *uart) {
    bool level = interrupts(uart);

    if (level == uart->irq)
        return;
    uart->irq = level;
    uart->wires.irq(uart->wires.user, level);
}

/* Restored: the level is what it must be, and whoever gets it knows that. */
void uart_settle(Uart *uart) { uart->irq = interrupts(uart); }

/* What waits on the line, from the next byte on: it stays the caller's. */
void uart_receive(Uart *uart, const uint8_t *line, size_t bytes) {
    uart->line = line;
    uart->line_bytes = bytes;
    tell(uart);
}

/* --- reading ------------------------------------------------------------------------ */

static uint8_t read_data(Uart *uart) {
    uint8_t value = 0;

    if (uart->looped_bytes) {
        value = uart->looped[0];
        memmove(uart->looped, uart->looped + 1, --uart->looped_bytes);
    } else if (readable(uart)) {
        value = *uart->line++;
        uart->line_bytes--;
    }
    tell(uart);
    return value;
}

static uint8_t identify(Uart *uart) {
    uint8_t found = cause(uart);

    if (found == IIR_THR_EMPTY) {
        uart->thr_empty_pending = false;
        tell(uart);
    }
    return has_fifos(uart) ? found | IIR_FIFOS_ON : found;
}

static uint8_t line_status(Uart *uart) {
    uint8_t status = LSR_TRANSMITTER_EMPTY;

    if (readable(uart))
        status |= LSR_DATA_READY;
    if (uart->overrun) {
        status |= LSR_OVERRUN;
        uart->overrun = false;
        tell(uart);
    }
    return status;
}

/* §8.8 bit 4: looped back, RTS, DTR, OUT1 and OUT2 are CTS, DSR, RI and DCD. */
static uint8_t modem_levels(const Uart *uart) {
    uint32_t mcr = uart->mcr;

    if (!loops(uart))
        return MSR_CTS_DSR_DCD;
    return (uint8_t)((mcr & 0x02) << 3 | (mcr & 0x01) << 5 | (mcr & 0x04) << 4 | (mcr & 0x08) << 4);
}

static uint8_t modem_status(Uart *uart) {
    uint8_t status = modem_levels(uart) | uart->modem_changes;

    uart->modem_changes = 0;
    tell(uart);
    return status;
}

/* The byte register at `offset`, 0 to 7. */
uint8_t uart_read(Uart *uart, uint32_t offset) {
    bool latch = uart->lcr & LCR_DLAB;

    switch (offset) {
    case DATA:
        return latch ? (uint8_t)uart->divisor : read_data(uart);
    case IER:
        return latch ? (uint8_t)(uart->divisor >> 8) : uart->ier;
    case IIR_FCR:
        return identify(uart);
    case LCR:
        return uart->lcr;
    case MCR:
        return uart->mcr;
    case LSR:
        return line_status(uart);
    case MSR:
        return modem_status(uart);
    default:
        return uart->scr;
    }
}

/* --- writing ------------------------------------------------------------------------ */

static void loop_back(Uart *uart, uint8_t value) {
    if (uart->looped_bytes < depth(uart)) {
        uart->looped[uart->looped_bytes++] = value;
        return;
    }
    /* §8.4 bit 1: a full FIFO keeps what it has, a full RBR is overwritten. */
    uart->overrun = true;
    if (!has_fifos(uart))
        uart->looped[0] = value;
}

static void transmit(Uart *uart, uint8_t value) {
    if (loops(uart))
        loop_back(uart, value);
    else
        uart->wires.output(uart->wires.user, value);
    if (uart->ier & IER_THR_EMPTY) {
        /* The write clears the interrupt and the empty THR sets it again
         * (table IV): an edge-triggered controller must see both. */
        uart->thr_empty_pending = false;
        tell(uart);
        uart->thr_empty_pending = true;
    }
    tell(uart);
}

/* Enabling the interrupt while THR is empty raises it; leaving it enabled does not. */
static void enable(Uart *uart, uint8_t value) {
    if (value & ~uart->ier & IER_THR_EMPTY)
        uart->thr_empty_pending = true;
    else if (!(value & IER_THR_EMPTY))
        uart->thr_empty_pending = false;
    uart->ier = value;
    tell(uart);
}

/* §8.5: a change of the enable bit clears the FIFOs; without the enable bit no other
 * bit is programmed. */
static void control_fifos(Uart *uart, uint8_t value) {
    if (!(value & FCR_ENABLE))
        value = 0;
    if (((value ^ uart->fcr) & FCR_ENABLE) || (value & FCR_CLEAR_RECEIVER))
        uart->looped_bytes = 0;
    uart->fcr = value & (FCR_TRIGGER | FCR_ENABLE);
    tell(uart);
}

static void control_modem(Uart *uart, uint8_t value) {
    uint8_t before = modem_levels(uart), after;

    uart->mcr = value;
    after = modem_levels(uart);
    uart->modem_changes |= (before ^ after) >> 4 & ~MSR_RI_FELL;
    if (before & ~after & MSR_RI)
        uart->modem_changes |= MSR_RI_FELL;
    tell(uart);
}

/* A write to the byte register at `offset`, 0 to 7; LSR and MSR are read only. */
void uart_write(Uart *uart, uint32_t offset, uint8_t value) {
    bool latch = uart->lcr & LCR_DLAB;

    switch (offset) {
    case DATA:
        if (latch)
            uart->divisor = (uint16_t)((uart->divisor & 0xff00) | value);
        else
            transmit(uart, value);
        break;
    case IER:
        if (latch)
            uart->divisor = (uint16_t)((uart->divisor & 0xff) | value << 8);
        else
            enable(uart, value & IER_BITS);
        break;
    case IIR_FCR:
        control_fifos(uart, value);
        break;
    case LCR:
        uart->lcr = value;
        break;
    case MCR:
        control_modem(uart, value & MCR_BITS);
        break;
    case SCR:
        uart->scr = value;
        break;
    default:
        break;
    }
}
