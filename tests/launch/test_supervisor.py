"""Real processes on loopback: fake servers that die, hang, and will not go."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from relaygen.errors import EngineError
from relaygen.launch.interrupts import Interrupts
from relaygen.launch.keeper import Timing
from relaygen.launch.restarts import Restarts

from .conftest import Start, fake, service, until_gone


async def tell_to_die(port: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /die HTTP/1.1\r\n\r\n")
    await writer.drain()
    writer.close()


async def test_all_start_in_order_and_stop_in_order(start: Start) -> None:
    launch = start([fake("large")], [fake("small")], [fake("gateway")])
    await launch.lines.until("everything is ready")
    await launch.stop()
    events = [
        f"{name}: {line}" if name != "launch" else line
        for name, line in launch.lines.shown
        if "told to stop" in line or "is ready after" in line
    ]
    assert [event.split()[0] for event in events[:3]] == ["large", "small", "gateway"]
    assert events[3] == "gateway: told to stop"  # first, so that its streams can end
    assert sorted(events[4:]) == ["large: told to stop", "small: told to stop"]


async def test_servers_of_a_wave_start_together(start: Start) -> None:
    launch = start([fake("large", "--never-ready"), fake("small")], [fake("gateway")])
    await launch.lines.until("small is ready")
    await launch.stop()
    assert launch.lines.of("gateway") == []


async def test_the_server_gets_its_key(start: Start) -> None:
    launch = start([fake("large")], [fake("gateway")])
    await launch.lines.until("everything is ready")
    await launch.stop()
    assert "key k-123" in launch.lines.of("large")


async def test_one_that_dies_at_the_start_ends_all_and_says_what_to_do(start: Start) -> None:
    launch = start([fake("large"), fake("small", "--die")], [fake("gateway")])
    with pytest.raises(EngineError, match=r"small ended with exit code 3 .* memory ran out; lower"):
        await launch.ended()
    own = launch.lines.of("launch")
    assert own.index("the last lines of small:") > own.index(
        next(o for o in own if "stopping" in o)
    )
    assert launch.lines.shown[-1] == ("small", "cannot work like this")
    assert launch.lines.of("gateway") == []


async def test_one_that_cannot_be_started_ends_all(start: Start) -> None:
    missing = service("small", ("/nonexistent/server",))
    launch = start([fake("large"), missing], [fake("gateway")])
    with pytest.raises(EngineError, match=r"/nonexistent/server cannot be started \(No such file"):
        await launch.ended()


async def test_one_that_is_never_ready_ends_all_at_the_deadline(start: Start) -> None:
    timing = Timing(ready_s=0.2, progress_s=0.05, poll_s=0.01)
    launch = start([fake("large", "--never-ready")], [fake("gateway")], timing=timing)
    with pytest.raises(EngineError, match=r"large was not ready within 0\.2 s"):
        await launch.ended()
    assert any("large is not ready after" in line for line in launch.lines.of("launch"))


async def test_one_that_dies_later_is_started_again(start: Start) -> None:
    small = fake("small")
    launch = start([fake("large"), small], [fake("gateway")])
    await launch.lines.until("everything is ready")
    await tell_to_die(small.port)
    await launch.lines.until("small is ready", times=2)
    assert "small ended with exit code 5; it is started again in 0.01 s" in launch.lines.of(
        "launch"
    )
    await launch.stop()
    assert len(launch.lines.numbers("pid")) == 4


async def test_one_that_dies_again_and_again_ends_all(start: Start, tmp_path: Path) -> None:
    small = fake("small", "--die-again", str(tmp_path / "started"))
    launch = start([fake("large"), small], [fake("gateway")])
    await launch.lines.until("everything is ready")
    await tell_to_die(small.port)
    with pytest.raises(EngineError, match="before it was ready, for the 3th time in a row"):
        await launch.ended()


async def test_a_server_that_ignores_sigterm_is_killed(start: Start) -> None:
    launch = start([fake("large", "--ignore-term", grace_s=0.1)], [fake("gateway")])
    await launch.lines.until("everything is ready")
    await launch.stop()


async def test_a_second_interrupt_does_not_wait(start: Start) -> None:
    launch = start([fake("large", "--ignore-term", grace_s=600)], [fake("gateway")])
    await launch.lines.until("everything is ready")
    launch.interrupts.interrupt()
    await launch.lines.until("stopping")
    launch.interrupts.interrupt()
    await launch.ended()


async def test_ctrl_c_during_the_start_stops_what_has_started(start: Start) -> None:
    launch = start([fake("large"), fake("small", "--never-ready")], [fake("gateway")])
    await launch.lines.until("large is ready")
    await launch.stop()


async def test_children_of_servers_go_with_them(start: Start) -> None:
    launch = start([fake("large", "--with-child")], [fake("gateway")])
    await launch.lines.until("everything is ready")
    await launch.stop()
    assert len(launch.lines.numbers("child")) == 1  # the fixture waits until it is gone


async def test_children_of_a_dead_server_go_before_it_is_started_again(start: Start) -> None:
    large = fake("large", "--with-child")
    launch = start([large], [fake("gateway")])
    await launch.lines.until("everything is ready")
    await tell_to_die(large.port)
    await launch.lines.until("large is ready", times=2)
    await until_gone(launch.lines.numbers("child")[0])
    await launch.stop()


async def test_garbage_is_shown_harmlessly(start: Start) -> None:
    launch = start([fake("large", "--garbage")], [fake("gateway")])
    await launch.lines.until("everything is ready")
    await launch.stop()
    lines = launch.lines.of("large")
    assert r"\xff\xfe half \xe2\x82" in lines
    assert r"red\x07" in lines
    assert "end of garbage" in lines
    assert max(map(len, lines)) <= 4096


async def test_a_screen_that_is_gone_ends_all(start: Start) -> None:
    launch = start([fake("large")], [fake("gateway")])
    await launch.lines.until("everything is ready")
    launch.lines.gone = True
    await tell_to_die(launch.supervisor.keepers[0].service.port)
    with pytest.raises(BrokenPipeError):
        await launch.ended()


async def test_signals_interrupt_once_and_twice() -> None:
    interrupts = Interrupts()
    with interrupts.from_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        await interrupts.stop.wait()
        assert not interrupts.hurry.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        await interrupts.hurry.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's signal at a parent's death")
async def test_a_launch_that_is_killed_leaves_no_server_behind() -> None:
    launcher = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.launch.launcher"),
        cwd=Path(__file__).parents[2],
        stdout=PIPE,
    )
    assert launcher.stdout is not None
    pids = [int(await launcher.stdout.readline()) for _ in range(2)]
    launcher.kill()
    await launcher.wait()
    for pid in pids:
        await until_gone(pid)


def test_failures_are_forgiven_after_a_while() -> None:
    restarts = Restarts(first_s=1, longest_s=5, most=4, well_after_s=60)
    assert [restarts.pause_s(n) for n in (1, 2, 3, 4, 5)] == [1, 2, 4, 5, None]
    assert restarts.failures(3, ran_s=1) == 4
    assert restarts.failures(3, ran_s=61) == 1


async def test_the_port_of_another_program_does_not_count_as_ready(start: Start) -> None:
    other = fake("other")
    first = start([other], [fake("gateway")])
    await first.lines.until("everything is ready")
    second = start([fake("large", "--die", port=other.port)], [fake("gateway")])
    with pytest.raises(EngineError, match="large ended with exit code 3"):
        await second.ended()
    await first.stop()
