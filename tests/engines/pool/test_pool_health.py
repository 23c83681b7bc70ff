from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaygen.engines.pool import PoolOptions, ReplicaState
from relaygen.engines.pool.health import Health
from relaygen.engines.simulated import Fault
from relaygen.errors import EngineError, EngineUnavailableError, InvalidRequestError
from tests.engines.pool.pools import END, SCRIPT, Pool, leg, write, write_on
from tests.engines.pool.virtual import now, run

UP, EJECTED = ReplicaState.UP, ReplicaState.EJECTED
HALF_OPEN, DOWN = ReplicaState.HALF_OPEN, ReplicaState.DOWN
WHOLE = (*SCRIPT, END)
OPTIONS = PoolOptions(eject_after=3, ejected_s=1.0, max_ejected_s=10.0, down_after=2)


def fail(health: Health, at: float, times: int = 1) -> None:
    for _ in range(times):
        assert health.may_try(at, all_down=False)
        health.failed(at, trial=health.begin())


def succeed(health: Health, at: float) -> None:
    assert health.may_try(at, all_down=False)
    trial = health.begin()
    if trial:
        health.trial_passed()
    health.ended(well=True, trial=False)


def test_failures_in_a_row_eject_and_a_success_begins_a_new_row() -> None:
    health = Health(OPTIONS)
    fail(health, 0, times=2)
    succeed(health, 0)
    fail(health, 0, times=2)
    assert health.state is UP
    fail(health, 0)
    assert health.state is EJECTED
    assert not health.may_try(0.9, all_down=False)


def test_time_out_doubles_with_every_failed_trial_up_to_a_limit() -> None:
    health, at, outs = Health(OPTIONS), 0.0, []
    fail(health, at, times=3)
    for _ in range(6):
        outs.append(health.until - at)
        at = health.until
        fail(health, at)
        assert health.state is EJECTED
    assert outs == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    succeed(health, health.until)
    assert health.state is UP
    fail(health, 1000.0, times=3)
    assert health.until == 1001.0


def test_one_leg_at_a_time_tries_a_replica_that_was_out() -> None:
    health = Health(OPTIONS)
    fail(health, 0, times=3)
    assert health.may_try(1.0, all_down=False)
    trial = health.begin()
    assert trial
    assert health.state is HALF_OPEN
    assert not health.may_try(1.0, all_down=False)
    health.failed(1.0, trial=False)  # a leg from before, which tells nothing new
    assert health.state is HALF_OPEN
    health.ended(well=False, trial=True)  # nobody wanted it any more
    assert health.may_try(1.0, all_down=False)
    succeed(health, 1.0)
    assert health.state is UP


def test_many_legs_that_broke_at_once_count_once() -> None:
    health = Health(OPTIONS)
    for _ in range(50):
        health.failed(0.0, trial=False)
    assert health.ejections == 1
    assert health.until == 1.0


def test_failed_checks_take_out_and_one_that_passes_lets_a_leg_try() -> None:
    health = Health(OPTIONS)
    health.checked(0.0, well=False)
    assert health.state is UP
    health.checked(5.0, well=False)
    assert health.state is DOWN
    assert not health.may_try(100.0, all_down=False)
    assert health.may_try(100.0, all_down=True)
    health.checked(10.0, well=True)
    assert health.state is HALF_OPEN
    succeed(health, 10.0)
    assert health.state is UP


def test_a_check_that_passes_does_not_shorten_an_ejection() -> None:
    health = Health(OPTIONS)
    fail(health, 0, times=3)
    health.checked(0.5, well=True)
    assert health.state is EJECTED


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.sampled_from(["ok", "fail", "quit", "check", "nocheck"]), st.floats(0, 20)),
        max_size=60,
    )
)
def test_whatever_happened_a_replica_that_works_again_comes_back(
    events: list[tuple[str, float]],
) -> None:
    health, at = Health(OPTIONS), 0.0
    for what, later in events:
        at += later
        if what in ("check", "nocheck"):
            health.checked(at, well=what == "check")
        elif health.may_try(at, all_down=health.state is DOWN):
            trial = health.begin()
            if what == "fail":
                health.failed(at, trial=trial)
            else:
                if what == "ok" and trial:
                    health.trial_passed()
                    trial = False
                health.ended(well=what == "ok", trial=trial)
    at += OPTIONS.max_ejected_s
    health.checked(at, well=True)
    succeed(health, at)
    assert health.state is UP


