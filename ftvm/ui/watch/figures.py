"""Numbers as the screen writes them: short, and as wide now as a moment later."""

_KIB = 1024


def size(count: float) -> str:
    """Bytes: "812 B", "1.1 KiB"."""
    if count < _KIB:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB"):
        count /= _KIB
        if count < _KIB:
            return f"{count:.1f} {unit}"
    return f"{count / _KIB:.1f} GiB"


def density(count: float) -> str:
    """Bytes for each 1,000 instructions, with as many digits as say something."""
    if count >= 100:
        return size(count)
    return f"{count:.{1 if count >= 10 else 2 if count >= 0.1 else 4}f} B"


def speed(instructions_per_s: float) -> str:
    """Millions of instructions a second."""
    mips = instructions_per_s / 1e6
    return f"{mips:,.{0 if mips >= 1000 else 1 if mips >= 1 else 3}f} MIPS"


def milliseconds(span_ns: float) -> str:
    """A span without its unit: "2.1"."""
    ms = span_ns / 1e6
    return f"{ms:,.{0 if ms >= 1000 else 1}f}"


def clock(span_ns: float) -> str:
    """A time since the start: "1:02:03", "2:03"."""
    seconds = int(span_ns / 1e9)
    hours, rest = divmod(seconds, 3600)
    minutes = f"{rest // 60:02}" if hours else str(rest // 60)
    return f"{f'{hours}:' if hours else ''}{minutes}:{rest % 60:02}"
