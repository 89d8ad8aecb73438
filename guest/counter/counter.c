/*
 * A number that must never be lost. On the console, `i` adds 1 to it and prints
 * it, `r` prints it, `q` leaves; any other key is ignored.
 *
 * Nothing here polls. Keys arrive by interrupt into one queue, answers leave by
 * interrupt from another, the clock ticks in between, and while there is nothing
 * to do the processor sleeps: the shape of a server, small enough to read.
 */
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "pic.h"
#include "pit.h"
#include "print.h"

const char guest_name[] = "counter";

#define CLOCK_HZ 100

/*
 * A queue between an interrupt handler and the main program, which looks at it
 * with interrupts off. The positions only ever grow, and wrap with the type.
 */
struct queue {
    uint8_t bytes[64];
    uint8_t put, taken;
};

static struct queue received, to_send;
static volatile uint32_t ticks;

static bool is_empty(const struct queue *queue) { return queue->put == queue->taken; }

static bool is_full(const struct queue *queue) {
    return (uint8_t)(queue->put - queue->taken) == sizeof queue->bytes;
}

static void put(struct queue *queue, uint8_t byte) {
    queue->bytes[queue->put++ % sizeof queue->bytes] = byte;
}

static uint8_t take(struct queue *queue) {
    return queue->bytes[queue->taken++ % sizeof queue->bytes];
}

/*
 * Ask for interrupts as there is need of them: "byte received" while there is
 * room for one, "transmitter empty" while there is something to send. A byte we
 * have no room for stays in the UART and, its FIFO full, with the sender.
 */
static void update_interrupts(void) {
    static uint8_t enabled;
    uint8_t wanted = 0;
    if (!is_full(&received))
        wanted |= IER_RECEIVED;
    if (!is_empty(&to_send))
        wanted |= IER_TRANSMITTER_EMPTY;
    if (wanted != enabled)
        out8(UART_IER, wanted);
    enabled = wanted;
}

static void receive(void) {
    while (!is_full(&received) && in8(UART_LSR) & LSR_DATA_READY)
        put(&received, in8(UART_RBR));
}

/* An empty transmitter takes a FIFO's worth at once. */
static void send(void) {
    for (int room = UART_FIFO_BYTES; room > 0 && !is_empty(&to_send); room--)
        out8(UART_THR, take(&to_send));
}

/*
 * The interrupt line is one for all causes and the interrupt controller notices
 * its edges only, so serve until no cause is left and the line is down again.
 */
static void uart_interrupt(void) {
    for (;;) {
        uint8_t identification = in8(UART_IIR);
        if (identification & IIR_NONE)
            return;
        if ((identification & IIR_CAUSE) == IIR_TRANSMITTER_EMPTY)
            send();
        else
            receive();
        update_interrupts();
    }
}

static void clock_interrupt(void) { ticks++; }

/* Where print() puts its bytes. Sleeps while the queue is full. */
static void send_later(char byte) {
    while (is_full(&to_send))
        wait_for_interrupt();
    put(&to_send, (uint8_t)byte);
    update_interrupts();
}

static uint8_t next_key(void) {
    while (is_empty(&received))
        wait_for_interrupt();
    uint8_t key = take(&received);
    update_interrupts();
    return key;
}

int guest_main(void) {
    irq_enable(UART_IRQ, uart_interrupt);
    irq_enable(PIT_IRQ, clock_interrupt);
    pit_periodic(CLOCK_HZ);
    print_sink = send_later;
    update_interrupts();
    print("counter: ready\n");

    uint32_t number = 0;
    for (;;) {
        switch (next_key()) {
        case 'i':
            number++;
            print("%u\n", number);
            break;
        case 'r':
            print("%u\n", number);
            break;
        case 'q':
            while (!is_empty(&to_send))
                wait_for_interrupt();
            return EXIT_OK;
        default:
            break;
        }
    }
}
