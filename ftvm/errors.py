"""Exceptions whose type says whose fault it is, and the exit status of each.

The guest's own exit value passes through ``ftvm run`` unchanged, so the
statuses here stand where guests seldom are; 125 for "the tool itself failed"
is what container and process runners use.
"""


class FtvmError(Exception):
    """Base of everything that ftvm raises on purpose; its text is one line."""

    exit_status = 125


class UsageError(FtvmError):
    """The caller's input is wrong: an option, an image, a file's content."""

    exit_status = 2


class ImageError(UsageError):
    """The image cannot be booted; the text says what is wrong with it."""


class StateError(UsageError):
    """A snapshot or device state is damaged, of another version, or impossible."""


class LogError(UsageError):
    """Bytes that should be log entries are not."""


class HostError(FtvmError):
    """The host refused something: memory, disk, a socket, a process."""


class EngineError(HostError):
    """The CPU engine is not the one that this build was made for."""


class ProtocolError(FtvmError):
    """The peer on a channel broke the protocol; the connection is of no use."""


class StrangerError(ProtocolError):
    """Somebody is there, and he or we do not take the other for one of the pair."""


class DivergenceError(FtvmError):
    """A replay or a backup is not equal to what was logged."""

    exit_status = 122


class LostGuestError(FtvmError):
    """No replica is left to run the guest."""

    exit_status = 121


EXIT_TRIPLE_FAULT = 120
EXIT_SUPERSEDED = 123
"""Another has taken over: a host's guest, or a console."""
EXIT_SIGNALLED = 128
"""Plus the number of the signal that ended the command, as shells have it."""
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
