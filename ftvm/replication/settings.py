"""What a node is told about itself and about its limits."""

from dataclasses import dataclass, replace

from ftvm.units import InstructionCount, Nanoseconds

_MILLISECOND_NS = 1_000_000
_HEARTBEAT_INTERVAL_NS = Nanoseconds(100 * _MILLISECOND_NS)
_GREETING_TIMEOUT_NS = Nanoseconds(2_000 * _MILLISECOND_NS)
_STALL_TIMEOUT_NS = Nanoseconds(10_000 * _MILLISECOND_NS)
_STORE_RETRY_INTERVAL_NS = Nanoseconds(200 * _MILLISECOND_NS)
LAG_BOUND_NS = Nanoseconds(250 * _MILLISECOND_NS)
_LAG_COUNTS_PER_NS = 1.6
"""What a fast host executes: a bound in instructions is for those that are faster."""
_LAG_COUNT_MAX = InstructionCount(int(LAG_BOUND_NS * _LAG_COUNTS_PER_NS))
# How finely a lag is known. Two marks are mostly on their way, and a guest is slowed from a
# quarter of the bound on; a mark costs both sides some tenths of a millisecond.
_MARK_INTERVALS_PER_LAG, _MARK_COUNTS_PER_LAG = 16, 16
_NEAR = 32
_WORDS_PER_MARK = 8
_MARK_INTERVAL_NS = Nanoseconds(LAG_BOUND_NS // _MARK_INTERVALS_PER_LAG)
_MARK_COUNT_MAX = InstructionCount(_LAG_COUNT_MAX // _MARK_COUNTS_PER_LAG)


@dataclass(frozen=True)
class Identity:
    """Who a node is, and what both nodes of a pair must have in common."""

    node: str
    """Name of this process as the store and the peers know it; unique within the run, 1 to 64
    printable bytes."""
    run: bytes
    """16 bytes that tell this run from all others; RUN_UNKNOWN in a backup that joins any."""
    image: bytes
    """32-byte hash of the guest image and its command line; HASH_UNKNOWN in a backup that is sent
    its machine, whatever it is."""
    config: bytes
    """32-byte hash of the machine's configuration, or HASH_UNKNOWN."""
    engine: str
    """Build of the CPU engine."""


FAILURE_TIMEOUT_NS = Nanoseconds(2_000 * _MILLISECOND_NS)
_BEATS_MIN = 20
"""Heartbeats within the silence that means loss: patient enough for a host under load."""
_STALL_FACTOR = 5


@dataclass(frozen=True)
class Settings:
    """Bounds in space and time. A backup takes over its primary's bound on the lag."""

    heartbeat_interval_ns: Nanoseconds = _HEARTBEAT_INTERVAL_NS
    """How often each side says that it is alive."""
    heartbeats_missed_max: int = 20
    """Silence of so many intervals means that the peer is lost. A process that dies is noticed at
    once by its closed connection; silence is for hosts and networks, and patient enough for a
    host under load."""
    greeting_timeout_ns: Nanoseconds = _GREETING_TIMEOUT_NS
    """How long a new connection may take to greet."""
    stall_timeout_ns: Nanoseconds = _STALL_TIMEOUT_NS
    """How long a backup that is alive may neither acknowledge nor execute what it was sent."""
    store_retry_interval_ns: Nanoseconds = _STORE_RETRY_INTERVAL_NS
    """How long to wait after the store was out of reach."""
    log_unacknowledged_bytes_max: int = 1 << 20
    """Log bytes the backup has not acknowledged, beyond which the primary stops."""
    state_pieces_max: int = 32
    """Pieces of state on their way to a new backup: enough to keep a network busy, and what either
    side may have to keep of them."""
    mark_interval_ns: Nanoseconds = _MARK_INTERVAL_NS
    mark_count_max: InstructionCount = _MARK_COUNT_MAX
    """Time, and instructions, between two marks for which nobody waits."""
    marks_unacknowledged_max: int = 1024
    """Marks on their way to the backup; what happens meanwhile goes along with a later one."""
    log_unmarked_bytes_max: int = 16 << 20
    """Log bytes without a mark that a backup keeps: more than a primary makes between two."""
    lag_ns_max: Nanoseconds = LAG_BOUND_NS
    """How long the backup may be behind. Its primary goes slower and slower from a quarter of
    that on, and stops when it is reached."""
    lag_count_max: InstructionCount = _LAG_COUNT_MAX
    """Instructions the backup may be behind, in the same way; at a rate of some hundred millions a
    second this bounds the catching up at a failover to a fraction of one."""
    output_unreceived_bytes_max: int = 1 << 20
    """Output the endpoint has not confirmed, beyond which the guest stops (or, if no endpoint
    ever came, the oldest is dropped)."""
    input_unconsumed_bytes_max: int = 64 * 1024
    """Input that may be on its way from the endpoint into the guest."""

    holds_exit: bool = False
    """Whether a primary asks before it tells the guest's end outside (ExitDue)."""

    def with_lag(self, ns: Nanoseconds) -> "Settings":
        """Return them with another bound on the lag, and all that follows from it.

        The bound in instructions is what a fast host executes in that time.
        """
        if ns == self.lag_ns_max:
            return self
        count = int(ns * _LAG_COUNTS_PER_NS)
        return replace(
            self,
            lag_ns_max=ns,
            lag_count_max=InstructionCount(count),
            mark_interval_ns=Nanoseconds(ns // _MARK_INTERVALS_PER_LAG),
            mark_count_max=InstructionCount(count // _MARK_COUNTS_PER_LAG),
        )

    @property
    def near_count(self) -> InstructionCount:
        """So few instructions are executed in half a millisecond, by the bound on the lag."""
        return InstructionCount(self.mark_count_max // _NEAR)

    @property
    def word_delay_ns(self) -> Nanoseconds:
        """So late a backup may say that it has executed a few instructions."""
        return Nanoseconds(self.mark_interval_ns // _WORDS_PER_MARK)

    @property
    def silence_max_ns(self) -> Nanoseconds:
        """Silence that means loss."""
        return Nanoseconds(self.heartbeat_interval_ns * self.heartbeats_missed_max)


def settings_for(
    failure_timeout_ns: Nanoseconds = FAILURE_TIMEOUT_NS, lag_ns_max: Nanoseconds = LAG_BOUND_NS
) -> Settings:
    """Return what follows from the two times that a user may choose.

    A peer counts as lost after `failure_timeout_ns` of silence; one that is
    alive and does not move, after some of these.
    """
    interval_ns = min(failure_timeout_ns // _BEATS_MIN, _HEARTBEAT_INTERVAL_NS)
    return Settings(
        heartbeat_interval_ns=Nanoseconds(interval_ns),
        heartbeats_missed_max=failure_timeout_ns // interval_ns,
        stall_timeout_ns=Nanoseconds(_STALL_FACTOR * failure_timeout_ns),
        holds_exit=True,
    ).with_lag(lag_ns_max)
