"""Code behind the real-mode interrupt vectors: it says that there is no BIOS.

A guest that asks a BIOS for something would else jump to address 0, and be lost without a
word. It is told on COM1 and on the text screen what it has called, and ended with STATUS.
Interrupts of devices are acknowledged, as by the BIOS of an IBM PC AT (Technical Reference,
"ROM BIOS": vectors 8h to 0fh and 70h to 77h).

    0x00000  256 vectors
    0xfe000  the code below; its texts at 0xfe100 and 0xfe180
"""

from ftvm.units import GuestPhysical

STATUS = 2
_SEGMENT, _CODE = 0xF000, 0xE000
_NO_BIOS, _NOBODY = 0x100, 0x180
_AT = (_SEGMENT << 4) + _CODE

_TEXTS = {
    _NO_BIOS: b"int 00h: this machine has no BIOS, which the guest calls\r\n\0",
    _NOBODY: b"an exception in real mode, and the guest has no handler for it\r\n\0",
}

# A software interrupt. Its number is the byte before the address on the stack; both of its
# digits go into the text, two in hexadecimal.
_SERVICE = bytes.fromhex(
    "89e5 8b5e00 8e5e02"  # mov bp, sp; mov bx, [bp]; mov ds, [bp+2]
    "8a47ff d410 86c4"  # mov al, [bx-1]; aam 16; xchg al, ah
    "0e 1f bf04e1"  # push cs; pop ds; mov di, text + 4
    "e80a00 88e0 e80500"  # call digit; mov al, ah; call digit
    "be00e1 eb0e"  # mov si, text; jmp say
)
# digit: cmp al, 10; sbb al, 69h; das; mov [di], al; inc di; ret
_DIGIT = bytes.fromhex("3c0a 1c69 2f 8805 47 c3")
# An exception: push cs; pop ds; mov si, text
_EXCEPTION = bytes.fromhex("0e 1f be80e1")
# say: the text at SI to COM1, which gets eight bits a byte, and to the screen; then the debug
# exit, and should somebody replay it without one, a halt.
_SAY = bytes.fromhex(
    "fc bafb03 b003 ee baf803"  # cld; mov dx, 3fbh; mov al, 3; out dx, al; mov dx, 3f8h
    "b800b8 8ec0 31ff"  # mov ax, b800h; mov es, ax; xor di, di
    "ac 84c0 740a ee"  # next: lodsb; test al, al; jz leave; out dx, al
    "3c20 72f6 b44f ab ebf1"  # cmp al, " "; jb next; mov ah, 4fh; stosw; jmp next
    "b002 e6f4 fa f4 ebfc"  # leave: mov al, STATUS; out f4h, al; cli; hlt; jmp -3
)
# A device's interrupt, at the second controller: push ax; mov al, 20h; out a0h, al; jmp +3
_SECOND = bytes.fromhex("50 b020 e6a0 eb03")
# At the first: push ax; mov al, 20h; out 20h, al; pop ax; iret
_FIRST = bytes.fromhex("50 b020 e620 58 cf")

_PARTS = (_SERVICE, _DIGIT, _EXCEPTION, _SAY, _SECOND, _FIRST)


def _place(part: bytes) -> int:
    """Return where in the segment a part of the code begins."""
    return _CODE + sum(map(len, _PARTS[: _PARTS.index(part)]))


def _handler(vector: int) -> int:
    if vector < 8:
        return _place(_EXCEPTION)
    if vector < 0x10:
        return _place(_FIRST)
    return _place(_SECOND if 0x70 <= vector < 0x78 else _SERVICE)


def bios_stub() -> tuple[tuple[GuestPhysical, bytes], ...]:
    """Return vectors, code and texts."""
    vectors = b"".join(
        part.to_bytes(2, "little") for vector in range(256) for part in (_handler(vector), _SEGMENT)
    )
    return (
        (GuestPhysical(0), vectors),
        (GuestPhysical(_AT), b"".join(_PARTS)),
        *((GuestPhysical(_AT + offset), text) for offset, text in _TEXTS.items()),
    )
