"""The disk images of a host that joins: those it was told, or the primary's by their paths."""

import itertools
import os

from ftvm.errors import UsageError
from ftvm.machine.disk import DiskConfig
from ftvm.runtime.disk_image import DiskFile, DiskOption, identify, open_image
from ftvm.runtime.status import DiskStatus, HostStatus


def find_disks(options: tuple[DiskOption, ...], primary: HostStatus) -> tuple[DiskFile, ...]:
    """Open them; UsageError with one line if they are missing or are not the guest's."""
    if len(options) > len(primary.disks):
        raise UsageError(
            f"{len(options)} times --disk, and the guest has {len(primary.disks)}: leave out "
            f"--disk {options[len(primary.disks)].path}"
        )
    run = bytes.fromhex(primary.run)
    return tuple(
        _find(option, wanted, run)
        for option, wanted in itertools.zip_longest(options, primary.disks)
    )


def _find(option: DiskOption | None, wanted: DiskStatus, run: bytes) -> DiskFile:
    if option is None and not os.path.exists(wanted.path):
        raise UsageError(
            f"the guest's disk {wanted.path} is not on this host: give a copy, --disk FILE"
        )
    if option is None:
        option = DiskOption(wanted.path, wanted.mode)
    if option.mode not in (None, wanted.mode):
        raise UsageError(f"disk {option.path} is given as {option.mode}, and there {wanted.mode}")
    file = open_image(option.path, wanted.mode, run)
    identify(
        file,
        DiskConfig(wanted.path, wanted.mode, wanted.sectors, bytes.fromhex(wanted.content)),
    )
    return file
