"""What a node's greeting says of it."""

import hashlib

from ftvm.machine.engine import ENGINE
from ftvm.machine.machine import MachineConfig
from ftvm.machine.plain import encode_plain
from ftvm.replication.messages import HASH_UNKNOWN, RUN_UNKNOWN
from ftvm.replication.settings import Identity
from ftvm.runtime.control import NodeConfig


def identity_of(config: NodeConfig, image: bytes, machine: MachineConfig) -> Identity:
    """Return the identity of a node with an image; a recruit takes any image and machine."""
    content = hashlib.blake2b(digest_size=32)
    for part in (image, config.image_name.encode(), config.append.encode()):
        content.update(len(part).to_bytes(8, "little") + part)
    machine_hash = hashlib.blake2b(encode_plain(machine), digest_size=32).digest()
    takes_any = config.role == "recruit"
    return Identity(
        node=config.name,
        run=bytes.fromhex(config.run) or RUN_UNKNOWN,
        image=HASH_UNKNOWN if takes_any else content.digest(),
        config=HASH_UNKNOWN if takes_any else machine_hash,
        engine=ENGINE,
    )
