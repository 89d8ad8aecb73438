"""The files that a machine boots from, read from the host."""

from collections.abc import Callable
from pathlib import Path

from ftvm.errors import HostError
from ftvm.machine.boot.image import BootFiles
from ftvm.machine.boot.plan import Module
from ftvm.runtime.control import NodeConfig


def read_file(path: Path) -> bytes:
    """Read a file; HostError says what the host has against it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise HostError(f"{path}: {error.strerror}") from None


def read_boot_files(
    image_path: Path,
    name: str,
    append: str,
    initrd_path: Path | None,
    modules: tuple[str, ...],
    read: Callable[[Path], bytes] = read_file,
) -> BootFiles:
    """Read all that a machine boots from; `read` raises what is wrong with a file.

    Each of `modules` is a path, perhaps with a space and arguments behind it.
    """
    return BootFiles(
        name=name,
        image=read(image_path),
        command_line=append,
        initrd=None if initrd_path is None else read(initrd_path),
        modules=tuple(_read_module(text, read) for text in modules),
    )


def _read_module(text: str, read: Callable[[Path], bytes]) -> Module:
    path = text.split(" ")[0]
    return Module(path, text, read(Path(path)))


def configured_files(config: NodeConfig) -> BootFiles | None:
    """Read what a node is to boot; None for a recruit, which is sent a running machine."""
    if config.role == "recruit":
        return None
    initrd_path = None if config.initrd_path is None else Path(config.initrd_path)
    return read_boot_files(
        Path(config.image_path), config.image_name, config.append, initrd_path, config.modules
    )
