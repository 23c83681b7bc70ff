"""`SyncRelay`: the same library without ``await``; what is left behind is always cleaned up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from queue import SimpleQueue

import pytest

from relaygen import demo_models
from relaygen.api import Options, SyncRelay
from relaygen.api.sync import _Job
from relaygen.engines.simulated import Fault
from relaygen.errors import EngineError, InvalidRequestError, ProtocolError
from relaygen.relay.config import RelayConfig
from relaygen.types import FinishReason, ModelRole
from tests.cli.simulated import ANSWER, TEXT, engine_factory


def _open(monkeypatch: pytest.MonkeyPatch, fault: Fault | None = None) -> SyncRelay:
    monkeypatch.setattr("relaygen.api.model.open_engine", engine_factory(fault=fault))
    return SyncRelay.open(demo_models.gguf("large"), demo_models.gguf("small"), profile="demo")


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncRelay]:
    with _open(monkeypatch) as relay:
        yield relay


def test_a_stream_is_the_text(relay: SyncRelay) -> None:
    stream = relay.stream("How many?")
    text = "".join(part.text for part in stream)
    assert text == stream.result.text == f"{TEXT}\n</think>\n\n{ANSWER}"
    assert relay.generate("How many?").text == text


def test_a_stream_that_is_left_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    with _open(monkeypatch, Fault(kind="stall", after=8)) as relay:
        stream = relay.stream("How many?")
        for part in stream:
            assert part.text
            break
        stream.close()
        stream.close()
        assert stream.result.finish_reason is FinishReason.CANCELLED


def test_closing_the_relay_cancels_its_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    with _open(monkeypatch, Fault(kind="stall", after=8)) as relay:
        stream = relay.stream("How many?")
        parts = iter(stream)
        assert next(parts).text
    stream.close()
    assert stream.result.finish_reason is FinishReason.CANCELLED


def test_a_stream_that_was_never_read_has_no_result(relay: SyncRelay) -> None:
    stream = relay.stream("How many?")
    stream.close()
    with pytest.raises(ProtocolError):
        _ = stream.result


def test_errors_reach_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    with _open(monkeypatch, Fault(kind="fail", after=3, retryable=False)) as relay:
        stream = relay.stream("How many?")
        assert len("".join(part.text for part in stream)) > 0
        assert stream.result.finish_reason is FinishReason.ERROR
        with pytest.raises(EngineError, match="failed after 3 tokens"):
            stream.raise_for_failure()
        with pytest.raises(EngineError, match="failed after 3 tokens"):
            relay.generate("How many?")
        with pytest.raises(InvalidRequestError, match="max_tokens"):
            relay.stream("How many?", Options(max_tokens=0))


def test_closing_twice_ends_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    relay = _open(monkeypatch)
    relay.close()
    relay.close()
    assert not [t for t in threading.enumerate() if t.name == "relaygen-sync"]


def test_the_paper_policy_brings_its_own_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    short = engine_factory(f"Mia has 3 apples.\n</think>\n\n{ANSWER}")
    monkeypatch.setattr("relaygen.api.model.open_engine", short)
    files = demo_models.gguf("large"), demo_models.gguf("small")
    with SyncRelay.open(*files, profile="demo") as relay:
        ours, theirs, mixed = (
            relay.generate("How many?", options).trace.segments[-1].role
            for options in (
                Options(),
                Options(policy="paper"),
                Options(policy="paper", config=RelayConfig()),
            )
        )
    assert (ours, theirs, mixed) == (ModelRole.LARGE, ModelRole.SMALL, ModelRole.LARGE)


def test_an_interrupt_where_a_wait_ends_does_not_hang_the_next(relay: SyncRelay) -> None:
    loop, allowed, wakes = relay._loop, asyncio.Event(), SimpleQueue[None]()

    class Interrupted:
        put = wakes.put

        def get(self) -> None:
            loop.call_soon_threadsafe(allowed.set)
            wakes.get()  # the wake-up is taken, and lost
            raise KeyboardInterrupt

    job = _Job(loop, allowed.wait())
    job._wake = Interrupted()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        job.result()
    assert job.result() is True
