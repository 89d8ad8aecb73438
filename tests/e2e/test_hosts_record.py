"""`--record` of every command that runs a guest; hosts have the guest from where they have it."""

import json
import os
import signal
import subprocess
from pathlib import Path

from etcd_server import free_port
from ftvm_command import COMMAND, FtvmCommand
from hosts import Cluster, ServingHost
from recorded_run import replay_file

from ftvm.log.run_replay import Finding


def test_each_host_records_the_guest_from_where_it_has_it(
    cluster: Cluster, guest_images: Path, tmp_path: Path
) -> None:
    a, b = places = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    counter = guest_images / "counter.elf"
    first = cluster.serve(a, counter, "--append", "text", "--record", "first.run")
    client = cluster.console(*places)
    client.type(3)
    client.answered()
    second = cluster.join(b, *places, options=["--record", "second.run"])
    second.see_backup()
    client.type(3)
    client.answered()
    first.kill()
    client.type(3)
    client.answered()
    client.leave()
    assert second.end() == 0

    finding, shown, told = replay_file(tmp_path / "first.run")
    assert finding is Finding.TORN
    assert client.expected.startswith(shown)
    assert (told.begin_count, told.header.image_name) == (0, "counter.elf")

    finding, shown, joined = replay_file(tmp_path / "second.run")
    assert finding is Finding.EQUAL
    assert client.expected.endswith(shown)
    assert b"9\n" in shown
    assert joined.begin_count > 0
    # All of what was loaded is in the hash, and it goes with the machine.
    assert joined.header.image_hash == told.header.image_hash != bytes(32)
    assert joined.header.run == told.header.run


def test_a_host_that_never_had_a_guest_leaves_no_recording(tmp_path: Path) -> None:
    a, b = (f"127.0.0.1:{free_port()}" for _ in range(2))
    options = ["--join", b, "--store", str(tmp_path / "store"), "--record", "r"]
    host = ServingHost(a, options, tmp_path / "log", {**os.environ})
    host.see("waiting")
    assert (tmp_path / "r").exists()
    host.signal(signal.SIGTERM)
    assert host.end() == 0
    assert not (tmp_path / "r").exists()


def test_no_place_for_a_hosts_recording_is_told_at_once(tmp_path: Path) -> None:
    serve = [*COMMAND, "serve", "guest:hello", "--listen", f"127.0.0.1:{free_port()}"]
    options = ["--store", str(tmp_path / "store"), "--record", "no/such"]
    done = subprocess.run([*serve, *options], capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line == "ftvm: cannot write the recording no/such: No such file or directory"


def test_the_demo_is_recorded(ftvm: FtvmCommand) -> None:
    done = ftvm("demo", "--seed", "1", "--record", "demo.run", "--json")
    assert done.status == 0
    replayed = ftvm("replay", "demo.run")
    assert replayed.status == 0
    assert replayed.out.count(b"\n") == 1002


def test_what_the_live_guest_does_behind_a_replay_is_recorded(ftvm: FtvmCommand) -> None:
    assert ftvm("record", "guest:counter", "-o", "r", typed=b"iiirq").status == 0
    half = json.loads(ftvm("replay", "r", "--json").out)["instruction"] // 2
    live = ("replay", "r", "--until", str(half), "--go-live", "--record")
    done = ftvm(*live, "other", typed=b"irq")
    assert (done.status, done.out) == (0, b"counter: ready\n1\n1\n")
    again = ftvm("replay", "other")
    assert again.status == 0
    assert again.out.endswith(b"1\n1\n")
    assert done.out.endswith(again.out)
    assert "name another file" in ftvm(*live, "r").err
    assert "give --go-live" in ftvm("replay", "r", "--record", "other").err


def test_everything_that_was_loaded_is_in_the_hash(ftvm: FtvmCommand) -> None:
    def image_hash(*arguments: str) -> str:
        assert ftvm("record", "guest:hello", "-o", "r", *arguments).status == 0
        told: str = json.loads(ftvm("inspect", "r", "--json").out)["image_hash"]
        return told

    module = ftvm.home / "module"
    module.write_bytes(b"one")
    hashes = [image_hash(), image_hash("--append", "x"), image_hash("--module", "module text")]
    module.write_bytes(b"two")
    hashes.append(image_hash("--module", "module text"))
    assert len(set(hashes)) == 4
    assert image_hash() == hashes[0]
