from __future__ import annotations

import os

import pytest

from relaygen.engines.llama_cpp.threads import (
    ReadingThreads,
    default_threads,
    physical_cores,
    runnable_threads,
)


def watched(runnable: int | None = None, clock: float = 0.0) -> ReadingThreads:
    return ReadingThreads(2, watch=True, runnable=lambda: runnable, clock=lambda: clock)


def run(threads: ReadingThreads, steps: int, *, slowdown: float) -> list[int]:
    """Steps of 30 tokens, in which several threads take `slowdown` times as long as one."""
    chosen = []
    for _ in range(steps):
        count = threads.choose(30, 1)
        threads.record(30, 1, count, 1.0 if count == 1 else slowdown)
        chosen.append(count)
    return chosen


def test_several_threads_are_used_while_they_pay() -> None:
    chosen = run(watched(), 500, slowdown=0.6)
    assert chosen[0] == 1
    assert chosen.count(2) > 480


def test_they_are_given_up_where_they_do_not() -> None:
    chosen = run(watched(), 1000, slowdown=20.0)
    assert chosen.count(2) < 10


def test_they_are_tried_again() -> None:
    threads = watched()
    run(threads, 50, slowdown=20.0)
    assert run(threads, 200, slowdown=0.6)[-50:].count(2) > 45


def test_large_models_are_not_experimented_with() -> None:
    assert set(run(ReadingThreads(8, watch=False), 100, slowdown=20.0)) == {8}


def test_steps_of_different_kinds_are_not_compared() -> None:
    threads = watched()
    threads.choose(100, 1)
    threads.record(100, 1, 1, 0.1)
    assert threads.choose(10, 10) == 1
    threads.record(10, 10, 1, 1.0)
    assert threads.choose(10, 10) == 2
    threads.record(10, 10, 2, 0.6)
    assert threads.choose(10, 10) == 2


def test_a_tiny_model_decodes_with_one_thread() -> None:
    assert default_threads(500_000)[0] == 1
    assert default_threads(8_000_000_000) == (physical_cores(), physical_cores())


def test_a_machine_without_a_core_to_spare_is_left_alone() -> None:
    cores = os.cpu_count() or 1
    assert set(run(watched(runnable=cores + 1), 50, slowdown=0.6)) == {1}
    if cores > 1:
        assert 2 in run(watched(runnable=1), 50, slowdown=0.6)


def test_our_own_workers_are_no_other_program() -> None:
    cores = os.cpu_count() or 1
    if cores == 1:
        pytest.skip("one core: there are no workers")
    now, running = 0.0, 1
    threads = ReadingThreads(cores, watch=True, runnable=lambda: running, clock=lambda: now)
    run(threads, 2, slowdown=0.6)
    running = cores  # they spin on after the step
    assert run(threads, 1, slowdown=0.6) == [cores]
    now = 1.0  # long after they went to sleep, it must be somebody else
    assert run(threads, 1, slowdown=0.6) == [1]


def test_the_system_says_how_busy_it_is() -> None:
    running = runnable_threads()
    assert running is None or running >= 1
