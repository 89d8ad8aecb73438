"""What device state may hold: rules written beside the fields, and their check.

A device's state is a frozen dataclass of plain data. Each field says its legal
values in its type, ``Annotated[int, Range(0, 15)]``, so that a reader sees them
where the field stands and a snapshot from elsewhere can be refused before any
of it is used.
"""

from dataclasses import dataclass, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ftvm.errors import StateError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Range:
    """An integer from ``low`` to ``high``, both legal."""

    low: int
    high: int

    def fault(self, value: int) -> str | None:
        """Say why `value` is illegal, or None."""
        if self.low <= value <= self.high:
            return None
        return f"is {value}, not in {self.low}..{self.high}"


@dataclass(frozen=True, slots=True)
class Mask:
    """An integer that may only have bits of ``bits`` set."""

    bits: int

    def fault(self, value: int) -> str | None:
        """Say why `value` is illegal, or None."""
        if value >= 0 and not value & ~self.bits:
            return None
        return f"is {value:#x}, has bits outside {self.bits:#x}"


@dataclass(frozen=True, slots=True)
class Length:
    """A byte string of ``low`` to ``high`` bytes."""

    low: int
    high: int

    def fault(self, value: bytes) -> str | None:
        """Say why `value` is illegal, or None."""
        if self.low <= len(value) <= self.high:
            return None
        return f"has {len(value)} bytes, not {self.low} to {self.high}"


Byte = Annotated[int, Range(0, 0xFF)]
GuestTime = Annotated[int, Range(0, (1 << 63) - 1)]
"""Guest time in ns; 63 bits are 292 years."""


def checked(device: str, state: object, kind: type[T]) -> T:
    """Return `state` as a `kind` whose every field is legal.

    Raises StateError that names device, field and why.
    """
    if type(state) is not kind:
        raise StateError(f"{device}: state is {type(state).__name__}, not {kind.__name__}")
    _check_fields(f"{device}: ", state, kind)
    return state


def _check_fields(where: str, state: object, kind: Any) -> None:
    for field, hint in _hints(kind).items():
        _check(where + field, getattr(state, field), hint)


@cache
def _hints(kind: Any) -> dict[str, Any]:  # Any: mypy does not take a type for hashable
    return get_type_hints(kind, include_extras=True)


def _check(where: str, value: Any, hint: Any) -> None:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):  # which of them, depends on the parts
        if value is None and NoneType in args:
            return
        (hint,) = (arg for arg in args if arg is not NoneType)
        _check(where, value, hint)
    elif origin is Annotated:
        _check(where, value, args[0])
        if (fault := args[1].fault(value)) is not None:
            raise StateError(f"{where} {fault}")
    elif origin is tuple:
        if type(value) is not tuple or len(value) != len(args):
            raise StateError(f"{where} is not a tuple of {len(args)}")
        for index, (item, arg) in enumerate(zip(value, args, strict=True)):
            _check(f"{where}[{index}]", item, arg)
    elif type(value) is not hint:
        raise StateError(f"{where} is {type(value).__name__}, not {hint.__name__}")
    elif is_dataclass(hint):
        _check_fields(f"{where}.", value, hint)
