from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relaygen import demo_models
from relaygen.api import Model, open_model
from relaygen.chat import ChatEncoder, FirstStage, ReasoningFormat
from relaygen.datasets import Question
from relaygen.demo_models.grading import is_right
from relaygen.engines.base import EngineOutput, GenerateRequest
from relaygen.engines.simulated import RandomModel, SimulatedEngine
from relaygen.errors import EngineError
from relaygen.profiling.collecting import CollectOptions, Progress, collect
from relaygen.profiling.stages import reasoning_span
from relaygen.profiling.store import TrajectoryStore
from relaygen.profiling.trajectories import Trajectories
from relaygen.types import Sampling

SAMPLING = Sampling(temperature=0.6, top_k=20, top_p=0.95)
QUESTIONS = [
    Question(id=p.id, question=p.question, answer=p.answer) for p in demo_models.problems()[:3]
]


Pair = tuple[Model, Model]


@pytest.fixture(scope="module")
def pair() -> Pair:
    large, small = (
        open_model(demo_models.gguf(role), context_tokens=2048, threads=1)
        for role in ("large", "small")
    )
    return large, small


@pytest.fixture
def noise(pair: Pair) -> Pair:
    """Engines of which every run is equal to the last bit."""
    engines = [
        SimulatedEngine(RandomModel(1024, seed=seed), inline=True, context_tokens=2048)
        for seed in (1, 2)
    ]
    large, small = (replace(m, engine=e) for m, e in zip(pair, engines, strict=True))
    return large, small


class Breaking:
    """The engine, whose legs break off after some tokens, once each."""

    def __init__(self, engine: Any, after: int) -> None:
        self._engine, self._after, self.legs = engine, after, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[EngineOutput]:
        self.legs += 1
        count = 0
        async for output in self._engine.generate(request):
            yield output
            count += 1
            if count == self._after:
                raise EngineError("broken")


async def run(pair: Pair, folder: Path, *, large: Any = None, **options: Any) -> Trajectories:
    given = {"sampling": SAMPLING, "at_once": 3, "max_tokens": 250, **options}
    with TrajectoryStore(folder, {}) as store:
        await collect(
            large or pair[0].engine,
            pair[1].engine,
            ChatEncoder(pair[0].tokenizer),
            QUESTIONS,
            store,
            CollectOptions(**given),
            right=lambda q, answer: is_right(q.answer or "", answer),
        )
        return store.load()


def by_key(found: Trajectories) -> dict[tuple[str, int], dict[str, Any]]:
    return {(r.question, r.sample): found.of(i) for i, r in enumerate(found.records)}


async def test_margins_are_the_same_scored_or_noted_while_writing(
    pair: Pair, tmp_path: Path
) -> None:
    scored = by_key(await run(pair, tmp_path / "scored"))
    noted = by_key(await run(pair, tmp_path / "noted", score_written=False))
    assert scored.keys() == noted.keys()
    close = total = 0
    for key, columns in scored.items():
        other = noted[key]
        assert (columns["token_id"] == other["token_id"]).all()
        assert (columns["agrees"] == other["agrees"]).all()
        for name in ("margin", "logprob", "entropy"):
            # Q8_0 rounds a batch of another size another way.
            assert np.abs(columns[name] - other[name]).max() < 0.1
            close += int((np.abs(columns[name] - other[name]) < 1e-2).sum())
            total += len(columns[name])
        assert (columns["own_choice"] != other["own_choice"]).mean() < 0.01
    assert close / total > 0.99


async def test_a_collection_that_broke_off_goes_on_in_mid_trajectory(
    noise: Pair, tmp_path: Path
) -> None:
    whole = by_key(await run(noise, tmp_path / "whole", score_written=False))
    large = Breaking(noise[0].engine, after=90)
    broken = 0
    for _ in range(20):
        try:
            found = await run(noise, tmp_path / "parts", large=large, score_written=False)
            break
        except EngineError:
            broken += 1
    assert broken >= 2
    again = by_key(found)
    assert whole.keys() == again.keys()
    for key, columns in whole.items():
        assert (columns["token_id"] == again[key]["token_id"]).all()
        assert (columns["margin"] == again[key]["margin"]).all()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TrajectoryStore]:
    with TrajectoryStore(tmp_path / "t", {}) as opened:
        yield opened


async def test_cancelling_keeps_what_was_written(noise: Pair, store: TrajectoryStore) -> None:
    begun = asyncio.Event()

    def told(progress: Progress) -> None:
        if progress.tokens > 150:
            begun.set()

    options = CollectOptions(sampling=SAMPLING, at_once=4, max_tokens=250)
    encoder = ChatEncoder(noise[0].tokenizer)
    task = asyncio.ensure_future(
        collect(noise[0].engine, None, encoder, QUESTIONS, store, options, told=told)
    )
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    kept = sum(len(values["token_id"]) for values in store.begun().values())
    assert kept + sum(record.tokens for record in store.records) > 150


async def test_what_is_recorded(pair: Pair, tmp_path: Path) -> None:
    found = await run(pair, tmp_path / "t", max_tokens=None, samples=2)
    assert len(found.records) == 2 * len(QUESTIONS)
    assert found.has_small
    tokenizer = pair[0].tokenizer
    close = tokenizer.markup["</think>"]
    for index, record in enumerate(found.records):
        ids = found.of(index)["token_id"].tolist()
        if record.end == "eos":
            assert ids[-1] in tokenizer.eos_ids
            assert ids[record.reasoning[1]] == close
            assert record.right is not None
    assert sum(bool(record.right) for record in found.records) > len(QUESTIONS)
    # A second sample is drawn anew.
    first, second = (by_key(found)[QUESTIONS[0].id, s]["token_id"] for s in (0, 1))
    assert len(first) != len(second) or (first != second).any()


def test_reasoning_spans(pair: Pair) -> None:
    tokenizer = pair[0].tokenizer
    one = ReasoningFormat.with_tags("<think>", "</think>", tokenizer)
    many = ReasoningFormat.with_tags("[a]", "[/a]", tokenizer)

    def span(text: str, tags: ReasoningFormat | None, stage: FirstStage | None) -> str:
        ids = tokenizer.encode(text, parse_special=True)
        ids.append(min(tokenizer.eos_ids))
        start, stop = reasoning_span(ids, tags, stage, tokenizer, tokenizer.eos_ids)
        return tokenizer.decode(ids[start:stop])

    assert span("So it is</think>Yes", one, FirstStage.REASONING) == "So it is"
    assert span("So it is", one, FirstStage.REASONING) == "So it is"
    assert span("<think>So</think>Yes", one, FirstStage.UNDECIDED) == "So"
    assert span("Yes <think>So</think>", one, FirstStage.UNDECIDED) == ""
    assert span("So it is", one, FirstStage.ANSWER) == ""
    assert span("So it is", None, None) == "So it is"
    assert span("So it is [/a] Yes", many, FirstStage.REASONING).strip() == "So it is"
