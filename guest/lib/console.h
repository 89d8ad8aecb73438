/*
 * The console: COM1, a 16550A UART. National Semiconductor PC16550D data sheet,
 * section 8 "Registers"; the register names are table II's.
 */
#pragma once

#include <stdint.h>

enum {
    UART_BASE = 0x3f8,
    UART_RBR = UART_BASE + 0, /* read: receiver buffer */
    UART_THR = UART_BASE + 0, /* write: transmitter holding */
    UART_IER = UART_BASE + 1, /* interrupt enable */
    UART_IIR = UART_BASE + 2, /* read: interrupt identification */
    UART_FCR = UART_BASE + 2, /* write: FIFO control */
    UART_LCR = UART_BASE + 3, /* line control */
    UART_MCR = UART_BASE + 4, /* modem control */
    UART_LSR = UART_BASE + 5, /* line status */
    UART_DLL = UART_BASE + 0, /* divisor latch, while LCR_DLAB */
    UART_DLM = UART_BASE + 1,

    UART_IRQ = 4,
    UART_FIFO_BYTES = 16,

    IER_RECEIVED = 0x01,
    IER_TRANSMITTER_EMPTY = 0x02,
    IIR_NONE = 0x01, /* set while no interrupt is pending */
    IIR_CAUSE = 0x0f,
    IIR_TRANSMITTER_EMPTY = 0x02,
    FCR_ENABLE = 0x01,
    LCR_8N1 = 0x03, /* 8 bits, no parity, 1 stop bit */
    LCR_DLAB = 0x80,
    MCR_DTR_RTS = 0x03,
    MCR_OUT2 = 0x08, /* on a PC, connects the UART to its interrupt line */
    LSR_DATA_READY = 0x01,
    LSR_THR_EMPTY = 0x20,
    LSR_TRANSMITTER_EMPTY = 0x40,
};

/*
 * 115,200 bit/s, 8N1, FIFOs on, every interrupt cause disabled. Switching the
 * FIFOs on empties them (section 8.5): what was typed before is lost.
 */
void console_init(void);

/* Send one byte, polling until there is room for it. */
void console_put(char byte);

/* Wait until the last byte has left. */
void console_drain(void);
