/*
 * The functions of the C library that the engine computes FSIN, FCOS, FSINCOS, FPTAN,
 * FPATAN, FYL2X, FYL2XP1 and F2XM1 by, with the same result on every host.
 *
 * A C library may choose its way by the processor it finds (glibc's with and without
 * fused multiply-add differ in the last bit), and its next version may choose another.
 * Here are only additions, multiplications, divisions and square roots of the x87's 64
 * bits, which IEEE 754 rounds in one way. What is left of their errors shows in a double
 * in one of some thousand results, where it is the neighbour of the nearest one.
 */
#include "transcendental.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef long double Real;

static const Real half_pi = 1.57079632679489661923132169163975144L;
static const Real pi = 3.14159265358979323846264338327950288L;
static const Real quarter_pi = 0.785398163397448309615660845819875721L;
static const Real ln_2 = 0.693147180559945309417232121458176568L;

/* --- sine, cosine, tangent ---------------------------------------------------------- */

/* An angle as so many quarter turns, 0 to 3, and at most half of one more either way. */
typedef struct {
    uint32_t quadrant;
    Real rest;
} Angle;

/* The first 192 bits of 2/pi behind the point, from the most significant on. */
static const uint64_t two_over_pi[3] = {0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041};

enum { MANTISSA_BITS = 52, EXPONENT_BIAS = 1023 };

/* Quarter turns in `x`, from 1/2 up to below 2^63, by the digits of 2/pi: Payne and Hanek,
 * "Radian reduction for trigonometric functions", SIGNUM Newsletter 18 (1983). */
static Angle reduced(double x) {
    uint64_t bits, product[4] = {0};
    unsigned __int128 carry = 0, fraction;

    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> MANTISSA_BITS) - EXPONENT_BIAS - MANTISSA_BITS;
    uint64_t mantissa = (bits & ((UINT64_C(1) << MANTISSA_BITS) - 1)) | UINT64_C(1)
                                                                            << MANTISSA_BITS;
    int shift = exponent < 0 ? -exponent : 0; /* at most 53 */
    if (exponent > 0)
        mantissa <<= exponent;
    for (int limb = 2; limb >= 0; limb--) { /* the product's whole part is its first limb */
        carry += (unsigned __int128)mantissa * two_over_pi[limb];
        product[limb + 1] = (uint64_t)carry;
        carry >>= 64;
    }
    product[0] = (uint64_t)carry;
    for (int limb = 3; shift && limb > 0; limb--)
        product[limb] = product[limb] >> shift | product[limb - 1] << (64 - shift);
    product[0] >>= shift;

    fraction = (unsigned __int128)product[1] << 64 | product[2];
    bool is_beyond = product[1] >> 63; /* nearer to the next quarter turn */
    if (is_beyond)
        fraction = -fraction;
    Real turn = (Real)(uint64_t)(fraction >> 64) * 0x1p-64L + (Real)(uint64_t)fraction * 0x1p-128L;
    Real rest = turn * half_pi;
    return (Angle){(uint32_t)(product[0] + is_beyond) & 3, is_beyond ? -rest : rest};
}

/* The sum of x^k / k! with changing signs, from `first` on in steps of two. */
static Real alternating(Real first, Real square, int degree) {
    enum { TERMS = 11 };
    Real sum = 0, term = first;

    for (int k = 0; k < TERMS; k++) {
        sum += term;
        term *= -square / ((degree + 1) * (degree + 2));
        degree += 2;
    }
    return sum;
}

static Real sine_near_zero(Real x) { return alternating(x, x * x, 1); }

static Real cosine_near_zero(Real x) { return alternating(1, x * x, 0); }

static Angle angle_of(double x) {
    double size = fabs(x);

    if (size < (double)quarter_pi)
        return (Angle){0, size};
    return reduced(size);
}

