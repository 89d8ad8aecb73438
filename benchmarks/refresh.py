"""Measure this machine and write table and plots into the project's README."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from ftvm.bench.session import Document, read_document
from ftvm.bench.tables import Speeds, markdown, readme_tables
from ftvm.errors import FtvmError

ROOT = Path(__file__).resolve().parent.parent
FIGURES = Path("benchmarks") / "measured.json"
PLOTS = Path("benchmarks") / "plots"
BEGIN, END = "<!-- bench: begin -->\n", "<!-- bench: end -->\n"
BEFORE = "## How it works\n"
"""What the section is put before where there is none yet."""


def main() -> int:
    """Measure unless told to keep the figures, draw, and write the README anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", metavar="WHAT", nargs="*", help="as for ftvm bench (all)")
    parser.add_argument("--keep", action="store_true", help="measure nothing, write again")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    ftvm = [sys.executable, "-P", "-m", "ftvm", "bench", "--plots", str(PLOTS)]
    source = ["--show"] if arguments.keep else [*arguments.what, "-o"]
    status = subprocess.run([*ftvm, *source, str(FIGURES)], check=False).returncode
    if status not in (0, FtvmError.exit_status):  # the latter: some figures are missing
        return status
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    if BEGIN not in text:
        text = text.replace(BEFORE, BEGIN + END + "\n" + BEFORE)
    before, _, rest = text.partition(BEGIN)
    _, _, behind = rest.partition(END)
    new = section(read_document(FIGURES))
    readme.write_text(before + BEGIN + new + END + behind, encoding="utf-8")
    return status


def section(document: Document) -> str:
    """Return what the README says between its marks."""
    host = document.host
    parts = [
        "## How fast\n",
        f"On {host.cpu}, {host.cpus} CPUs ({host.system}; "
        + ", ".join(f"{name} {version}" for name, version in host.versions.items())
        + f"), by `{document.command}` in "
        f"{document.wall_s / 60:.0f} minutes; medians of wall-clock speed, "
        f"load {document.load_before:.1f} at the start. `counted` is `ftvm run --solo`, `pair` is "
        "`ftvm run`; [benchmarks/README.md](benchmarks/README.md) has the others, and how all "
        "this is measured; `python benchmarks/refresh.py` measures again and writes it here.\n",
        *(f"**{table.title}**\n\n{markdown(table)}" for table in readme_tables(document)),
        *(f"Missing: {name} ({why}).\n" for name, why in document.failed.items()),
    ]
    if Speeds(document, "wall").rows:
        parts.append(f"![Speed of every rival in every work]({PLOTS}/speed.svg)\n")
    if any(m.section.startswith("scaling") for m in document.measurements):
        parts.append(f"![What the cost grows with]({PLOTS}/scaling.svg)\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
