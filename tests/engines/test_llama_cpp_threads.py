from __future__ import annotations

from relaygen.engines.llama_cpp.threads import ReadingThreads, default_threads, physical_cores


def run(threads: ReadingThreads, steps: int, *, slowdown: float) -> list[int]:
    """Steps of 30 tokens, in which several threads take `slowdown` times as long as one."""
    chosen = []
    for _ in range(steps):
        count = threads.choose(30, 1)
        threads.record(30, 1, count, 1.0 if count == 1 else slowdown)
        chosen.append(count)
    return chosen


def test_several_threads_are_used_while_they_pay() -> None:
    chosen = run(ReadingThreads(2, watch=True), 500, slowdown=0.6)
    assert chosen[0] == 1
    assert chosen.count(2) > 480


def test_they_are_given_up_where_they_do_not() -> None:
    chosen = run(ReadingThreads(2, watch=True), 1000, slowdown=20.0)
    assert chosen.count(2) < 10


def test_they_are_tried_again() -> None:
    threads = ReadingThreads(2, watch=True)
    run(threads, 50, slowdown=20.0)
    assert run(threads, 200, slowdown=0.6)[-50:].count(2) > 45


def test_large_models_are_not_experimented_with() -> None:
    assert set(run(ReadingThreads(8, watch=False), 100, slowdown=20.0)) == {8}


def test_steps_of_different_kinds_are_not_compared() -> None:
    threads = ReadingThreads(2, watch=True)
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
