"""One process that a launch keeps running."""

from __future__ import annotations

from dataclasses import dataclass

from relaygen.launch.command import Command
from relaygen.launch.ports import where_to_ask


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What to start, and how to tell that it works.

    Attributes:
        name: in front of its lines.
        command: what to start.
        host: where it listens.
        port: likewise.
        ready_path: what answers 200 there once it works, without a key.
        runs: what program it is, for advice where it fails.
        grace_s: after SIGTERM it has so long to end.
    """

    name: str
    command: Command
    host: str
    port: int
    ready_path: str
    runs: str
    grace_s: float

    @property
    def url(self) -> str:
        """Where it can be asked from this machine."""
        host = where_to_ask(self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"
