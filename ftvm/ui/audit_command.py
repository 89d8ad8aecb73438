"""`ftvm audit`: whether a run was right, by what all its sides wrote down."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ftvm.errors import UsageError
from ftvm.ui.notices import Notices
from ftvm.ui.parsers import Subparsers, add_command, input_file

if TYPE_CHECKING:  # slow to load, and not needed to parse
    from ftvm.audit.judge import Verdict

EXIT_VIOLATED = 1

_DESCRIPTION = """\
Judges a run by the journals that its replicas and its console wrote (ftvm run
--journal DIR): that no output left before a backup had all that led to it, that
there was a single primary at any time, that the console had every byte exactly
once, and that no acknowledged input was lost."""

_EPILOG = """\
Give the journals of all sides. A journal that was cut off by its process's
death is as good as another; one that was changed is refused.

exit status:
  0  all rules held         1  a rule was violated; says which, and where
  2  no journals of one run, damaged ones, or some are missing

examples:
  ftvm run guest:counter --journal j --crash primary@output:20
  ftvm audit j/*.journal
  ftvm audit --json j/*.journal | jq .violations"""


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands,
        "audit",
        carry_out,
        "judge a run by its journals",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "journals", metavar="FILE", type=input_file, nargs="+", help="a journal of the run"
    )
    parser.add_argument(
        "--json", action="store_true", help="an object with the judgement and its reasons"
    )


def carry_out(args: argparse.Namespace) -> int:
    """Read the journals and say what they come to."""
    from ftvm.audit.journal import read_journal
    from ftvm.audit.judge import audit
    from ftvm.ui.progress import ProgressBar

    names = list(dict.fromkeys(args.journals))
    journals = []
    for name in names:
        text = _read(name)
        with ProgressBar(f"reading {name}", text.count(b"\n")) as bar:
            journals.append(read_journal(name, text, bar.at))
    verdict = audit(journals)
    if args.json:
        print(json.dumps(_as_object(verdict), indent=2))
    else:
        _tell(verdict)
    if verdict.findings.violations:
        return EXIT_VIOLATED
    for missing in verdict.findings.missing:
        Notices().error(f"cannot judge without {missing}")
    return 0 if verdict.holds else UsageError.exit_status


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from None


def _tell(verdict: "Verdict") -> None:
    from ftvm.audit.findings import Rule

    owners = ", ".join(f"{generation} {node}" for generation, node in verdict.owners.items())
    said = {
        Rule.OUTPUT_RULE: f"{verdict.acknowledged:,} pieces of output behind an acknowledgement,"
        f" {verdict.alone:,} of a primary alone by right",
        Rule.SINGLE_PRIMARY: f"generations {owners}",
        Rule.EXACTLY_ONCE: f"{verdict.released_bytes - verdict.again_bytes:,} bytes,"
        f" {verdict.again_bytes:,} of them sent again and equal",
        Rule.INPUT: f"{verdict.input_bytes:,} bytes acknowledged, none lost",
        Rule.END: "one, or none yet",
    }
    violations, missing = verdict.findings.violations, verdict.findings.missing
    width = max(map(len, Rule)) + 2
    for rule in Rule:
        broken = [violation for violation in violations if violation.rule is rule]
        if broken:
            times = "once" if len(broken) == 1 else f"{len(broken)} times"
            print(f"VIOLATED  {rule:{width}}{times}")
        elif missing:
            print(f"?         {rule}")
        else:
            print(f"ok        {rule:{width}}{said[rule]}")
    for note in verdict.findings.notes:
        print(f"note: {note}")
    for violation in violations:
        print(violation)


def _as_object(verdict: "Verdict") -> dict[str, object]:
    return {
        "holds": verdict.holds,
        "run": verdict.run,
        "owners": {str(generation): node for generation, node in verdict.owners.items()},
        "released_bytes": verdict.released_bytes,
        "again_bytes": verdict.again_bytes,
        "pieces_alone": verdict.alone,
        "pieces_acknowledged": verdict.acknowledged,
        "input_bytes": verdict.input_bytes,
        "consoles": verdict.consoles,
        "violations": [
            {"rule": v.rule, "file": v.file, "line": v.line, "text": v.text}
            for v in verdict.findings.violations
        ],
        "missing": verdict.findings.missing,
        "notes": verdict.findings.notes,
    }
