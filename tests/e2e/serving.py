"""``relaygen serve`` with the embedded pair, in a process of its own, for as long as a test needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relaygen import demo_models
from relaygen.gateway import hash_key
from relaygen.launch.ports import free_ports

from .fleet import Process, gateway

MODEL = "relaygen-demo"
PROBLEM = demo_models.problems()[0]
KEYS = {name: f"sk-of-{name}" for name in ("node", "python", "langchain", "litellm")}
"""A key a client, each for one request a minute."""
KEYS_CONFIG = "".join(
    f"[[keys]]\nname = '{name}'\nhash = '{hash_key(key)}'\nrequests_per_minute = 1\n"
    for name, key in KEYS.items()
)


@contextmanager
def served(process: Process) -> Iterator[str]:
    """Its address; at the end it is told to stop, and must do so well."""
    # A loop of its own that is nobody's current one: the tests have theirs.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(process.start())
        yield process.url
        assert runner.run(process.stop()) == 0


def embedded(folder: Path) -> Process:
    """The embedded pair as it comes."""
    port = free_ports(1)[0]
    arguments = ["relaygen", "serve", "--port", str(port)]
    return Process(arguments, port, "/health/ready", folder / "serve.log")


def embedded_with(folder: Path, config: str) -> Process:
    """The embedded pair under a configuration."""
    models = "".join(
        f"[{role}]\ngguf = {str(demo_models.gguf(role))!r}\n" for role in ("large", "small")
    )
    relay = f"[relay]\nprofile = 'demo'\nname = '{MODEL}'\n"
    return gateway(folder, models + relay + config)
