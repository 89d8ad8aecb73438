"""A pair of hosts whose logging channel is slow: a relay between them holds every byte up."""

import asyncio
import contextlib
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ftvm.bench.programs import image_path
from ftvm.bench.watch import CannotRunError, Typing, watch

_FTVM = (sys.executable, "-P", "-m", "ftvm")
_RELAY = (sys.executable, "-P", "-m", "ftvm.bench.delayed")
_CHUNK_BYTES = 1 << 16
_PATIENCE_S = 60
_PROTECTED = b"protected: backup"


def answers_over(delay_ms: int, seconds: float) -> list[float]:
    """Type at a pair whose channel is `delay_ms` long each way; return seconds to each answer."""
    with tempfile.TemporaryDirectory(prefix="ftvm-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        key = folder / "key"
        key.write_text(secrets.token_hex(32))
        key.chmod(0o600)
        ports = _free_ports(3)
        primary, backup, relay = (f"127.0.0.1:{port}" for port in ports)
        common = ("--store", str(folder / "store"), "--key-file", str(key))
        image = str(image_path("counter"))
        first = stack.enter_context(
            _started([*_FTVM, "serve", image, "--listen", primary, *common], folder / "primary")
        )
        stack.enter_context(_started([*_RELAY, relay, primary, str(delay_ms)], folder / "relay"))
        stack.enter_context(
            _started(
                [*_FTVM, "serve", "--join", relay, "--listen", backup, *common],
                folder / "backup",
            )
        )
        first.wait_for(_PROTECTED)
        watched = watch(
            [*_FTVM, "console", primary, "--key-file", str(key)],
            folder,
            go=b"ready\n",
            typing=Typing(b"ready\n", b"i", b"q", seconds),
        )
    return list(watched.answers_s)


class _Process:
    """A process in the background, whose words are in a file."""

    def __init__(self, command: list[str], words: Path) -> None:
        self._words = words
        with words.open("wb") as file:
            self.child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
            )

    def wait_for(self, word: bytes) -> None:
        """Wait until it has said so."""
        until = time.monotonic() + _PATIENCE_S
        while word not in (said := self._words.read_bytes()):
            if time.monotonic() > until or self.child.poll() is not None:
                raise CannotRunError(f"a host was not protected: {said.decode(errors='replace')}")
            time.sleep(0.02)


@contextlib.contextmanager
def _started(command: list[str], words: Path) -> Iterator[_Process]:
    process = _Process(command, words)
    try:
        yield process
    finally:
        process.child.kill()
        process.child.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [one.getsockname()[1] for one in sockets]


# --- the relay, a process of its own ---


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, delay_s: float) -> None:
    """Carry bytes one way, each `delay_s` after it came."""
    loop = asyncio.get_running_loop()
    on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def take() -> None:
        while data := await source.read(_CHUNK_BYTES):
            on_the_way.put_nowait((loop.time() + delay_s, data))
        on_the_way.put_nowait((loop.time() + delay_s, b""))

    taking = asyncio.create_task(take())
    while True:
        due, data = await on_the_way.get()
        await asyncio.sleep(due - loop.time())
        if not data:
            break
        sink.write(data)
    await taking
    sink.close()


async def _relay(listen: str, target: str, delay_s: float) -> None:
    async def carry_both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = target.split(":")
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(_carry(reader, back, delay_s), _carry(there, writer, delay_s))

    host, port = listen.split(":")
    server = await asyncio.start_server(carry_both, host, int(port))
    await server.serve_forever()


def main() -> None:
    """Relay connections: `python -m ftvm.bench.delayed LISTEN TARGET MILLISECONDS`."""
    listen, target, delay_ms = sys.argv[1:]
    asyncio.run(_relay(listen, target, int(delay_ms) / 1e3))


if __name__ == "__main__":
    main()