def test_a_replica_that_cannot_be_reached_is_out_until_it_comes_back() -> None:
    async def scene() -> None:
        pool = Pool("AB", eject_after=3, ejected_s=1.0)
        pool["A"].alive = False
        for i in range(20):
            assert await write(pool, leg((), 1, str(i))) == (1,)
        assert pool.states == {"A": "EJECTED", "B": "UP"}
        assert len(pool["A"].legs) == 3
        pool["A"].alive = True
        await asyncio.sleep(1.0)
        for i in range(20, 40):
            await write(pool, leg((), 1, str(i)))
        assert pool.states == {"A": "UP", "B": "UP"}
        [a, b] = pool.engine.counts().replicas
        assert dict(a.failures) == {"unavailable": 3}
        assert a.last_error == "A cannot be reached"
        assert (a.ejections, b.ejections) == (1, 0)

    run(scene())


def test_a_leg_waits_for_a_pool_that_comes_back() -> None:
    async def scene() -> None:
        pool = Pool("AB", wait_s=30.0)
        for replica in pool.replicas.values():
            replica.alive = False
        task = asyncio.create_task(write_on(pool))
        await asyncio.sleep(12.0)
        assert pool.engine.load().usable == 0
        assert pool.engine.is_busy(1000)
        pool["B"].alive = True
        assert await task == (*range(1, 41), 0)
        assert now() < 30.0
        assert not pool.engine.is_busy(0)

    run(scene())


def test_a_leg_waits_less_for_a_pool_that_is_gone_than_for_one_that_is_busy() -> None:
    async def scene() -> None:
        pool = Pool("AB", concurrency=1, wait_s=30.0, gone_s=2.0)
        tasks = [asyncio.create_task(write(pool, leg((), 40, str(i)))) for i in range(14)]
        await asyncio.sleep(0)
        assert await write(pool, leg((), 1, "waits")) == (1,)
        assert now() > 2.0
        await asyncio.gather(*tasks)
        for replica in pool.replicas.values():
            replica.alive = False
        began = now()
        with pytest.raises(EngineUnavailableError, match="no replica"):
            await write_on(pool)
        assert 2.0 < now() - began < 3.0

    run(scene())


def test_those_who_wait_for_a_trial_go_on_at_its_first_token() -> None:
    async def scene() -> None:
        pool = Pool("A")
        pool["A"].alive = False
        tasks = [asyncio.create_task(write(pool, leg((), 40, str(i)))) for i in range(9)]
        await asyncio.sleep(2.5)
        pool["A"].alive = True
        first = asyncio.create_task(asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED))
        await first
        began = now()
        await asyncio.gather(*tasks)
        assert now() - began < 0.1

    run(scene())


def test_a_pool_that_stays_away_is_given_up_in_time() -> None:
    async def scene() -> None:
        pool = Pool("AB", wait_s=30.0)
        for replica in pool.replicas.values():
            replica.alive = False
        with pytest.raises(EngineUnavailableError) as raised:
            await write(pool, leg())
        assert not raised.value.retryable
        assert 29.0 < now() < 32.0
        assert pool.engine.counts().gave_up == 1
        assert sum(len(r.legs) for r in pool.replicas.values()) < 20

    run(scene())


def test_a_leg_that_breaks_replicas_is_given_up_before_it_breaks_them_all() -> None:
    async def scene() -> None:
        names = "ABCDEFGH"
        pool = Pool(names, faults=dict.fromkeys(names, Fault(kind="fail")), attempts=3)
        with pytest.raises(EngineError, match="3 times") as raised:
            await write(pool, leg())
        assert not raised.value.retryable
        assert len(pool.users("g")) == 3

    run(scene())


def test_checks_find_what_no_leg_has_met_yet() -> None:
    async def scene() -> None:
        pool = Pool("AB", probes=True, health_interval_s=5.0, down_after=2)
        pool.engine.start_checks()
        pool["A"].well = False
        await asyncio.sleep(15.0)
        assert pool.states == {"A": "DOWN", "B": "UP"}
        for i in range(10):
            await write(pool, leg((), 1, str(i)))
        assert not pool["A"].legs
        pool["A"].well = True
        await asyncio.sleep(7.0)
        assert pool.states["A"] == "HALF_OPEN"
        for i in range(10, 20):
            await write(pool, leg((), 1, str(i)))
        assert pool.states["A"] == "UP"
        a = pool.engine.counts().replicas[0]
        assert 2 <= a.failed_checks < a.checks
        assert a.last_error == "check: A does not answer"
        await pool.engine.aclose()

    run(scene())


