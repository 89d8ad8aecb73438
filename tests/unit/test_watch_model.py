"""From what replicas say to what is shown of them."""

from dataclasses import replace

from watched_pair import SECOND, Pair, alone, dead, sighting, well

from ftvm.runtime.status import Check
from ftvm.ui.watch.chain import Chain
from ftvm.ui.watch.host_events import events_between
from ftvm.ui.watch.model import PairModel
from ftvm.ui.watch.rates import Rates
from ftvm.ui.watch.sighting import Sighting
from ftvm.ui.watch.timeline import Timeline
from ftvm.units import Nanoseconds


def names(pair: Pair) -> list[str]:
    return [place.sighting.name if place else "" for place in pair.model.places]


def marks(pair: Pair) -> list[str]:
    return [column.mark for column in pair.model.timeline.newest(100) if column.mark]


# --- places and states ---


def test_a_pair_stands_primary_first_and_is_protected() -> None:
    pair = Pair()
    assert pair.model.state == "starting"
    pair.step(*reversed(well()))
    assert names(pair) == ["a", "b"]
    assert pair.model.state == "protected"


def test_a_survivor_stays_where_it_stood_and_the_new_backup_takes_the_place_of_the_dead() -> None:
    pair = Pair()
    pair.step(*well(), times=20)
    killed = dead("a", "primary")
    pair.step(killed, sighting("b", "backup"))
    assert pair.model.state == "deciding"
    pair.step(killed, alone("b", 2), times=20)
    assert (names(pair), pair.model.state) == (["a", "b"], "alone")
    joining = sighting("c", "backup", state="receiving", protection="starting")
    sending = sighting("b", "primary", state="protecting", protection="starting", generation=2)
    pair.step(killed, sending, joining, times=10)
    assert (names(pair), pair.model.state) == (["c", "b"], "protecting")
    b, c = sighting("b", "primary", generation=2), sighting("c", "backup", generation=2)
    pair.step(killed, b, c, times=10)
    assert (names(pair), pair.model.state) == (["c", "b"], "protected")
    assert pair.model.generation == 2
    assert marks(pair) == ["failover", "protected"]


def test_an_old_primary_that_sleeps_is_not_the_primary() -> None:
    pair = Pair()
    pair.step(*well())
    sleeping = sighting("a", "primary", paused=True)
    pair.step(sleeping, sighting("b", "backup"))
    assert pair.model.state == "deciding"
    pair.step(sleeping, alone("b", 2))
    assert pair.model.primary is not None
    assert pair.model.primary.name == "b"
    assert [each.name for each in pair.model.paused] == ["a"]


def test_a_backup_that_differs_counts_no_more() -> None:
    pair = Pair()
    pair.step(*well(), times=15)
    pair.differs = True
    pair.step(*well())
    pair.differs = False
    halted = sighting("b", "backup", state="halted", protection="disabled")
    pair.step(alone("a", 2), halted, times=15)
    assert pair.model.backup is None
    assert pair.model.state == "alone"
    assert [link.number for link in pair.model.chain.differing] == [16]
    assert marks(pair) == ["divergence"]


def test_the_end_is_an_end() -> None:
    pair = Pair()
    pair.step(*well())
    pair.model.ended("exit, status 0", Nanoseconds(2 * SECOND))
    assert pair.model.state == "ended"
    assert pair.model.events[-1].text == "the guest has ended: exit, status 0"


def test_hosts_that_do_not_answer_are_not_taken_for_dead() -> None:
    model = PairModel("", Nanoseconds(0), owned=False)
    away = sighting("h1:1", "standby", alive=False, end="Connection refused", status=None)
    model.see([away], Nanoseconds(SECOND))
    assert model.state == "starting"
    here = sighting("h1:1", "primary")
    model.see([here], Nanoseconds(SECOND))
    model.see([replace(here, alive=False)], Nanoseconds(2 * SECOND))
    assert model.state == "unknown"


# --- figures ---


