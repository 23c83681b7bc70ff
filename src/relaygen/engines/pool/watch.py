"""Says in the log when a replica goes out or comes back, and when a pool has none left."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from enum import Enum

from relaygen.engines.pool.health import ReplicaState
from relaygen.engines.pool.member import Member

_LOGGER = logging.getLogger("relaygen.pool")
_IN_USE = (ReplicaState.UP, ReplicaState.RESTING)  # a busy server that rests is as it should be


class _Standing(Enum):
    """What is worth a line of the log when it changes; the event and its level."""

    IN_USE = "replica back", logging.INFO
    OUT = "replica out", logging.WARNING
    MISFIT = "replica left out", logging.ERROR  # no time mends it: somebody has to see to it


class Watch:
    """Compares what is with what it said last: one line a change, none a leg or a failed trial."""

    def __init__(self, members: Sequence[Member], name: str) -> None:
        """`name`: of the pool."""
        self._members = members
        self._name = name
        self._said = {member.name: _Standing.IN_USE for member in members}
        self._none_left = False

    def look(self) -> None:
        """Says what has changed."""
        changed = [m for m in self._members if _standing(m) is not self._said[m.name]]
        for member in changed:
            standing = self._said[member.name] = _standing(member)
            event, level = standing.value
            error = {} if standing is _Standing.IN_USE else {"error": member.last_error}
            self._say(level, event, replica=member.name, state=str(member.health.state), **error)
        if changed:
            self._look_at_all()

    def _look_at_all(self) -> None:
        none_left = _Standing.IN_USE not in self._said.values()
        if none_left is not self._none_left:
            self._none_left = none_left
            level, event = (
                (logging.ERROR, "no replica left") if none_left else (logging.INFO, "pool back")
            )
            self._say(level, event)

    def _say(self, level: int, event: str, **fields: str) -> None:
        # `relaygen`: where `relaygen.gateway.logs` looks for the fields of a line.
        _LOGGER.log(level, event, extra={"relaygen": {"role": self._name, **fields}})


def _standing(member: Member) -> _Standing:
    if member.health.state in _IN_USE:
        return _Standing.IN_USE
    return _Standing.OUT if member.misfit is None else _Standing.MISFIT
