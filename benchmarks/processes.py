"""Programs that a benchmark measures: started, watched through ``/proc``, and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from relaygen.launch.ports import free_ports

REPOSITORY = Path(__file__).parent.parent
_ALL_THREADS = 2  # of a clock id in Linux: scheduler time, of a whole process
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Process:
    """A program that serves HTTP on a port of its own; running once it was made.

    Raises:
        RuntimeError: by the constructor; it ended, or did not answer in time. Says what it wrote.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        port: int,
        health: str,
        log: Path,
        within_s: float = 60.0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._log = log
        paths = [str(REPOSITORY / "src"), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
        settings = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
        with log.open("wb") as sink:
            self._process = subprocess.Popen(
                list(arguments),
                stdout=sink,
                stderr=sink,
                env=settings | dict(environment or {}),
                cwd=log.parent,
            )
        try:
            self._wait(health, time.monotonic() + within_s)
        except BaseException:
            self.stop()
            raise

    def cpu_s(self) -> float:
        """Seconds of CPU time so far, user and system, all its threads."""
        return time.clock_gettime(~self._process.pid << 3 | _ALL_THREADS)

    def rss_bytes(self) -> int:
        """Memory that it holds now."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * _PAGE

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after a while."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _wait(self, health: str, until: float) -> None:
        while self._process.poll() is None and time.monotonic() < until:
            try:
                with urllib.request.urlopen(self.url + health, timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        written = self._log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{self.url} did not begin to serve: {written}")


class Fleet:
    """Processes that are stopped together, in a folder for their logs and settings::

    with Fleet() as fleet:
        server = fleet.module("benchmarks.stand_in", "--decode-ms", "2")
    """

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="relaygen-benchmark-")
        self.folder = Path(self._folder.name)
        self._running: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in reversed(self._running):
            process.stop()
        self._folder.cleanup()

    def module(self, name: str, *flags: str, health: str = "/health") -> Process:
        """``python -m NAME --port PORT`` with `flags`."""
        port = free_ports(1)[0]
        arguments = [sys.executable, "-m", name, "--port", str(port), *flags]
        return self._started(arguments, port, health)

    def program(
        self,
        arguments: Sequence[str],
        *,
        port: int,
        health: str,
        within_s: float = 60.0,
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        """Any program that listens on `port`."""
        return self._started(arguments, port, health, within_s, environment)

    def gateway(self, settings: str) -> Process:
        """``relaygen serve`` with these settings in TOML, but those of its port and log."""
        port = free_ports(1)[0]
        file = self.folder / f"gateway-{port}.toml"
        file.write_text(f"{settings}\n[server]\nport = {port}\nlog = 'json'\n", encoding="utf-8")
        arguments = [sys.executable, "-m", "relaygen", "serve", "--config", str(file)]
        return self._started(arguments, port, "/health/ready")

    def _started(
        self,
        arguments: Sequence[str],
        port: int,
        health: str,
        within_s: float = 60.0,
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        process = Process(
            arguments,
            port=port,
            health=health,
            log=self.folder / f"{port}.log",
            within_s=within_s,
            environment=environment,
        )
        self._running.append(process)
        return process
