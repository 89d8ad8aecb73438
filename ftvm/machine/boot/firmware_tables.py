"""The tables by which kernels find processor, APICs, power and reset without a BIOS.

    0x000f0000  _MP_       floating pointer (MultiProcessor Specification 1.4, §4.1)
    0x000f0010  PCMP       configuration table (§4.2, 4.3)
    0x000f1000  RSD PTR    (ACPI specification 1.0b, §5.2.4)
    0x000f1040  RSDT       (§5.2.6)   --> FACP, APIC
    0x000f1080  FACP       (§5.2.5)   --> FACS, DSDT; ports of power_management.py
    0x000f1100  APIC       (§5.2.8)   the same as PCMP
    0x000f1180  DSDT       (§5.2.7.1) \\_S5_: how to switch off
    0x000f11c0  FACS       (§5.2.9)

Both say what interrupts.py wires: line n of the ISA bus is pin n of the I/O
APIC, but line 0 pin 2; the 8259A's output is LINT0.
"""

import struct

from ftvm.machine.boot.memory_map import BIOS_START
from ftvm.machine.devices import io_apic, local_apic
from ftvm.machine.devices.power_management import BASE, SCI_LINE, SLEEP_TYPE_OFF
from ftvm.units import GuestPhysical

_LOCAL_APIC_ADDRESS = local_apic.PAGE << 12
_IO_APIC_ADDRESS = io_apic.PAGE << 12
_IO_APIC_ID = 1
_OEM, _TABLE = b"FTVM  ", b"FTVMPC  "
_CREATOR, _REVISION = b"FTVM", 1
_PROCESSOR_SIGNATURE, _PROCESSOR_FEATURES = 0x663, 0x0781ABFD  # CPUID leaf 1
_ISA_BUS = 0
_LINES = range(16)
_CASCADE, _TIMER, _TIMER_PIN = 2, 0, 2
_VECTORED, _NMI, _EXTERNAL = 0, 1, 3  # MP specification, table 4-11

_MP_AT = BIOS_START
_ACPI_AT = BIOS_START + 0x1000
_RSDT_AT, _FACP_AT, _MADT_AT = _ACPI_AT + 0x40, _ACPI_AT + 0x80, _ACPI_AT + 0x100
_DSDT_AT, _FACS_AT = _ACPI_AT + 0x180, _ACPI_AT + 0x1C0


def _sealed(table: bytes, at: int) -> bytes:
    """Return the table with the byte `at` such that all of them add up to 0."""
    return table[:at] + bytes((-sum(table) & 0xFF,)) + table[at + 1 :]


def _pin_of(line: int) -> int:
    return _TIMER_PIN if line == _TIMER else line


def mp_table() -> bytes:
    """Return floating pointer and configuration table, one behind the other."""
    pointer = struct.pack("<4sIBBB5B", b"_MP_", _MP_AT + 16, 1, 4, 0, 0, 0, 0, 0, 0)
    entries = [
        struct.pack(
            "<4B2I8x",
            *(0, local_apic.APIC_ID, local_apic.VERSION & 0xFF, 3),  # enabled, boots
            *(_PROCESSOR_SIGNATURE, _PROCESSOR_FEATURES),
        ),
        struct.pack("<BB6s", 1, _ISA_BUS, b"ISA   "),
        struct.pack("<4BI", 2, _IO_APIC_ID, io_apic.VERSION, 1, _IO_APIC_ADDRESS),
    ]
    for line in _LINES:
        if line != _CASCADE:
            entry = (3, _VECTORED, 0, _ISA_BUS, line, _IO_APIC_ID, _pin_of(line))
            entries.append(struct.pack("<BBHBBBB", *entry))
    for kind, pin in ((_EXTERNAL, 0), (_NMI, 1)):
        entries.append(struct.pack("<BBHBBBB", 4, kind, 0, _ISA_BUS, 0, 0xFF, pin))
    body = b"".join(entries)
    header = struct.pack(
        "<4sHBB8s12sIHHIHBx",
        *(b"PCMP", 44 + len(body), 4, 0, b"FTVM    ", b"PC          ", 0, 0, len(entries)),
        *(_LOCAL_APIC_ADDRESS, 0, 0),
    )
    return _sealed(pointer, 10) + _sealed(header + body, 7)


