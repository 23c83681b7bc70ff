"""``relaygen profile`` of the embedded pair behind two real vLLM servers, against llama.cpp in this process."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from relaygen import demo_models, profiles
from relaygen.api import open_model
from relaygen.chat import ChatEncoder
from relaygen.datasets import read_questions
from relaygen.launch.ports import free_ports
from relaygen.launch.server import ModelServer
from relaygen.launch.vllm import vllm_command
from relaygen.profiling import load_trajectories
from relaygen.types import TokenScore
from tests.launch.test_embedded_pair import READY_S, VLLM_PYTHON

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not VLLM_PYTHON, reason="vLLM is not installed"),
]
FOLDER = demo_models.hf_folder("large")
QUESTIONS = 8
KEY = "of this test"


@asynccontextmanager
async def vllm(role: demo_models.Role, port: int) -> AsyncIterator[str]:
    """A server as `relaygen launch` starts it, with a key that is known here."""
    server = ModelServer(
        name=role,
        model=demo_models.hf_folder(role),
        port=port,
        key="key",
        context_tokens=2048,
        slots=None,
        threads=1,
    )
    command = vllm_command(server, python=VLLM_PYTHON)
    environment = command.full_environment(os.environ, {"key": KEY})
    process = await asyncio.create_subprocess_exec(
        *command.argv, env=environment, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def ready(url: str) -> None:
    async with asyncio.timeout(READY_S), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/health") as reply:
                    if reply.status == 200:
                        return
            except aiohttp.ClientError:
                await asyncio.sleep(0.5)


async def profile(large: str, small: str, out: Path) -> None:
    arguments = [
        *("--large", large, "--small", small, "--api-key-env", "VLLM_TEST_KEY"),
        *("--tokenizer", str(FOLDER), "--questions", str(demo_models.calibration())),
        *("--limit", str(QUESTIONS), "--no-report", "-o", str(out)),
    ]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relaygen", "profile", *arguments),
        env={**os.environ, "VLLM_TEST_KEY": KEY},
    )
    assert await process.wait() == 0


async def scores(
    role: demo_models.Role, texts: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> list[TokenScore]:
    """By llama.cpp, of what follows each prompt."""
    model = open_model(demo_models.gguf(role, "f16"), context_tokens=2048, threads=1)
    found: list[TokenScore] = []
    for prompt, ids in texts:
        found += await model.engine.score([*prompt, *ids], len(prompt))
    await model.engine.aclose()
    return found


async def test_a_profile_over_vllm_is_that_of_llama_cpp(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "p.json"
    ports = free_ports(2)
    with capsys.disabled():
        async with vllm("large", ports[0]) as large, vllm("small", ports[1]) as small:
            await asyncio.gather(ready(large), ready(small))
            await profile(large, small, out)
    cues = {cue.text for cue in profiles.load(out).cues}
    assert cues & set(demo_models.cues())
    assert not cues & {"Wait,", "Hmm,", "Let me see,", "First,", "Next,"}

    found = load_trajectories(tmp_path / "p-trajectories")
    asked = {q.id: q.question for q in read_questions(demo_models.calibration()).questions}
    encoder = ChatEncoder(open_model(demo_models.gguf("large", "f16")).tokenizer)
    texts = []
    for index, record in enumerate(found.records):
        prompt = encoder.encode([{"role": "user", "content": asked[record.question]}]).ids
        texts.append((prompt, found.of(index)["token_id"].tolist()))
    margins = np.array([score.margin for score in await scores("large", texts)])
    agrees = np.array([score.likeliest for score in await scores("small", texts)])
    apart = np.abs(found.columns["margin"] - margins)
    same = (found.columns["agrees"] == agrees).mean()
    with capsys.disabled():
        print(
            f"\n{len(found.records)} trajectories, {found.tokens:,} tokens: margins of vLLM (F32) and "
            f"llama.cpp (F16) differ by {apart.mean():.5f} on average, at most {apart.max():.4f}; "
            f"the small model agrees or not alike for {same:.2%} of the tokens"
        )
    assert apart.max() < 0.01
    assert same > 0.998  # near ties fall either way in another precision
