from __future__ import annotations

import asyncio

import pytest

from relaygen.engines.simulated import Fault
from relaygen.errors import EngineError, EngineUnavailableError, InvalidRequestError
from tests.engines.pool.pools import END, SCRIPT, Pool, leg, write
from tests.engines.pool.virtual import run

WHOLE = (*SCRIPT, END)


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
