/* Functions of the C library, with the same result on every host. */
#ifndef FTVM_TRANSCENDENTAL_H
#define FTVM_TRANSCENDENTAL_H

#include <stdbool.h>

double exact_sin(double x);
double exact_cos(double x);
double exact_tan(double x);
double exact_atan2(double y, double x);
double exact_log(double x);
double exact_exp2(double x);

#endif
