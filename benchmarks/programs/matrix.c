/*
 * Matrices: products of matrices of integers, three nested loops of loads and
 * multiplications.
 *
 * Options: size=N rows and columns (default 64, at most 128); rounds=N (default 20).
 */
#include "guest.h"
#include "options.h"
#include "print.h"

const char guest_name[] = "matrix";

#define SIZE_MAX_ROWS 128

typedef uint32_t matrix[SIZE_MAX_ROWS][SIZE_MAX_ROWS];
static matrix a, b, product;

static void multiply(uint32_t size) {
    for (uint32_t row = 0; row < size; row++)
        for (uint32_t column = 0; column < size; column++) {
            uint32_t sum = 0;
            for (uint32_t i = 0; i < size; i++)
                sum += a[row][i] * b[i][column];
            product[row][column] = sum;
        }
}

int guest_main(void) {
    uint32_t size = option_number("size", 64, 2, SIZE_MAX_ROWS);
    uint32_t rounds = option_number("rounds", 20, 1, UINT32_MAX);
    uint32_t trace = 0;

    for (uint32_t row = 0; row < size; row++)
        for (uint32_t column = 0; column < size; column++) {
            a[row][column] = row * 7 + column;
            b[row][column] = row ^ column;
        }
    for (uint32_t round = 0; round < rounds; round++) {
        multiply(size);
        for (uint32_t row = 0; row < size; row++) {
            trace += product[row][row];
            b[row][row] = round + row;
        }
    }
    print("matrix: %u rows, %u rounds, trace %u\n", size, rounds, trace);
    return EXIT_OK;
}
