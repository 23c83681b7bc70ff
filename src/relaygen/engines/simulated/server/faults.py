"""How a simulated server fails, beyond what its engine does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FaultKind = Literal[
    "status", "hang_up", "cut", "end", "stall", "half_close", "garbage", "not_utf8", "huge"
]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerFault:
    """What goes wrong with a request for a generation.

    Attributes:
        kind: before an answer, ``status`` answers with an HTTP status, ``hang_up`` closes the
            connection. In a stream, ``cut`` closes the connection, ``end`` ends the stream properly
            without the event that ends a leg, ``stall`` sends nothing more, ``half_close`` closes
            the sending side and keeps the receiving one, ``garbage`` sends what is no JSON,
            ``not_utf8`` bytes that are no text, ``huge`` a line that does not end.
        after: tokens that are sent first.
        status: for ``status``.
        retry_after_s: goes with it.
        size: bytes of ``huge``.
    """

    kind: FaultKind
    after: int = 0
    status: int = 503
    retry_after_s: int | None = None
    size: int = 2**23


JUNK: dict[str, bytes] = {
    "garbage": b'data: {"choices": [{]}\n\n',
    "not_utf8": b'data: {"content": "\xff\xfe", "choices": [{"text": "\xff"}]}\n\n',
}
