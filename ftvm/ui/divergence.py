"""Why a backup was not equal to its primary: finds it out, and writes it down.

`python -m ftvm.ui.divergence DIRECTORY` does so beside a pair that goes on.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from ftvm.errors import EXIT_INTERRUPTED, FtvmError, HostError
from ftvm.runtime.evidence import BACKUP_RUN, PRIMARY_RUN
from ftvm.ui.diff_report import print_report
from ftvm.ui.difference import Difference, find_difference
from ftvm.ui.recorded import open_run

REPORT, REPORT_JSON = "report.txt", "report.json"
_NICE = 10


def explain(directory: Path) -> str:
    """Compare what a backup has left, write the reports beside it, and return a line."""
    primary, backup = directory / PRIMARY_RUN, directory / BACKUP_RUN
    with open_run(str(primary), "the primary") as a, open_run(str(backup), "the backup") as b:
        found = find_difference(a, b)
        replicas = f"primary {a.header.node or 'unknown'}, backup {b.header.node}"
        heading = f"{a.header.image_name or 'a guest'}, run {a.header.run.hex()}: {replicas}"
    try:
        with (directory / REPORT).open("w", encoding="utf-8") as file:
            print(heading, end="\n\n", file=file)
            print_report(found, file)
            print(f"\nonce more, from here: ftvm diff {PRIMARY_RUN} {BACKUP_RUN}", file=file)
        (directory / REPORT_JSON).write_text(json.dumps(asdict(found), indent=2) + "\n")
    except OSError as error:
        raise HostError(f"cannot write {error.filename or directory}: {error.strerror}") from None
    return f"{_in_a_line(found)}; see {directory / REPORT}"


def _in_a_line(found: Difference) -> str:
    if found.verdict == "equal":
        return "done again, the replicas do not differ"
    if found.verdict == "ended":
        return f"done again, both are equal up to instruction {found.equal:,}: {found.detail}"
    parts = [f"{name} {a:#x} for {b:#x}" for name, a, b in found.registers if a != b][:1]
    if found.memory:
        bytes_ = "byte" if found.memory_bytes == 1 else "bytes"
        parts.append(f"{found.memory_bytes:,} {bytes_} of memory, at {found.memory[0][0]:#x}")
    if found.devices:
        parts.append(found.devices[0][0])
    what = ", ".join(parts) or "nothing that is shown"
    if found.verdict == "memory changed":
        return f"the backup's log does not make it differ, something else did: {what}"
    code = ""
    if found.instruction is not None:
        address, text = found.instruction
        code = f", {address:08x} {text}"
    return f"they part at instruction {found.different:,}{code}: {what}"


def main(arguments: list[str]) -> int:
    """Explain what is in the directory named; print the line."""
    os.nice(_NICE)  # the pair's guest goes first
    try:
        sys.stdout.write(f"{explain(Path(arguments[1]))}\n")  # at once: who reads, reads once
    except FtvmError as error:
        print(error)
        return error.exit_status
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
