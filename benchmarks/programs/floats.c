/*
 * Floating point: products of matrices by the x87 unit, which an emulator
 * computes in software.
 *
 * Options: size=N rows and columns (default 48, at most 128); rounds=N
 * (default 6).
 */
#include "guest.h"
#include "options.h"
#include "print.h"

const char guest_name[] = "floats";

#define SIZE_MAX_ROWS 128

typedef double matrix[SIZE_MAX_ROWS][SIZE_MAX_ROWS];
static matrix a, b, product;

static void multiply(uint32_t size) {
    for (uint32_t row = 0; row < size; row++)
        for (uint32_t column = 0; column < size; column++) {
            double sum = 0;
            for (uint32_t i = 0; i < size; i++)
                sum += a[row][i] * b[i][column];
            product[row][column] = sum;
        }
}

int guest_main(void) {
    uint32_t size = option_number("size", 48, 2, SIZE_MAX_ROWS);
    uint32_t rounds = option_number("rounds", 6, 1, UINT32_MAX);
    double trace = 0;

    __asm__ volatile("fninit");
    for (uint32_t row = 0; row < size; row++)
        for (uint32_t column = 0; column < size; column++) {
            a[row][column] = (int32_t)(row * 7 + column) / 16.0;
            b[row][column] = (int32_t)(row ^ column) / 8.0;
        }
    for (uint32_t round = 0; round < rounds; round++) {
        multiply(size);
        for (uint32_t row = 0; row < size; row++) {
            trace += product[row][row];
            b[row][row] = (int32_t)(round + row) / 4.0;
        }
    }
    print("floats: %u rows, %u rounds, trace %d\n", size, rounds, (int32_t)(trace / 1024));
    return EXIT_OK;
}
