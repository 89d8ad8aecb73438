"""A replica's guest memory, changed behind its back."""

IMAGE_AT = 1 << 20
"""Multiboot images are loaded from here on; what has the greeting before that is no guest's."""


def corrupt_guest_memory(pid: int, greeting: bytes, memory_bytes: int) -> None:
    """Set a byte that is zero in each page of the image around its greeting that has some."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        for line in maps:
            start, end = (int(edge, 16) for edge in line.split()[0].split("-"))
            named = len(line.split()) > 5  # as the process's own heap is
            if line.split()[1] != "rw-p" or named or end - start < memory_bytes:
                continue
            memory.seek(start)
            found = memory.read(end - start).find(greeting, IMAGE_AT)
            middle = start + (found & ~4095)
            for page in range(middle - 8 * 4096, middle + 16 * 4096, 4096) if found > 0 else ():
                memory.seek(page)
                content = memory.read(4096)
                at = content.find(bytes(64))
                if any(content) and at >= 0:
                    memory.seek(page + at + 32)
                    memory.write(b"\x01")
