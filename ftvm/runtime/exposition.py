"""How nodes are, as Prometheus reads it (text exposition format, version 0.0.4)."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from ftvm.replication.states import BackupState, PrimaryState
from ftvm.runtime.control import Measured
from ftvm.runtime.hold_meter import BOUNDS_NS
from ftvm.runtime.status import HostStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_NS_PER_S = 1_000_000_000
_HOLD = "ftvm_output_hold_seconds"

_Value = Callable[[HostStatus], float | None]
_VALUES: tuple[tuple[str, str, str, _Value], ...] = (
    ("ftvm_generation", "gauge", "Times that the right to run alone was won.",
     lambda status: status.generation),
    ("ftvm_instructions_total", "counter", "Instructions executed since the guest's reset.",
     lambda status: status.instructions),
    ("ftvm_lag_instructions", "gauge", "Instructions that the backup is behind.",
     lambda status: status.lag_instructions),
    ("ftvm_lag_seconds", "gauge", "Time that the backup is behind.",
     lambda status: None if status.lag_ns is None else status.lag_ns / _NS_PER_S),
    ("ftvm_log_bytes_total", "counter", "Bytes of log since the guest's reset.",
     lambda status: status.log_bytes),
    ("ftvm_log_entries_total", "counter", "Log entries since the guest's reset.",
     lambda status: status.log_entries),
    ("ftvm_output_held_bytes", "gauge", "Output that waits for the backup.",
     lambda status: status.held_bytes),
)  # fmt: skip


def expose(nodes: Sequence[Measured], failovers: int) -> str:
    """Return the page that tells all."""
    lines = [*_header("ftvm_failovers_total", "counter", "Times that a backup went live."),
             f"ftvm_failovers_total {failovers}"]  # fmt: skip
    for name, kind, summary, value in _VALUES:
        told = [(node, number) for node in nodes if (number := value(node.status)) is not None]
        lines += _header(name, kind, summary)
        lines += [f"{name}{_labels(node=node.status.node)} {number}" for node, number in told]
    lines += _header("ftvm_state", "gauge", "1 for the state that the node's protocol is in.")
    for node in nodes:
        lines += _states(node.status)
    lines += _header(_HOLD, "histogram", "Time that output waited for the backup.")
    for node in nodes:
        lines += _hold(node)
    return "".join(f"{line}\n" for line in lines)


def _header(name: str, kind: str, summary: str) -> Iterable[str]:
    return f"# HELP {name} {summary}", f"# TYPE {name} {kind}"


def _labels(**labels: str) -> str:
    pairs = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _states(status: HostStatus) -> Iterator[str]:
    states = PrimaryState if status.role == "primary" else BackupState
    for state in states:
        labels = _labels(node=status.node, role=status.role, state=state.value)
        yield f"ftvm_state{labels} {int(state.value == status.state)}"


def _hold(node: Measured) -> Iterator[str]:
    name, total = node.status.node, 0
    bounds = [f"{bound / _NS_PER_S:g}" for bound in BOUNDS_NS] + ["+Inf"]
    for bound, count in zip(bounds, node.hold_counts, strict=True):
        total += count
        yield f"{_HOLD}_bucket{_labels(node=name, le=bound)} {total}"
    yield f"{_HOLD}_sum{_labels(node=name)} {node.hold_sum_ns / _NS_PER_S}"
    yield f"{_HOLD}_count{_labels(node=name)} {total}"
