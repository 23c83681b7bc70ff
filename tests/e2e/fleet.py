"""Model servers and a gateway as real processes, to be killed and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp

from relaygen.launch.ports import free_ports

_SERVER = "relaygen.engines.simulated.server"


class Process:
    """A program that serves HTTP on a port of its own, also after it was killed."""

    def __init__(self, arguments: Sequence[str], port: int, health: str, log: Path) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.kills = 0
        self._arguments = [sys.executable, "-m", *arguments]
        self._health = health
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns when it answers."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._arguments,
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            )
        async with aiohttp.ClientSession() as session:
            while self._process.returncode is None:
                with suppress(aiohttp.ClientError):
                    async with session.get(self.url + self._health) as reply:
                        if reply.status == 200:
                            return
                await asyncio.sleep(0.05)
        raise AssertionError(f"it ended at once: {self._log.read_text()[-2000:]}")

    async def kill(self) -> None:
        """SIGKILL: no goodbye on any connection."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
            self.kills += 1

    async def stop(self) -> int:
        """SIGTERM; its exit code."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        return await self._process.wait()


def model_server(
    folder: Path, *, role: str, number: int, tokenizer: Path, sentences: int, flags: Sequence[str]
) -> Process:
    """A simulated vLLM that tells the same story as its fellows."""
    port = free_ports(1)[0]
    arguments = [_SERVER, "--port", str(port), "--tokenizer", str(tokenizer)]
    arguments += ["--sentences", str(sentences), *flags]
    return Process(arguments, port, "/health", folder / f"{role}-{number}.log")


def gateway(folder: Path, config: str) -> Process:
    """``relaygen serve`` with a configuration."""
    port = free_ports(1)[0]
    file = folder / "relaygen.toml"
    file.write_text(f"{config}\n[server]\nport = {port}\nlog = 'json'\n", encoding="utf-8")
    arguments = ["relaygen", "serve", "--config", str(file)]
    return Process(arguments, port, "/health/ready", folder / "gateway.log")
