from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from relaygen.engines.pool import PoolOptions, ReplicaState
from relaygen.engines.pool.health import Health

UP, EJECTED = ReplicaState.UP, ReplicaState.EJECTED
HALF_OPEN, DOWN = ReplicaState.HALF_OPEN, ReplicaState.DOWN
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
