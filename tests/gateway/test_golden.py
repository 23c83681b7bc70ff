"""Whole transcripts, byte by byte. ``python -m tests.gateway.test_golden`` writes them again."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from relaygen.engines.simulated import Fault
from tests.gateway.pairs import LARGE, pair

FOLDER = Path(__file__).parent / "golden"
THOUGHT = "So, 3 and 4. It is 7.\n</think>\n\n"
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 3}}\n</tool_call>'
TOOL = {"type": "function", "function": {"name": "add"}}
USAGE = {"stream_options": {"include_usage": True}}
BROKEN = {LARGE: Fault(kind="fail", after=2, retryable=False)}
SCENES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "chat": ("chat", THOUGHT + "It is 7 🙂.", {}, {}),
    "usage": ("chat", THOUGHT + "7", USAGE, {}),
    "choices": ("chat", THOUGHT + "7", {"n": 2}, {}),
    "tool_calls": ("chat", f"{THOUGHT}I add.\n{CALL}", {"tools": [TOOL]}, {}),
    "logprobs": ("chat", THOUGHT + "7", {"logprobs": True, "top_logprobs": 1}, {}),
    "token_ids_and_trace": (
        "chat",
        "So, 3.\n</think>\n\n7",
        {"return_token_ids": True, "relaygen": {"trace": True}},
        {},
    ),
    "length": ("chat", THOUGHT + "7", {"max_tokens": 5}, {}),
    "failure": ("chat", THOUGHT, {}, {"faults": BROKEN}),
    "completion": ("complete", "It is 7.", {"logprobs": 1, **USAGE}, {}),
}


async def transcript(name: str) -> str:
    call, text, fields, options = SCENES[name]
    async with pair(text, **options) as opened:
        reply = await getattr(opened.client, call)(stream=True, seed=1, **fields)
    assert reply.status == 200
    # An id and the times are new each time; the last digits are the platform's.
    text = re.sub(r'"id":"[0-9a-f]{16}~[0-9a-f]{32}"', '"id":"..."', reply.body.decode())
    text = re.sub(r'("\w+_s":)[-+.e\d]+', r"\1 0", text)
    return re.sub(r"-\d+\.\d{7,}", lambda found: f"{float(found[0]):.6f}", text)


@pytest.mark.parametrize("name", SCENES)
async def test_a_stream_is_the_golden_one(name: str) -> None:
    assert await transcript(name) == (FOLDER / f"{name}.sse").read_text(encoding="utf-8")


def test_no_transcript_is_left_over() -> None:
    assert {file.stem for file in FOLDER.glob("*.sse")} == SCENES.keys()


if __name__ == "__main__":
    for scene in SCENES:
        (FOLDER / f"{scene}.sse").write_text(asyncio.run(transcript(scene)), encoding="utf-8")
