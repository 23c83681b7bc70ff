"""Carries a plan out, or shows it."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from relaygen.launch.interrupts import Interrupts
from relaygen.launch.keeper import Show, Timing
from relaygen.launch.plan import LaunchPlan
from relaygen.launch.supervisor import Supervisor

_CONFIG = "relaygen-gateway.toml"

_WAITING = """
# wait for a server: its process, and what answers once it is ready
command -v curl >/dev/null || { echo "this script needs curl" >&2; exit 1; }
ready() {
    until curl -fs -o /dev/null "$2"; do
        kill -0 "$1" 2>/dev/null || { echo "the server of $2 has ended" >&2; exit 1; }
        sleep 1
    done
}

# whatever ends this script ends the servers
trap 'kill $servers 2>/dev/null' EXIT
trap 'exit 130' INT TERM"""


async def run_plan(
    plan: LaunchPlan, *, timing: Timing, show: Show, interrupts: Interrupts | None = None
) -> None:
    """Runs servers and gateway until Ctrl-C, and leaves no process behind.

    A key that is in the environment under its name is used, others are drawn.

    Args:
        plan: what to run.
        timing: how long things may take.
        show: called with each line of each process.
        interrupts: when to stop; None: at signals to this process.

    Raises:
        EngineError: a process could not be started, or died too often.
        OSError: lines cannot be shown, or the configuration cannot be written.
    """
    keys = {name: os.environ.get(name) or secrets.token_urlsafe(32) for name in plan.keys}
    with tempfile.TemporaryDirectory(prefix="relaygen-launch-") as folder:
        config = Path(folder) / _CONFIG
        config.write_text(plan.config, encoding="utf-8")
        stop = interrupts or Interrupts()
        supervisor = Supervisor(
            [*plan.waves, [plan.gateway(config)]],
            keys=keys,
            timing=timing,
            show=show,
            interrupts=stop,
        )
        if interrupts is not None:
            await supervisor.run()
            return
        with stop.from_signals():
            await supervisor.run()


def as_script(plan: LaunchPlan) -> str:
    """The plan as a script for a POSIX shell: it does the same, but starts nothing again."""
    parts = [f"# {note}" for note in plan.notes]
    if plan.keys:
        parts += ["", "# keys between gateway and servers; drawn, unless they are set already"]
        draw = "$(head -c 32 /dev/urandom | base64)"
        parts += [f'export {key}="${{{key}:-{draw}}}"' for key in plan.keys]
    parts += _WAITING.splitlines()
    for number, wave in enumerate(plan.waves):
        if number:
            parts += ["", "# only now: both measure what one GPU has left"]
        for service in wave:
            parts += ["", f"# {service.name}: {service.url}", f"{service.command.shell()} &"]
            parts += [f'{service.name}=$! servers="$servers $!"']
        parts += [""]
        parts += [f'ready "${s.name}" {s.url}{s.ready_path}' for s in wave]
    parts += ["", f"cat > {_CONFIG} <<'END'", plan.config.rstrip("\n"), "END"]
    gateway = plan.gateway(Path(_CONFIG))
    parts += ["", f"# gateway: {gateway.url}", gateway.command.shell()]
    return "\n".join(parts).lstrip("\n") + "\n"
