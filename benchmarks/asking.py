"""Asks a gateway and notes when each token came, and who wrote it."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from relaygen.types import ModelRole


@dataclass(frozen=True, slots=True)
class Gap:
    """Between two texts of one segment.

    Attributes:
        role: who writes it.
        place: of the later text in its segment, from 1.
        ms: between them.
    """

    role: str
    place: int
    ms: float


@dataclass
class Asked:
    """One streamed generation, as its reader saw it.

    Attributes:
        answer: the text after the reasoning.
        prompt_tokens: of the prompt.
        completion_tokens: written, over both models.
        wall_s: from the request to the end.
        first_s: from the request to the first text.
        handoff_gaps_ms: from the last text of a segment to the first of the next one.
        gaps: between two texts of one segment.
        trace: as in `relaygen.views.result_json`.
    """

    answer: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    wall_s: float = 0.0
    first_s: float = 0.0
    handoff_gaps_ms: list[float] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    trace: dict[str, Any] = field(default_factory=dict)

    @property
    def segments(self) -> list[tuple[ModelRole, int]]:
        """Role and kept tokens of every segment."""
        return [(ModelRole(s["role"]), len(s["token_ids"])) for s in self.trace["segments"]]

    @property
    def legs(self) -> list[tuple[ModelRole, int]]:
        """Role and kept tokens of every run of one role, in order."""
        return [
            (role, sum(count for _, count in run))
            for role, run in itertools.groupby(
                (s for s in self.segments if s[1]), key=lambda segment: segment[0]
            )
        ]


async def ask(
    session: aiohttp.ClientSession,
    url: str,
    model: str,
    question: str,
    *,
    relaygen: dict[str, Any] | None = None,
    **fields: Any,
) -> Asked:
    """Streams one chat completion; `fields` are further fields of the request."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "relaygen": {"trace": True, **(relaygen or {})},
        **fields,
    }
    asked = Asked()
    segment, last, place = None, 0.0, 0
    started = time.perf_counter()
    async with session.post(f"{url}/v1/chat/completions", json=body) as reply:
        reply.raise_for_status()
        async for line in reply.content:
            if not line.startswith(b"data: {"):
                continue
            now = time.perf_counter()
            event = json.loads(line[6:])
            if "error" in event:
                raise RuntimeError(event["error"]["message"])
            if event.get("usage"):
                asked.prompt_tokens = event["usage"]["prompt_tokens"]
                asked.completion_tokens = event["usage"]["completion_tokens"]
            for choice in event["choices"]:
                told = choice.get("relaygen", {})
                asked.answer += choice["delta"].get("content") or ""
                asked.trace = told.get("trace", asked.trace)
                if "segment" in told:
                    place = place + 1 if told["segment"] == segment else 0
                    if segment is None:
                        asked.first_s = now - started
                    elif place:
                        asked.gaps.append(Gap(told["role"], place, (now - last) * 1e3))
                    else:
                        asked.handoff_gaps_ms.append((now - last) * 1e3)
                    segment, last = told["segment"], now
    asked.wall_s = time.perf_counter() - started
    return asked


async def first_token_ms(
    session: aiohttp.ClientSession, url: str, model: str, prompt: Sequence[int]
) -> float:
    """From a request with this prompt to its one token."""
    body = {"model": model, "prompt": list(prompt), "max_tokens": 1, "temperature": 0}
    started = time.perf_counter()
    async with session.post(f"{url}/v1/completions", json=body) as reply:
        reply.raise_for_status()
        await reply.read()
    return (time.perf_counter() - started) * 1e3
