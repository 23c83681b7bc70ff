"""Replicas that turn legs away: busy for a time that they name, or set up for something else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from relaygen.engines.base import EngineOutput, GenerateRequest
from relaygen.engines.pool import PoolOptions, ReplicaState
from relaygen.engines.pool.health import Health
from relaygen.errors import (
    EngineAccessError,
    EngineError,
    EngineSetupError,
    EngineUnavailableError,
    ServerBusyError,
)
from tests.engines.pool.pools import END, SCRIPT, Mortal, Pool, leg, scripted, write
from tests.engines.pool.virtual import now, run

WHOLE = (*SCRIPT, END)
UP, RESTING, EJECTED = ReplicaState.UP, ReplicaState.RESTING, ReplicaState.EJECTED


class Choosy(Mortal):
    """A replica that turns legs away while it has a reason to."""

    reason: EngineError | None = None

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[EngineOutput]:
        if self.reason is not None:
            self.legs.append(request)
            raise self.reason
        async for output in super().generate(request):
            yield output


def choosy(names: str, **reasons: EngineError) -> Pool:
    replicas = [Choosy(name, scripted()) for name in names]
    for replica in replicas:
        replica.reason = reasons.get(replica.name)
    return Pool(replicas)


def busy(seconds: float | None) -> ServerBusyError:
    return ServerBusyError("too many requests", retry_after_s=seconds)


def wrong_key() -> EngineAccessError:
    return EngineAccessError("answered 401; check api_key", retryable=False)


def wrong_model() -> EngineSetupError:
    return EngineSetupError("answered 404: no such model", retryable=False)


MISFITS = [
    pytest.param(wrong_key, "denied", id="key"),
    pytest.param(wrong_model, "misfit", id="model"),
]


def test_a_busy_replica_rests_and_is_then_what_it_was() -> None:
    health = Health(PoolOptions(eject_after=1, max_rest_s=30))
    for at, asked, rest in ((0.0, 2.0, 2.0), (100.0, 1e6, 30.0), (200.0, 0.0, 0.1)):
        health.busy(at, asked, trial=health.begin())
        assert health.state is RESTING
        assert not health.may_try(at + rest - 0.01, all_down=False)
        assert health.may_try(at + rest, all_down=False)
        assert not health.begin()
        assert health.state is UP
    assert health.ejections == 0


def test_a_replica_that_is_busy_at_its_trial_is_tried_again_after_its_rest() -> None:
    health = Health(PoolOptions(eject_after=1, ejected_s=1))
    health.failed(0, trial=health.begin())
    health.busy(1, 5, trial=health.begin())
    assert health.state is EJECTED
    assert not health.may_try(5.9, all_down=False)
    assert health.may_try(6, all_down=False)
    assert health.ejections == 1


def test_a_leg_that_is_turned_away_goes_elsewhere_and_nothing_is_ejected() -> None:
    async def scene() -> None:
        for name in "AB":
            pool = choosy("AB", **{name: busy(5)})
            for n in range(20):
                assert await write(pool, leg(generation_id=f"{n}#x")) == WHOLE
            assert pool.states[name] == RESTING
            counts = {r.name: r for r in pool.engine.counts().replicas}[name]
            assert (counts.ejections, counts.failures) == (0, {"busy": counts.legs})
            assert counts.legs < 4  # 20 legs of 0.4 s, one every 5 s

    run(scene())


def test_where_all_are_busy_a_leg_waits_for_the_first_that_is_not() -> None:
    async def scene() -> None:
        pool = choosy("AB", A=busy(20), B=busy(10))
        task = asyncio.create_task(write(pool, leg()))
        await asyncio.sleep(1)
        for replica in pool.replicas.values():
            replica.reason = None  # type: ignore[attr-defined]
        assert await task == WHOLE
        assert now() == pytest.approx(10, abs=1)
        pool = choosy("A", A=busy(0))
        with pytest.raises(EngineUnavailableError):
            await write(pool, leg())
        assert len(pool["A"].legs) <= 301  # 30 s, and a pause after each

    run(scene())


def test_busy_without_a_time_is_a_failure_as_any_other() -> None:
    async def scene() -> None:
        pool = choosy("AB", A=busy(None))
        for n in range(20):
            assert await write(pool, leg(generation_id=f"{n}#x")) == WHOLE
        assert pool.states["A"] == EJECTED

    run(scene())


@pytest.mark.parametrize(("reason", "kind"), MISFITS)
def test_a_misfit_is_left_out_and_said_once(
    reason: Callable[[], EngineSetupError], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        pool = choosy("AB", A=reason())
        for n in range(300):  # two minutes
            assert await write(pool, leg(generation_id=f"{n}#x")) == WHOLE
        assert len(pool["A"].legs) <= 8  # the time doubles, up to half a minute
        assert pool.states["A"] == EJECTED
        counts = pool.engine.counts().replicas[0]
        assert counts.failures == {kind: counts.legs}
        assert counts.last_error == str(reason())
        pool["A"].reason = None  # type: ignore[attr-defined]
        await asyncio.sleep(31)
        for n in range(20):
            assert await write(pool, leg(generation_id=f"{n}#y")) == WHOLE
        assert pool.states["A"] == UP

    with caplog.at_level("INFO", "relaygen.pool"):
        run(scene())
    out, back = caplog.records
    said = [record.relaygen for record in caplog.records]  # type: ignore[attr-defined]
    assert (out.getMessage(), out.levelname) == ("replica left out", "ERROR")
    assert (said[0]["replica"], said[0]["error"]) == ("A", str(reason()))
    assert (back.getMessage(), said[1]["state"]) == ("replica back", "UP")


@pytest.mark.parametrize(("reason", "kind"), MISFITS)
@pytest.mark.parametrize("names", ["A", "ABC"])
def test_a_generation_ends_at_once_where_all_are_misfits(
    reason: Callable[[], EngineSetupError], kind: str, names: str
) -> None:
    async def scene() -> None:
        pool = choosy(names, **dict.fromkeys(names, reason()))
        for n in range(3):
            with pytest.raises(type(reason()), match=str(reason())) as raised:
                await write(pool, leg(generation_id=f"{n}#x"))
            assert not raised.value.retryable
        assert now() < 1
        assert [len(replica.legs) for replica in pool.replicas.values()] == [1] * len(names)
        pool[names[-1]].reason = None  # type: ignore[attr-defined]
        await asyncio.sleep(31)
        assert await write(pool, leg()) == WHOLE

    run(scene())


def test_a_generation_that_is_under_way_waits_for_a_misfit_to_be_mended_and_else_says_why() -> None:
    async def scene() -> None:
        pool = choosy("AB", A=wrong_model(), B=wrong_model())
        going_on = asyncio.create_task(write(pool, leg(SCRIPT[:5])))
        with pytest.raises(EngineUnavailableError, match="A EJECTED: answered 404: no such model"):
            await going_on
        assert now() == pytest.approx(30, abs=1)
        going_on = asyncio.create_task(write(pool, leg(SCRIPT[:5])))
        pool["B"].reason = None  # type: ignore[attr-defined]
        assert (*SCRIPT[:5], *await going_on) == WHOLE

    run(scene())


@pytest.mark.parametrize(("reason", "kind"), MISFITS)
def test_a_replica_that_becomes_a_misfit_in_the_middle_moves_the_generation(
    reason: Callable[[], EngineSetupError], kind: str
) -> None:
    async def scene() -> None:
        pool = choosy("AB")
        first = await write(pool, leg(max_tokens=5))
        (home,) = pool.users("g")
        pool[home].reason = reason()  # type: ignore[attr-defined]
        assert (*first, *await write(pool, leg(first))) == WHOLE
        assert pool.states[home] == EJECTED

    run(scene())