def test_a_probe_that_hangs_has_failed() -> None:
    async def scene() -> None:
        pool = Pool("A", probes=True, health_interval_s=5.0, down_after=1)
        pool.engine._members[0].probe = asyncio.Event().wait  # type: ignore[assignment]
        pool.engine.start_checks()
        await asyncio.sleep(6.0)
        assert pool.states == {"A": "DOWN"}
        await pool.engine.aclose()

    run(scene())


def test_checks_that_fail_for_a_reason_of_their_own_do_not_take_a_pool_away() -> None:
    async def scene() -> None:
        pool = Pool("AB", probes=True)
        for replica in pool.replicas.values():
            replica.well = False
        pool.engine.start_checks()
        await asyncio.sleep(60.0)
        assert set(pool.states.values()) == {"DOWN"}
        texts = await asyncio.gather(*(write(pool, leg((), 40, str(i))) for i in range(8)))
        assert set(texts) == {tuple(range(1, 41))}
        await pool.engine.aclose()

    run(scene())


def test_a_replica_that_is_unproven_gets_no_leg_before_its_check_passed() -> None:
    async def scene() -> None:
        pool = Pool("AB", probes=True, unproven="B", wait_s=20, health_interval_s=5)
        pool["B"].well = pool["A"].alive = False
        for n in range(3):  # not even where all others are gone
            with pytest.raises(EngineUnavailableError):
                await write(pool, leg(generation_id=f"{n}#x"))
        assert pool.states == {"A": "DOWN", "B": "DOWN"}
        assert len(pool["A"].legs) > 3
        assert pool["B"].legs == []
        pool["B"].well = True
        assert await write(pool, leg()) == WHOLE
        assert pool.states == {"A": "DOWN", "B": "UP"}

    run(scene())


def test_an_unproven_replica_has_a_probe() -> None:
    with pytest.raises(InvalidRequestError, match="'B' is unproven and has no probe"):
        Pool("AB", unproven="B")


def test_a_leg_that_begins_waits_less_for_a_pool_that_is_gone() -> None:
    async def scene() -> None:
        pool = Pool("AB", wait_s=30, begin_gone_s=5)
        pool["A"].alive = pool["B"].alive = False
        waited = []
        for written in ((), SCRIPT[:5]):
            began = now()
            with pytest.raises(EngineUnavailableError, match=r"for (\d+)") as raised:
                await write(pool, leg(written))
            assert not raised.value.retryable
            waited.append(now() - began)
        assert waited == [pytest.approx(5, abs=1), pytest.approx(30, abs=1)]

    run(scene())


def test_a_leg_that_waits_for_a_busy_pool_waits_less_once_that_is_gone() -> None:
    async def scene() -> None:
        pool = Pool("A", concurrency=1, wait_s=30, begin_gone_s=5, eject_after=1, ejected_s=60)
        writing = asyncio.create_task(write(pool, leg(generation_id="0#x")))
        waiting = asyncio.create_task(write(pool, leg(generation_id="1#x")))
        going_on = asyncio.create_task(write(pool, leg(SCRIPT[:5], generation_id="2#x")))
        await asyncio.sleep(0.1)
        pool["A"].alive = False
        with pytest.raises(EngineError):
            await writing
        began = now()
        with pytest.raises(EngineUnavailableError):
            await waiting
        assert now() - began == pytest.approx(5, abs=1)
        with pytest.raises(EngineUnavailableError):
            await going_on
        assert now() == pytest.approx(30, abs=1)

    run(scene())


def test_the_log_says_once_who_went_and_who_came_back(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        pool = Pool("AB", probes=True, name="large", unproven="B", wait_s=20)
        for n in range(10):
            await write(pool, leg(generation_id=f"{n}#x"))
        pool["A"].alive = pool["B"].alive = False
        for _ in range(2):
            with pytest.raises(EngineUnavailableError):
                await write(pool, leg())
        pool["A"].alive = pool["B"].alive = True
        await asyncio.sleep(60)
        for n in range(10):
            await write(pool, leg(generation_id=f"{n}#y"))
        assert pool.states == {"A": "UP", "B": "UP"}

    with caplog.at_level("INFO", "relaygen.pool"):
        run(scene())
    lines = [(r.getMessage(), r.relaygen) for r in caplog.records]  # type: ignore[attr-defined]
    assert {fields["role"] for _, fields in lines} == {"large"}
    assert lines[0][1]["error"] == "it was not there"
    assert [(event, fields.get("replica", "")) for event, fields in lines] == [
        ("replica out", "B"),
        ("replica back", "B"),
        *[("replica out", name) for name in "BA"],
        ("no replica left", ""),
        *[("replica back", "A"), ("pool back", ""), ("replica back", "B")],
    ]
