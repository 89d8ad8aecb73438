"""The x87's transcendental functions: right, and the same on every host."""

import math
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import x87
from hypothesis import example, given, settings
from hypothesis import strategies as st
from x87 import Pair, compute

HELPERS = Path(x87.__file__).parent

Function = Callable[[float, float], Pair]

# What the C library of this host says, which is right to its last bit but one. A second
# number that an operation leaves alone is given back.
EXPECTED: dict[str, Function] = {
    "fsin": lambda x, y: (math.sin(x), y),
    "fcos": lambda x, y: (math.cos(x), y),
    "fsincos": lambda x, y: (math.cos(x), math.sin(x)),
    "fptan": lambda x, y: (1.0, math.tan(x)),
}
BESIDE: dict[str, Callable[[float, float], float]] = {
    "fpatan": lambda x, y: math.atan2(y, x),
    "fyl2x": lambda x, y: math.log(x) / math.log(2) * y,
    "fyl2xp1": lambda x, y: math.log(x + 1.0) / math.log(2) * y,
    "f2xm1": lambda x, y: math.pow(2.0, x) - 1.0,
}

angles = st.floats(-(2.0**62), 2.0**62) | st.floats(-100, 100)
positive = st.floats(0, 1e300, exclude_min=True)
numbers = st.floats(allow_nan=False)
near_zero = st.floats(-0.29, 0.41)  # Intel SDM vol. 2, FYL2XP1: from -(1 - sqrt(1/2)) on


def is_near(one: float, other: float, ulps: int = 1) -> bool:
    if math.isinf(other) or other == 0:
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return abs(one - other) <= ulps * math.ulp(other)


@pytest.mark.parametrize("operation", EXPECTED)
@settings(max_examples=20, deadline=None)
@given(angles=st.lists(angles, min_size=1, max_size=200))
@example(angles=[0.0, -0.0, math.pi / 4, math.pi / 2, -math.pi, 3 * math.pi / 2, 5e-324])
@example(angles=[6381956970095103.0 * 2.0**9, 2.0**62, 1e22 / 2**20, 0.5, 0.785398163397448])
def test_angles(operation: str, angles: list[float]) -> None:
    for angle, found in zip(angles, compute(operation, [(x, 2.5) for x in angles]), strict=True):
        wanted = EXPECTED[operation](angle, 2.5)
        assert is_near(found[0], wanted[0]), (angle, found, wanted)
        assert is_near(found[1], wanted[1]), (angle, found, wanted)


@pytest.mark.parametrize(
    ("operation", "first", "second"),
    [
        ("fpatan", numbers, numbers),
        ("fyl2x", positive, st.just(1.0)),
        ("fyl2xp1", near_zero, st.just(1.0)),
        ("f2xm1", st.floats(-1, 1), st.just(1.0)),
    ],
)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_other_functions(
    operation: str,
    first: st.SearchStrategy[float],
    second: st.SearchStrategy[float],
    data: st.DataObject,
) -> None:
    pairs = data.draw(st.lists(st.tuples(first, second), min_size=1, max_size=200))
    for pair, (found, _) in zip(pairs, compute(operation, pairs), strict=True):
        wanted = BESIDE[operation](*pair)
        # 2^x - 1 is a difference: the last bit is that of 2^x.
        near = abs(found - wanted) <= 2**-52 if operation == "f2xm1" else is_near(found, wanted, 2)
        assert near, (pair, found, wanted)


@pytest.mark.parametrize("y", [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf])
@pytest.mark.parametrize("x", [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf])
def test_arc_tangents_of_zeros_and_infinities(y: float, x: float) -> None:
    ((found, _),) = compute("fpatan", [(x, y)])
    assert is_near(found, math.atan2(y, x))


@pytest.mark.parametrize("operation", x87.OPERATIONS)
def test_of_what_is_no_number_comes_none(operation: str) -> None:
    (result,) = compute(operation, [(math.nan, math.nan)])
    assert math.isnan(result[1 if operation == "fptan" else 0])


@pytest.mark.parametrize("operation", x87.OPERATIONS)
@settings(max_examples=10, deadline=None)
@given(pairs=st.lists(st.tuples(st.floats(), st.floats()), min_size=1, max_size=50))
@example(pairs=[(2.0**63, 1.0), (-(2.0**63), -1.0), (math.inf, 0.0), (1e308, 1e308)])
def test_any_operands_have_their_result_whatever_came_before(
    operation: str, pairs: list[Pair]
) -> None:
    forwards = compute(operation, pairs)
    backwards = compute(operation, pairs[::-1])[::-1]
    assert [struct.pack("<dd", *pair) for pair in forwards] == [
        struct.pack("<dd", *pair) for pair in backwards
    ]


def test_results_do_not_depend_on_the_hosts_processor() -> None:
    """The C library's would: it uses fused multiply-add where it finds that."""

    def digest(tunables: str) -> str:
        environment = {**os.environ, "GLIBC_TUNABLES": tunables}
        done = subprocess.run(
            [sys.executable, HELPERS / "x87.py"], env=environment, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    plain = "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX2_Usable,-FMA_Usable"
    assert digest("") == digest(plain)