def _description(signature: bytes, revision: int, body: bytes) -> bytes:
    """Return a system description table: the common header (ACPI 1.0b, §5.2.3) and its body."""
    header = struct.pack(
        "<4sIBB6s8sI4sI",
        *(signature, 36 + len(body), revision, 0, _OEM, _TABLE, _REVISION, _CREATOR, _REVISION),
    )
    return _sealed(header + body, 9)


def _facp() -> bytes:
    """The fixed ACPI description table: ports; no SMI, so ACPI is always on."""
    return _description(
        b"FACP",
        1,
        struct.pack(
            "<IIBxHIBBBBIIIIIIII4B2BxBHHHHBBBBBxxxI",
            *(_FACS_AT, _DSDT_AT, 0, SCI_LINE, 0, 0, 0, 0, 0),
            *(BASE, 0, BASE + 4, 0, 0, BASE + 8, 0, 0),  # PM1a, control, timer
            *(4, 2, 0, 4, 0, 0, 0),  # their lengths
            *(0xFFFF, 0xFFFF, 0, 0, 0, 0, 0, 0, 0x32),  # no C2, C3; century in CMOS 32h
            1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 8,  # WBINVD, C1, no buttons, 32-bit timer
        ),
    )


def _madt() -> bytes:
    """The multiple APIC description table."""
    entries = struct.pack("<4BI", 0, 8, 0, local_apic.APIC_ID, 1)
    entries += struct.pack("<4BII", 1, 12, _IO_APIC_ID, 0, _IO_APIC_ADDRESS, 0)
    entries += struct.pack("<4BIH", 2, 10, _ISA_BUS, _TIMER, _TIMER_PIN, 0)
    level_active_high = 0b1101  # §5.2.8.3.1
    entries += struct.pack("<4BIH", 2, 10, _ISA_BUS, SCI_LINE, SCI_LINE, level_active_high)
    has_8259 = 1
    return _description(b"APIC", 1, struct.pack("<II", _LOCAL_APIC_ADDRESS, has_8259) + entries)


def _dsdt() -> bytes:
    """Name (\\_S5_, Package () {5, 5, 0, 0}), in AML (ACPI 1.0b, chapter 16)."""
    name_op, package_op, byte_prefix = 0x08, 0x12, 0x0A
    sleep = bytes((byte_prefix, SLEEP_TYPE_OFF)) * 2
    package = bytes((package_op, 8, 4)) + sleep + bytes(2)
    return _description(b"DSDT", 1, bytes((name_op,)) + b"_S5_" + package)


def acpi_tables() -> bytes:
    """Return all ACPI tables, from the root pointer on."""
    root = struct.pack("<8sB6sBI", b"RSD PTR ", 0, _OEM, 0, _RSDT_AT)
    facs = struct.pack("<4sI56x", b"FACS", 64)
    places = (
        (_ACPI_AT, _sealed(root, 8)),
        (_RSDT_AT, _description(b"RSDT", 1, struct.pack("<II", _FACP_AT, _MADT_AT))),
        (_FACP_AT, _facp()),
        (_MADT_AT, _madt()),
        (_DSDT_AT, _dsdt()),
        (_FACS_AT, facs),
    )
    tables = bytearray(_FACS_AT + len(facs) - _ACPI_AT)
    for address, table in places:
        tables[address - _ACPI_AT : address - _ACPI_AT + len(table)] = table
    return bytes(tables)


def firmware_segments() -> tuple[tuple[GuestPhysical, bytes], ...]:
    """Return what firmware would have left in memory, as segments of a boot plan."""
    return (
        (GuestPhysical(_MP_AT), mp_table()),
        (GuestPhysical(_ACPI_AT), acpi_tables()),
    )
