"""What a node's greeting says of it."""

import hashlib
from collections.abc import Iterator

from ftvm.machine.boot.image import BootFiles
from ftvm.machine.engine import ENGINE
from ftvm.machine.machine import MachineConfig
from ftvm.machine.plain import encode_plain
from ftvm.replication.messages import HASH_UNKNOWN, RUN_UNKNOWN
from ftvm.replication.settings import Identity
from ftvm.runtime.control import NodeConfig


def identity_of(config: NodeConfig, files: BootFiles | None, machine: MachineConfig) -> Identity:
    """Return a node's identity; without files it is a recruit's, which takes any machine."""
    content = hashlib.blake2b(digest_size=32)
    for part in () if files is None else _parts(files):
        content.update(len(part).to_bytes(8, "little") + part)
    machine_hash = hashlib.blake2b(encode_plain(machine), digest_size=32).digest()
    takes_any = files is None
    return Identity(
        node=config.name,
        run=bytes.fromhex(config.run) or RUN_UNKNOWN,
        image=HASH_UNKNOWN if takes_any else content.digest(),
        config=HASH_UNKNOWN if takes_any else machine_hash,
        engine=ENGINE,
    )


def _parts(files: BootFiles) -> Iterator[bytes]:
    yield from (files.image, files.name.encode(), files.command_line.encode())
    if files.initrd is not None:
        yield files.initrd
    for module in files.modules:
        yield from (module.string.encode(), module.data)