def test_speed_is_over_the_last_second_and_density_over_ten() -> None:
    rates = Rates()
    for tenth in range(101):
        seen = sighting("a", "primary", instructions=tenth * 1_000_000, log_bytes=tenth * 500)
        assert seen.status is not None
        rates.take(seen.status, Nanoseconds(tenth * SECOND // 10))
    assert rates.instructions_per_s == 10_000_000
    assert rates.log_bytes_per_1000 == 0.5


def test_a_replica_that_stands_has_no_speed_and_keeps_its_density() -> None:
    rates = Rates()
    seen = sighting("a", "primary", instructions=1000, log_bytes=10).status
    assert seen is not None
    assert rates.log_bytes_per_1000 is None
    rates.take(seen, Nanoseconds(1))
    rates.take(seen, Nanoseconds(SECOND))
    assert rates.instructions_per_s == 0
    assert rates.log_bytes_per_1000 == 10


# --- the chain of checks ---


def check(number: int, instruction: int, digest: str, age_ns: int = 0) -> Check:
    return Check(number, instruction, digest, age_ns)


def test_a_check_is_equal_once_both_have_made_it_and_says_how_long_apart() -> None:
    chain = Chain()
    chain.take("a", [check(1, 100, "aa", 5_000_000)], Nanoseconds(SECOND))
    (link,) = chain.newest(5)
    assert link.verdict == "single"
    chain.take("b", [check(1, 100, "aa", 3_000_000)], Nanoseconds(SECOND))
    chain.take("b", [check(1, 100, "aa", 4_000_000)], Nanoseconds(SECOND))
    assert (link.verdict, link.apart_ns, chain.equal) == ("equal", 2_000_000, 1)
    assert chain.take_settled() == [link]
    assert chain.take_settled() == []


def test_a_check_that_differs_is_told_apart() -> None:
    chain = Chain()
    chain.take("a", [check(1, 100, "aa")], Nanoseconds(0))
    chain.take("b", [check(1, 100, "ab")], Nanoseconds(0))
    (link,) = chain.newest(1)
    assert (link.verdict, chain.differing, chain.equal) == ("differ", [link], 0)


def test_a_check_that_died_with_its_primary_is_made_again_elsewhere() -> None:
    chain = Chain()
    chain.take("a", [check(7, 100, "aa")], Nanoseconds(0))
    chain.take("b", [check(7, 90, "bb")], Nanoseconds(0))
    (link,) = chain.newest(1)
    assert (link.instruction, link.verdict) == (90, "single")


def test_the_newest_checks_up_to_one() -> None:
    chain = Chain()
    chain.take("a", [check(n, n * 10, "aa") for n in range(1, 30)], Nanoseconds(0))
    assert [link.number for link in chain.newest(3)] == [27, 28, 29]
    assert [link.number for link in chain.newest(3, upto=10)] == [8, 9, 10]
    assert chain.newest(0) == []


# --- the timeline ---


def test_a_second_is_as_bad_as_its_worst_moment() -> None:
    timeline = Timeline(Nanoseconds(0))
    timeline.note("protected", 5, Nanoseconds(0))
    timeline.note("alone", None, Nanoseconds(SECOND // 2))
    timeline.note("protected", 3, Nanoseconds(SECOND - 1))
    timeline.mark("failover", "protected", Nanoseconds(SECOND - 1))
    timeline.note("protected", None, Nanoseconds(3 * SECOND))
    columns = timeline.newest(10)
    assert [column.state for column in columns] == ["alone", "alone", "alone", "protected"]
    assert (columns[0].mark, columns[0].lag_ns) == ("failover", 5)
    assert len(timeline.newest(2)) == 2


# --- what happens among hosts ---


def told(before: Sighting | None, now: Sighting) -> list[str]:
    return [text for _, text in events_between(before, now)]


def test_hosts_tell_of_failover_loss_and_protection() -> None:
    primary, backup = well()
    assert told(None, primary) == [
        "a is the primary, generation 1",
        "protected: a has its backup ",
    ]
    assert told(backup, backup) == []
    lives = sighting(
        "b", "primary", generation=2, protection="needSecondary", reason="lostConnection"
    )
    failover, lonely = told(backup, lives)
    assert failover == "failover: b is the primary, generation 2, instruction 1,234,567,890"
    assert lonely == "b is alone from instruction 1,234,567,890: its backup is out of reach"
    assert told(lives, sighting("b", "primary", generation=2, peer="c/1")) == [
        "protected: b has its backup c"
    ]


def test_a_host_that_goes_and_comes_back_is_told() -> None:
    primary, _ = well()
    gone = replace(primary, alive=False, end="Connection refused")
    assert told(primary, gone) == ["a is out of reach: Connection refused"]
    assert told(gone, gone) == []
    assert told(gone, primary)[0] == "a answers again, as primary"
