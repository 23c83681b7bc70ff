"""The whole thing for real: ``relaygen launch`` with the embedded pair, and a question to it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import urllib.request
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from relaygen import demo_models
from relaygen.demo_models.grading import is_right

from .conftest import until_gone

_INSTALLED = Path(__file__).parents[2] / ".venv-vllm" / "bin" / "python"
VLLM_PYTHON = os.environ.get("RELAYGEN_TEST_VLLM_PYTHON") or (
    str(_INSTALLED) if _INSTALLED.exists() else ""
)
APPLES = {
    "type": "json_schema",
    "json_schema": {"name": "unit", "schema": {"enum": ["apples", "boxes"]}},
}
READY_S = 900  # vLLM takes minutes on a busy machine


def ask(url: str, question: str, **fields: Any) -> dict[str, Any]:
    body = {
        "model": "relay",
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        **fields,
    }
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def children_of(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.e2e
@pytest.mark.parametrize(
    "engine",
    [
        (),
        pytest.param(
            ("--engine", "vllm", "--python", VLLM_PYTHON),
            marks=pytest.mark.skipif(not VLLM_PYTHON, reason="vLLM is not installed"),
        ),
    ],
    ids=["llama.cpp", "vllm"],
)
async def test_a_launch_answers_and_ends(engine: tuple[str, ...]) -> None:
    flags = ("--port", "0", "--cpu", "--ready-timeout", str(READY_S), *engine)
    launch = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relaygen", "launch", *flags), stderr=PIPE
    )
    assert launch.stderr is not None
    url, told = "", []
    async with asyncio.timeout(READY_S):
        while not url:
            line = (await launch.stderr.readline()).decode()
            assert line, "".join(told)
            told.append(line)
            if "everything is ready: " in line:
                url = line.rpartition(" ")[2].strip()
    children = children_of(launch.pid)
    assert len(children) == 3
    reading = asyncio.create_task(launch.stderr.read())
    problem = demo_models.problems()[0]
    answer = await asyncio.to_thread(ask, url, problem.question)
    assert is_right(problem.answer, answer["choices"][0]["message"]["content"])
    assert answer["choices"][0]["relaygen"]["handoffs"] > 0
    answer = await asyncio.to_thread(ask, url, problem.question, response_format=APPLES)
    assert json.loads(answer["choices"][0]["message"]["content"]) in ("apples", "boxes")
    launch.send_signal(signal.SIGINT)
    async with asyncio.timeout(90):
        assert await launch.wait() == 0
        await reading
    for pid in children:
        await until_gone(pid)
