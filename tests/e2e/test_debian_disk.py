"""Debian's kernel on our disks: a file system made, and a primary killed while it is written to."""

import time
from pathlib import Path

import pytest
from debian_guests import EPOCH_S, LINUX_APPEND, LINUX_MEMORY_BYTES, MIB, PROMPT, find_guests

from ftvm.runtime.disk_image import open_image
from ftvm.runtime.run_spec import RunSpec
from ftvm.runtime.supervisor import Supervisor
from ftvm.units import Nanoseconds

TICK = Nanoseconds(20_000_000)
PATIENCE_S = 300
COPY = b"echo go; cp /bin/busybox /mnt; sync; dd if=/bin/busybox of=/dev/sdb 2>/dev/null\n"
COMMANDS = (
    b"for m in /modules/*; do insmod $m; done; ls /dev/sd*\n",
    b"mke2fs /dev/sda >/dev/null; mount -t ext2 /dev/sda /mnt && echo mounted\n",
    COPY,
    b"umount /mnt; mount -t ext2 /dev/sda /mnt; cmp /bin/busybox /mnt/busybox && echo same\n",
    b"umount /mnt; sync; poweroff -f\n",
)


def test_linux_keeps_files_on_a_disk_whose_primary_dies(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    if not pytestconfig.getoption("long"):
        pytest.skip("a boot on two replicas: run with --long")
    guests = find_guests()
    initrd = tmp_path / "initrd.gz"
    initrd.write_bytes(guests.initrd_with_disks())
    paths = [tmp_path / "ext2.img", tmp_path / "raw.img"]
    for path in paths:
        with path.open("wb") as file:
            file.truncate(8 * MIB)
    spec = RunSpec(
        image_path=guests.folder / "vmlinuz-686",
        image_name="vmlinuz",
        memory_bytes=LINUX_MEMORY_BYTES,
        append=LINUX_APPEND,
        solo=False,
        crashes=(),
        epoch_s=EPOCH_S,
        initrd_path=initrd,
        disks=tuple(open_image(str(path), "rw", b"r" * 16) for path in paths),
    )
    output, left, killed = bytearray(), list(COMMANDS), False
    give_up = time.monotonic() + PATIENCE_S
    with Supervisor(spec, output.extend) as supervisor:
        supervisor.start()
        while not supervisor.finished:
            assert time.monotonic() < give_up, bytes(output[-2000:])
            supervisor.poll(TICK)
            if left and output.count(PROMPT) > len(COMMANDS) - len(left):
                supervisor.write(left.pop(0))
            primary = supervisor.replica("primary")
            if not killed and b"\ngo\r\n" in output and primary is not None:
                primary.kill()
                killed = True
        report = supervisor.report()
    assert report.end == "halt"
    assert len(report.failovers) == 1
    assert report.divergences == report.contradictions == []
    for said in (b"/dev/sda\r\n", b"/dev/sdb\r\n", b"\nmounted\r\n", b"\nsame\r\n"):
        assert said in output.replace(b"  ", b"\r\n"), bytes(output[-2000:])
    busybox = guests.read("busybox")
    assert paths[1].read_bytes() == busybox.ljust(8 * MIB, b"\0")
    assert paths[0].read_bytes()[1024 + 56 : 1024 + 58] == b"\x53\xef", "ext2's magic"
    assert busybox[:1024] in paths[0].read_bytes()
