"""`ftvm doctor`: whether this machine can do everything, and what to install."""

import argparse
import dataclasses
import json

from ftvm.ui.parsers import Subparsers, add_command

_DESCRIPTION = """\
Tries on this machine what ftvm takes: the CPU engine and its seams, processors,
memory, clock, randomness, the file system of its stores, sockets, the terminal,
and the programs that some tests and benchmarks compare with. Says of each what
is missing, and the command that brings it."""

_EPILOG = """\
Each line is ok; lacking, if something is slower or left out and the rest works;
or FAILED, if guests cannot be run here.

Exit status: 0 if guests can be run here, whatever is lacking; 1 if not.

examples:
  ftvm doctor
  ftvm doctor --json | jq -r '.findings[] | select(.grade != "ok") | .remedy'"""


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands,
        "doctor",
        carry_out,
        "tell whether this machine can do everything",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def carry_out(args: argparse.Namespace) -> int:
    """Make the checks and tell of them."""
    from ftvm.ui.checkup import Grade, examine
    from ftvm.ui.notices import wants_colour

    colours = {Grade.OK: "32", Grade.LACKING: "33", Grade.FAILED: "1;31"}
    colour = wants_colour(1)
    findings = []
    for finding in examine():
        findings.append(finding)
        if args.json:
            continue
        grade = finding.grade.upper() if finding.grade is Grade.FAILED else finding.grade
        mark = f"{grade:8}"
        if colour:
            mark = f"\x1b[{colours[finding.grade]}m{mark}\x1b[0m"
        print(f"{mark}  {finding.name:11}{finding.detail}", flush=True)
        if finding.remedy:
            print(f"{'':21}{finding.remedy}", flush=True)
    grades = [finding.grade for finding in findings]
    works = Grade.FAILED not in grades
    if args.json:
        told = {"works": works, "findings": [dataclasses.asdict(one) for one in findings]}
        print(json.dumps(told, indent=2))
    else:
        lacking = grades.count(Grade.LACKING)
        rest = f"; {lacking} thing{'' if lacking == 1 else 's'} lacking" if lacking else ""
        print(f"\nguests can{'' if works else 'not'} be run here{rest}")
    return 0 if works else 1
