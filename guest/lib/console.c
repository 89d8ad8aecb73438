#include "console.h"

#include "cpu.h"

void console_init(void) {
    out8(UART_IER, 0);
    out8(UART_LCR, LCR_8N1 | LCR_DLAB);
    out8(UART_DLL, 1); /* the clock of 1.8432 MHz, by 16, by 1 */
    out8(UART_DLM, 0);
    out8(UART_LCR, LCR_8N1);
    out8(UART_FCR, FCR_ENABLE); /* interrupt at the first byte */
    out8(UART_MCR, MCR_DTR_RTS | MCR_OUT2);
}

void console_put(char byte) {
    while (!(in8(UART_LSR) & LSR_THR_EMPTY))
        continue;
    out8(UART_THR, (uint8_t)byte);
}

void console_drain(void) {
    while (!(in8(UART_LSR) & LSR_TRANSMITTER_EMPTY))
        continue;
}
