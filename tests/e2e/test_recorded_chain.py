"""A run over several failovers, recorded by each replica from where it joined."""

from dataclasses import replace
from pathlib import Path

from pair_session import TICK, Session, run_spec
from recorded_run import replay_file

from ftvm.log.run_replay import Finding
from ftvm.runtime.supervisor import Supervisor
from ftvm.ui.notices import Notices
from ftvm.ui.recordings import Recordings


def test_each_survivor_has_its_part(guest_images: Path, tmp_path: Path) -> None:
    spec = replace(run_spec(guest_images, "counter"), record=tmp_path / "r")
    recordings = Recordings(spec)
    output = bytearray()
    expected = b"counter: ready\n"
    with Supervisor(spec, output.extend) as supervisor:
        supervisor.start()
        run = Session(supervisor, output)
        for answer in (1, 2, 3):
            while not supervisor.protected or len(supervisor.report().protections) < answer - 1:
                supervisor.poll(TICK)
            supervisor.write(b"i")
            expected += b"%d\n" % answer
            run.until_output(len(expected))
            primary = supervisor.replica("primary")
            assert primary is not None
            if answer < 3:
                primary.kill()
        supervisor.write(b"q")
        report = run.finish()
        recordings.settle(supervisor.replicas, Notices())
    assert bytes(output) == expected
    assert len(report.failovers) == 2

    finding, shown, reader = replay_file(tmp_path / "r")
    assert finding is Finding.EQUAL
    assert reader.begin_count > 0
    assert expected.endswith(shown)
    assert reader.end is not None
    assert reader.end.digest.hex() == report.digest
    # b was killed, but had recorded everything since the boot that anybody saw.
    finding, shown, reader = replay_file(tmp_path / "r.b")
    assert finding is Finding.TORN
    assert reader.begin_count == 0
    assert shown == b"counter: ready\n1\n2\n"


def test_one_failover_leaves_one_file_with_all_of_it(guest_images: Path, tmp_path: Path) -> None:
    spec = replace(run_spec(guest_images, "counter", "primary@output:17"), record=tmp_path / "r")
    recordings = Recordings(spec)
    output = bytearray()
    with Supervisor(spec, output.extend) as supervisor:
        supervisor.start()
        run = Session(supervisor, output)
        supervisor.write(b"i")
        run.until(lambda: supervisor.protected and supervisor.generation == 2)
        supervisor.write(b"iq")
        run.finish()
        recordings.settle(supervisor.replicas, Notices())
    finding, shown, reader = replay_file(tmp_path / "r")
    assert (finding, shown) == (Finding.EQUAL, bytes(output))
    assert reader.header.node == "b"
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
