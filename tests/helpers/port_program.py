"""A guest that writes to ports and then leaves."""

from multiboot_image import MIB, Elf, Load, multiboot_header

COM1, COM2, COM3, COM4, DEBUG = 0x3F8, 0x2F8, 0x3E8, 0x2E8, 0xE9


def out_byte(port: int, value: int) -> bytes:
    """Return code for a byte to a port: mov edx, port; mov al, value; out dx, al."""
    return b"\xba" + port.to_bytes(4, "little") + bytes((0xB0, value, 0xEE))


def out_dword(port: int, value: int) -> bytes:
    """Return code for 32 bits to a port."""
    immediate = value.to_bytes(4, "little")
    return b"\xba" + port.to_bytes(4, "little") + b"\xb8" + immediate + b"\xef"


def say(port: int, text: bytes) -> bytes:
    """Return code for a text to a port."""
    return b"".join(out_byte(port, byte) for byte in text)


def program(*code: bytes) -> bytes:
    """Return a Multiboot image that executes `code` and halts for good."""
    text = multiboot_header() + b"".join(code) + b"\xfa\xf4"
    return Elf(loads=[Load(MIB, text, memory_bytes=len(text))]).build()
