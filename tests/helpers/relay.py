"""A recorded run done again in many processes, each going on from the last one's snapshot."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from ftvm.log.recording import Recording
from ftvm.machine import snapshot
from ftvm.machine.machine import Machine

# Goes on from the snapshot in argv[1] with the log in argv[2] to the count argv[3], and leaves
# there what the next one goes on from. With a digest in argv[4], that count is the run's end.
RUNNER = """
import sys
from pathlib import Path
from ftvm.log.recording import Recording, replay
from ftvm.machine import snapshot

state, log, until = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
machine = snapshot.restore(state.read_bytes())
entries = log.read_bytes()
if len(sys.argv) > 4:
    replay(machine, Recording(entries, machine.cpu.log_bases, until, bytes.fromhex(sys.argv[4])))
else:
    machine.replay()
    put = 0
    while machine.count < until:
        put += machine.cpu.log_put(entries[put : put + (1 << 16)])
        if put == len(entries):
            machine.cpu.set_mark(until)
        machine.run(until)
    log.write_bytes(entries[put - machine.cpu.log_pending :])
    state.write_bytes(snapshot.take(machine))
"""


def run_relay(folder: Path, start: Machine, recording: Recording, counts: Iterable[int]) -> None:
    """Do `recording`, which begins at `start`, once more, from each count on in a new process.

    CalledProcessError says that one of them did anything else, or that the last one came to
    another state than the recording.
    """
    state, log = folder / "state", folder / "log"
    state.write_bytes(snapshot.take(start))
    log.write_bytes(recording.log)
    command = [sys.executable, "-P", "-c", RUNNER, str(state), str(log)]
    for count in counts:
        subprocess.run([*command, str(count)], check=True)
    last = [str(recording.end_count), recording.end_digest.hex()]
    subprocess.run([*command, *last], check=True)