/* Of an angle that is not below 0. */
static Real sine_of(Angle angle) {
    Real value = angle.quadrant & 1 ? cosine_near_zero(angle.rest) : sine_near_zero(angle.rest);

    return angle.quadrant & 2 ? -value : value;
}

static Real cosine_of(Angle angle) {
    return sine_of((Angle){(angle.quadrant + 1) & 3, angle.rest});
}

/* The engine gives none of 2^63 and more, for which FSIN and its like do nothing. */
static bool is_no_angle(double x) { return !(fabs(x) < 0x1p63); }

double exact_sin(double x) {
    if (is_no_angle(x) || x == 0)
        return is_no_angle(x) ? x - x : x;
    Real value = sine_of(angle_of(x));
    return (double)(x < 0 ? -value : value);
}

double exact_cos(double x) { return is_no_angle(x) ? x - x : (double)cosine_of(angle_of(x)); }

double exact_tan(double x) {
    if (is_no_angle(x) || x == 0)
        return is_no_angle(x) ? x - x : x;
    Angle angle = angle_of(x);
    Real value = sine_of(angle) / cosine_of(angle);
    return (double)(x < 0 ? -value : value);
}

/* --- arc tangent -------------------------------------------------------------------- */

/* Of 0 to 1: halved three times, by tan(a/2) = tan a / (1 + sqrt(1 + tan^2 a)). */
static Real arc_tangent(Real x) {
    enum { HALVINGS = 3, TERMS = 12 };
    Real sum = 0, power, square;

    for (int k = 0; k < HALVINGS; k++)
        x /= 1 + sqrtl(1 + x * x);
    square = x * x;
    power = x;
    for (int k = 0; k < TERMS; k++) {
        sum += power / (2 * k + 1);
        power *= -square;
    }
    return sum * (1 << HALVINGS);
}

/* The quotient of two sizes, the lesser by the greater. */
static Real slope(double lesser, double greater) {
    if (greater == 0 || (isinf(lesser) && isinf(greater)))
        return greater != 0;
    return isinf(greater) ? 0 : (Real)lesser / greater;
}

double exact_atan2(double y, double x) {
    double rise = fabs(y), run = fabs(x);

    if (isnan(x) || isnan(y))
        return x + y;
    Real angle =
        rise > run ? half_pi - arc_tangent(slope(run, rise)) : arc_tangent(slope(rise, run));
    if (signbit(x))
        angle = pi - angle;
    return copysign((double)angle, y);
}

/* --- logarithm and power of two ------------------------------------------------------- */

/* Of a number above 0, as exponent and what is left: 2 artanh((m - 1) / (m + 1)). */
double exact_log(double x) {
    enum { TERMS = 15 };
    const Real root_half = 0.707106781186547524400844362104849039L;
    Real sum = 0, power, square;
    int exponent;

    if (!(x > 0))
        return x == 0 ? -INFINITY : x - x + NAN;
    if (isinf(x))
        return x;
    Real mantissa = frexp(x, &exponent);
    if (mantissa < root_half) {
        mantissa *= 2;
        exponent--;
    }
    power = (mantissa - 1) / (mantissa + 1);
    square = power * power;
    for (int k = 0; k < TERMS; k++) {
        sum += power / (2 * k + 1);
        power *= square;
    }
    return (double)(exponent * ln_2 + 2 * sum);
}

/* 2 to the power of `x`, the nearest whole one times e^(what is left ln 2). */
double exact_exp2(double x) {
    enum { TERMS = 18, EXPONENT_MAX = 1100 };

    if (isnan(x))
        return x + x;
    if (fabs(x) > EXPONENT_MAX)
        return x > 0 ? INFINITY : 0;
    int whole = (int)(x + (x < 0 ? -0.5 : 0.5));
    Real rest = (x - whole) * ln_2, sum = 0, term = 1;
    for (int k = 1; k <= TERMS; k++) {
        sum += term;
        term *= rest / k;
    }
    return (double)ldexpl(sum, whole);
}
