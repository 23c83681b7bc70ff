from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from relaygen.engines.base import GenerateRequest
from relaygen.engines.llama_cpp import LlamaCppEngine, ModelOptions
from relaygen.engines.llama_cpp.jobs import Job
from relaygen.engines.llama_cpp.model import LlamaModel
from relaygen.errors import EngineError, EngineUnavailableError, InvalidRequestError
from relaygen.types import Sampling
from tests.engines.llama_cpp_models import (
    CONTEXT,
    VOCABULARY,
    prompt,
    request,
    tiny_mamba,
    tiny_qwen3,
)


async def write(engine: LlamaCppEngine, leg: GenerateRequest) -> tuple[tuple[int, ...], int]:
    """Returns the tokens, and how many prompt tokens had to be read."""
    outputs = [output async for output in engine.generate(leg)]
    evaluated = outputs[0].prompt_evaluated
    assert evaluated is not None
    return tuple(token for output in outputs for token in output.token_ids), evaluated


@pytest.fixture(params=[tiny_qwen3, tiny_mamba], ids=["attention", "recurrent"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[LlamaCppEngine]:
    opened = LlamaCppEngine(
        request.param(), ModelOptions(sequences=4, context_tokens=CONTEXT, read_threads=1)
    )
    yield opened
    await opened.aclose()


@pytest.fixture
async def two_sequences() -> AsyncIterator[LlamaCppEngine]:
    opened = LlamaCppEngine(tiny_qwen3(), ModelOptions(sequences=2, read_threads=1))
    yield opened
    await opened.aclose()


async def test_a_handoff_reads_only_what_the_other_model_wrote(engine: LlamaCppEngine) -> None:
    tokens = prompt(30)
    expected_reads = [30, 6, 6]
    for reads in expected_reads:
        written, evaluated = await write(engine, request(tokens, 4))
        assert evaluated == reads
        tokens += written + prompt(5, seed=len(tokens))


async def test_a_model_that_cannot_rewind_reads_everything_again(engine: LlamaCppEngine) -> None:
    tokens = prompt(30)
    written, _ = await write(engine, request(tokens, 8))
    changed = tokens + written[:3] + prompt(2, seed=1)
    rest, evaluated = await write(engine, request(changed, 8))
    assert evaluated == (2 if engine.capabilities().rewind else len(changed))
    assert rest == (await write(engine, request(changed, 8, generation_id="")))[0]


async def test_legs_at_once_write_what_they_write_alone(engine: LlamaCppEngine) -> None:
    legs = [request(prompt(5 + 3 * i, seed=i), 30, f"{i}") for i in range(10)]
    alone = [(await write(engine, leg))[0] for leg in legs]
    together = await asyncio.gather(*(write(engine, leg) for leg in legs))
    assert [tokens for tokens, _ in together] == alone


async def test_legs_at_once_share_their_steps(two_sequences: LlamaCppEngine) -> None:
    steps = count_steps(two_sequences)
    first, second = prompt(10), prompt(10, seed=1)
    await asyncio.gather(
        write(two_sequences, request(first, 50, "a")),
        write(two_sequences, request(second, 50, "b")),
    )
    assert sum(len(pieces) for pieces in steps) == 100
    assert len(steps) < 60


async def test_a_long_prompt_does_not_hold_up_a_leg_that_writes(
    two_sequences: LlamaCppEngine,
) -> None:
    two_sequences._model.step_tokens = 16
    steps = count_steps(two_sequences)
    begun, release = threading.Event(), threading.Event()

    def sink(output: object) -> bool:
        begun.set()
        return release.wait(60)

    two_sequences.submit(request(prompt(4), 60, "writer"), sink)
    assert await asyncio.to_thread(begun.wait, 60)
    reader = asyncio.create_task(write(two_sequences, request(prompt(300, seed=1), 1, "reader")))
    await asyncio.sleep(0)
    release.set()
    await reader
    shared = [pieces for pieces in steps if len(pieces) == 2]
    assert len(shared) >= 10
    assert all(sum(len(piece.tokens) for piece in pieces) <= 16 for pieces in shared)


async def test_the_least_recently_used_sequence_makes_room(two_sequences: LlamaCppEngine) -> None:
    legs = {name: prompt(20, seed=i) for i, name in enumerate("abc")}
    for name in ("a", "b", "a", "c"):
        await write(two_sequences, request(legs[name], 2, name))
    assert (await write(two_sequences, request(legs["a"], 2, "a")))[1] == 1
    assert (await write(two_sequences, request(legs["b"], 2, "b")))[1] == 20


async def test_more_legs_than_sequences_wait_their_turn(two_sequences: LlamaCppEngine) -> None:
    legs = [request(prompt(6, seed=i), 12, f"{i}") for i in range(9)]
    results = await asyncio.gather(*(write(two_sequences, leg) for leg in legs))
    assert all(len(tokens) == 12 for tokens, _ in results)


async def test_the_next_turn_of_a_chat_finds_the_last_one(engine: LlamaCppEngine) -> None:
    first = prompt(40)
    written, _ = await write(engine, request(first, 6, "turn 1"))
    second = first + written + prompt(10, seed=1)
    assert (await write(engine, request(second, 4, "turn 2")))[1] == 11


async def test_one_score_of_a_short_segment_is_one_step(two_sequences: LlamaCppEngine) -> None:
    tokens = prompt(40)
    await two_sequences.prefill(tokens[:25], "one")
    steps = count_steps(two_sequences)
    scores = await two_sequences.score(tokens, 26, generation_id="one")
    assert len(scores) == 14
    assert [[len(piece.tokens) for piece in pieces] for pieces in steps] == [[14]]
    assert (await write(two_sequences, request(tokens, 1)))[1] == 1


async def test_scores_in_parts_are_the_same(two_sequences: LlamaCppEngine) -> None:
    tokens = prompt(60)
    whole = await two_sequences.score(tokens, 5)
    two_sequences._model.step_outputs = 7
    in_parts = await two_sequences.score(tokens, 5)
    assert [score.logprob for score in in_parts] == pytest.approx(
        [score.logprob for score in whole], abs=1e-2
    )


class Speculation(Job):
    """Evaluates drafts of which the last are wrong, takes those back, and goes on."""

    def __init__(self, model: LlamaModel, tokens: tuple[int, ...], drafts: tuple[int, ...]) -> None:
        super().__init__(tokens, keep_at_most=0, outputs=1, generation_id="one")
        self.written: list[int] = []
        self.done = threading.Event()
        self._model = model
        self._drafts = drafts

    def receive(self, first: int, count: int) -> None:
        best = [int(self._model.logits(first + i).argmax()) for i in range(count)]
        if not self.written:
            self.written = best
            self.pending, self.outputs = (best[0], *self._drafts), 1 + len(self._drafts)
        elif count > 1:
            agreed = 0
            while agreed < len(self._drafts) and best[agreed] == self._drafts[agreed]:
                agreed += 1
            self.written += best[: agreed + 1]
            self.rewind_to = len(self.prompt) + 1 + agreed
            self.pending, self.outputs = (best[agreed],), 1
        else:
            self.written += best

    def finish(self) -> None:
        self.done.set()


@pytest.mark.parametrize("right", [0, 2, 5])
async def test_a_job_may_speculate_and_take_back(engine: LlamaCppEngine, right: int) -> None:
    tokens = prompt(20)
    expected = (await write(engine, request(tokens, right + 3, "")))[0]
    wrong = tuple((token + 1) % VOCABULARY for token in expected[1 + right : 3 + right])
    job = Speculation(engine._model, tokens, expected[1 : 1 + right] + wrong)
    engine._loop.add(job)
    assert await asyncio.to_thread(job.done.wait, 60)
    assert tuple(job.written) == expected


async def test_a_prefix_that_is_cached_already_costs_nothing(engine: LlamaCppEngine) -> None:
    tokens = prompt(20)
    await write(engine, request(tokens, 10))
    before = engine.tokens_evaluated
    await engine.prefill(tokens[:15], "one")
    assert engine.tokens_evaluated == before


async def test_a_hint_is_read_when_there_is_nothing_else_to_do(engine: LlamaCppEngine) -> None:
    tokens = prompt(80)
    engine.submit_prefill(tokens, "one")
    while engine.tokens_evaluated < 80:
        await asyncio.sleep(0.001)
    assert (await write(engine, request((*tokens, 5), 1)))[1] == 1


async def test_a_long_read_that_nobody_needs_is_broken_off(engine: LlamaCppEngine) -> None:
    """Whatever the moment at which it is cancelled, the sequence stays sound."""
    tokens = prompt(300)
    expected = (await write(engine, request(tokens, 4, "fresh")))[0]
    for delay in (0.0, 0.001, 0.002, 0.004):
        leg = engine.submit(request(tokens[:250], 4, f"{delay}"), lambda output: True)
        await asyncio.sleep(delay)
        leg.cancel()
        assert (await write(engine, request(tokens, 4, f"{delay}")))[0] == expected


async def test_a_sink_that_raises_ends_its_own_leg_only(
    engine: LlamaCppEngine, caplog: pytest.LogCaptureFixture
) -> None:
    def sink(output: object) -> bool:
        raise RuntimeError("a bug of the caller's")

    engine.submit(request(prompt(5), 20, "broken"), sink)
    assert len((await write(engine, request(prompt(5), 20, "whole")))[0]) == 20
    assert "a bug of the caller's" in caplog.text


async def test_a_failed_step_leaves_the_engine_usable(engine: LlamaCppEngine) -> None:
    expected = (await write(engine, request(prompt(12), 8, "")))[0]
    evaluate = engine._model.evaluate

    def fail(pieces: object) -> list[int]:
        raise EngineError("out of memory, or so the test says")

    engine._model.evaluate = fail  # type: ignore[method-assign]
    with pytest.raises(EngineError, match="out of memory"):
        await write(engine, request(prompt(12), 8))
    engine._model.evaluate = evaluate  # type: ignore[method-assign]
    assert (await write(engine, request(prompt(12), 8)))[0] == expected


async def test_a_bug_in_the_loop_ends_every_leg(engine: LlamaCppEngine) -> None:
    def fail(pieces: object) -> list[int]:
        raise KeyError("a bug of ours")

    engine._model.evaluate = fail  # type: ignore[method-assign]
    with pytest.raises(EngineError, match="a bug of ours"):
        await write(engine, request(prompt(12), 8))
    with pytest.raises(EngineUnavailableError):
        await write(engine, request(prompt(12), 8))


async def test_a_bias_on_a_token_that_is_none_is_refused(engine: LlamaCppEngine) -> None:
    sampling = Sampling(logit_bias={VOCABULARY: 1.0})
    with pytest.raises(InvalidRequestError, match=str(VOCABULARY)):
        await write(engine, request(prompt(4), sampling=sampling))


def count_steps(engine: LlamaCppEngine) -> list[list[object]]:
    """Every later step's pieces."""
    steps: list[list[object]] = []
    evaluate = engine._model.evaluate

    def recorded(pieces: list[object]) -> list[int]:
        steps.append(list(pieces))
        return evaluate(pieces)  # type: ignore[arg-type]

    engine._model.evaluate = recorded  # type: ignore[method-assign,assignment]
    return steps
