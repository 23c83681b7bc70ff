"""Plans carried out, with servers that only pretend."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from relaygen.launch.interrupts import Interrupts
from relaygen.launch.plan import LaunchPlan
from relaygen.launch.running import as_script, run_plan
from relaygen.launch.service import Service

from .conftest import QUICK, Lines, fake, service, until_gone

ASK = """
import sys, urllib.request
for url in sys.argv[1:]:
    print(urllib.request.urlopen(url, timeout=10).status, flush=True)
"""


def pretended(large: Service, gateway: Service) -> LaunchPlan:
    return LaunchPlan(
        waves=((large,),),
        config="",
        keys=("key",),
        gateway=lambda config: gateway,
        notes=(),
        warnings=(),
    )


@pytest.mark.parametrize("set_before", [True, False])
async def test_a_key_is_drawn_unless_it_is_set(
    monkeypatch: pytest.MonkeyPatch, set_before: bool
) -> None:
    if set_before:
        monkeypatch.setenv("key", "of my own")
    lines, interrupts = Lines(), Interrupts()
    plan = pretended(fake("large"), fake("gateway"))
    running = asyncio.create_task(
        run_plan(plan, timing=QUICK, show=lines.show, interrupts=interrupts)
    )
    await lines.until("everything is ready")
    interrupts.interrupt()
    async with asyncio.timeout(60):
        await running
    shown = {line.removeprefix("key ") for line in lines.of("large") if line.startswith("key ")}
    assert len(shown) == 1
    assert (shown == {"of my own"}) is set_before
    assert len(shown.pop()) >= 9


def run_script(plan: LaunchPlan, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a shell makes of a plan; it returns once nothing that was started writes any more."""
    command = ["sh", "-c", as_script(plan)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="the script needs curl")


@needs_curl
async def test_the_script_waits_for_its_servers_and_ends_them(tmp_path: Path) -> None:
    large = fake("large", "--warm-up", "1")
    program = (sys.executable, "-I", "-S", "-c", ASK, f"{large.url}/health")
    ran = run_script(pretended(large, service("gateway", program)), tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "200" in ran.stdout.splitlines()
    pid = next(line for line in ran.stdout.splitlines() if line.startswith("pid "))
    await until_gone(int(pid.split()[1]))


@needs_curl
def test_the_script_does_not_wait_for_a_dead_server(tmp_path: Path) -> None:
    program = (sys.executable, "-I", "-S", "-c", "print('the gateway runs')")
    ran = run_script(pretended(fake("large", "--die"), service("gateway", program)), tmp_path)
    assert ran.returncode == 1
    assert "has ended" in ran.stderr
    assert "the gateway runs" not in ran.stdout
