/*
 * The serial ports of a core: which port is whose, and whose interrupt line.
 *
 * A line that two of them have is high if either wants it so. What they put out is kept,
 * with its count, until core_run() is back: soon, in a guest that lives.
 */
#include "core.h"

enum { UART_PORTS = 8 };

/* A block of 512 instructions is the most that runs on before core_run() is back, and
 * each of them puts out one byte at most. */
enum { OUTPUT_RESERVE = 512 };

bool output_room(const Core *core) {
    return CORE_OUTPUT_BYTES - core->outputs.byte_count >= OUTPUT_RESERVE &&
           CORE_OUTPUT_PIECES - core->outputs.piece_count >= OUTPUT_RESERVE;
}

/* Nothing else ends an uncounted guest's run, and who measures it waits for its lines. */
static bool must_be_taken(const Core *core, uint8_t byte) {
    return !output_room(core) || (core->uncounted && byte == '\n');
}

static void put_out(void *user, uint8_t byte) {
    const SerialPort *port = user;
    Core *core = port->core;
    CoreOutputs *all = &core->outputs;

    if (all->piece_count == CORE_OUTPUT_PIECES || all->byte_count == CORE_OUTPUT_BYTES) {
        core_fail(core, CORE_ENGINE_ERROR, "what the guest puts out is not taken");
        return;
    }
    if (!all->piece_count && core->mode != CORE_REPLAY)
        core_hurry(core);
    if (!all->piece_count || all->pieces[all->piece_count - 1].stream != port->stream)
        all->piece_count++;
    all->bytes[all->byte_count++] = byte;
    all->pieces[all->piece_count - 1] =
        (CoreOutput){core_count(core), port->stream, all->byte_count};
    if (must_be_taken(core, byte))
        core_stop_after_port(core);
}

static void set_line(void *user, bool level) {
    const SerialPort *port = user;
    Core *core = port->core;

    for (uint32_t stream = 0; stream < SERIAL_PORTS; stream++) {
        const SerialPort *other = &core->serial[stream];
        level |= other->uart && other->line == port->line && other->uart->irq;
    }
    interrupts_set_line(core->interrupts, port->line, level);
}

/* From here on the guest's accesses of the eight ports from `port` on are this UART's;
 * what it puts out is on `stream`, below 4, and its interrupt is `line`. */
void core_attach_uart(Core *core, Uart *uart, uint32_t stream, uint32_t port, uint32_t line) {
    SerialPort *serial = &core->serial[stream];

    *serial = (SerialPort){core, uart, stream, port, line};
    uart->wires = (UartWires){set_line, put_out, serial};
}

/* What the guest has put out and nobody has taken; who takes it sets both counts to 0. */
CoreOutputs *core_outputs(Core *core) { return &core->outputs; }

/* The UART that an access of one byte is for; NULL if it is for none. Other widths come
 * over the bus, to the same registers. */
Uart *serial_at(const Core *core, uint32_t port, uint32_t size, uint32_t *offset) {
    for (uint32_t stream = 0; size == 1 && stream < SERIAL_PORTS; stream++) {
        *offset = port - core->serial[stream].port;
        if (*offset < UART_PORTS && core->serial[stream].uart)
            return core->serial[stream].uart;
    }
    return NULL;
}
