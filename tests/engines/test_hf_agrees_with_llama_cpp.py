"""Two implementations of one model: what transformers and llama.cpp make of the embedded pair."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from tokenizers import Tokenizer

from relaygen import demo_models
from relaygen.engines.base import Engine, GenerateRequest
from relaygen.engines.registry import open_engine
from relaygen.types import Sampling

pytestmark = pytest.mark.hf

# llama.cpp rounds keys, values and the activations that F16 weights multiply; 0.003 was seen.
MARGIN_TOLERANCE = 0.01
LOGPROB_TOLERANCE = 0.02
PROBLEMS = 3
MAX_TOKENS = 120


@dataclass(frozen=True)
class Pair:
    reference: Engine
    llama_cpp: Engine
    tokenizer: Tokenizer

    def prompt(self, question: str) -> tuple[int, ...]:
        text = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n<think>\n"
        return tuple(self.tokenizer.encode(text, add_special_tokens=False).ids)


@pytest.fixture(params=["large", "small"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    folder = demo_models.hf_folder(request.param)
    opened = Pair(
        reference=open_engine("hf", folder, threads=1),
        llama_cpp=open_engine("llama_cpp", demo_models.gguf(request.param, "f16")),
        tokenizer=Tokenizer.from_file(str(folder / "tokenizer.json")),
    )
    yield opened
    await opened.reference.aclose()
    await opened.llama_cpp.aclose()


async def greedy(engine: Engine, prompt: tuple[int, ...]) -> tuple[int, ...]:
    request = GenerateRequest(
        prompt=prompt, max_tokens=MAX_TOKENS, sampling=Sampling(temperature=0.0)
    )
    return tuple([t async for output in engine.generate(request) for t in output.token_ids])


async def test_they_write_the_same_and_are_as_sure_of_it(pair: Pair) -> None:
    for problem in demo_models.problems()[:PROBLEMS]:
        prompt = pair.prompt(problem.question)
        expected = await greedy(pair.reference, prompt)
        written = await greedy(pair.llama_cpp, prompt)
        exact = await pair.reference.score(prompt + expected, len(prompt))
        rounded = await pair.llama_cpp.score(prompt + expected, len(prompt))
        for left, right in zip(exact, rounded, strict=True):
            assert right.margin == pytest.approx(left.margin, abs=MARGIN_TOLERANCE)
            assert right.logprob == pytest.approx(left.logprob, abs=LOGPROB_TOLERANCE)
        # Rounding may choose only where the best two tokens are that close to each other.
        places = range(MAX_TOKENS)
        parting = next((i for i in places if written[i] != expected[i]), None)
        assert parting is None or exact[parting].margin < MARGIN_TOLERANCE
