"""Collects trajectories of the large model and has both models score them.

Many are written at once. What is written is noted in the store as it comes, and a run that was
interrupted goes on in the middle of its trajectories.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from relaygen.chat import ChatEncoder, PromptTokens
from relaygen.datasets import Question
from relaygen.engines.base import Engine, GenerateRequest
from relaygen.errors import ContextLengthError, EngineError, InvalidRequestError
from relaygen.profiling.stages import reasoning_span
from relaygen.profiling.store import Key, TrajectoryStore
from relaygen.profiling.trajectories import UNKNOWN, Record, columns_of
from relaygen.relay.vocabulary import Detokeniser
from relaygen.types import LegEnd, Sampling, TokenScore

_NOTE_EVERY = 128
_SCORED_AT_ONCE = 512
"""Rows of logits that an engine in this process holds at a time."""

_Values = dict[str, list[Any]]
_OF_LARGE = ("token_id", "margin", "logprob", "entropy", "own_choice")


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectOptions:
    """How trajectories are written.

    Attributes:
        samples: trajectories of each question.
        seed: of all of them; each has one of its own that comes from it.
        max_tokens: of one; None: what the context holds.
        at_once: how many are written at a time.
        sampling: how the large model draws.
        score_written: have the large model read what it wrote, for its margins; False: note them
            while it writes. Without prompt scoring the latter is done in any case.
    """

    samples: int = 1
    seed: int = 0
    max_tokens: int | None = None
    at_once: int = 8
    sampling: Sampling
    score_written: bool = True

    def __post_init__(self) -> None:
        for name in ("samples", "at_once", *(() if self.max_tokens is None else ("max_tokens",))):
            if getattr(self, name) < 1:
                raise InvalidRequestError(
                    f"{name} is {getattr(self, name)}; it must be at least 1", param=name
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a collection is.

    Attributes:
        done: trajectories that are whole.
        total: that there will be.
        tokens: written since this run began.
    """

    done: int
    total: int
    tokens: int


Right = Callable[[Question, str], bool]
"""Whether an answer's text is right."""


async def collect(
    large: Engine,
    small: Engine | None,
    encoder: ChatEncoder,
    questions: Sequence[Question],
    store: TrajectoryStore,
    options: CollectOptions,
    *,
    told: Callable[[Progress], None] = lambda _: None,
    right: Right | None = None,
) -> None:
    """Writes and scores what the store does not hold yet.

    Args:
        large: writes, and scores what it wrote.
        small: scores what the large one wrote; None, or no prompt scoring: agreement stays unknown.
        encoder: of the large model's chat template.
        questions: to be asked.
        store: takes every trajectory when it is whole.
        options: how they are written.
        told: called as it goes on.
        right: judges answers, where their questions have one.

    Raises:
        InvalidRequestError: something cannot be honoured by the engine.
        EngineError: a model failed; what is whole stays, and what was begun goes on next time.
    """
    work = _Collection(large, small, encoder, store, options, told, right)
    jobs = [
        (question, sample)
        for sample in range(options.samples)
        for question in questions
        if (question.id, sample) not in store.keys
    ]
    await work.run(jobs, len(questions) * options.samples)


class _Collection:
    def __init__(
        self,
        large: Engine,
        small: Engine | None,
        encoder: ChatEncoder,
        store: TrajectoryStore,
        options: CollectOptions,
        told: Callable[[Progress], None],
        right: Right | None,
    ) -> None:
        self._large = large
        self._small = small if small and small.capabilities().prompt_scoring else None
        self._encoder = encoder
        self._store = store
        self._options = options
        self._told = told
        self._right = right
        self._afterwards = options.score_written and large.capabilities().prompt_scoring
        self._begun = store.begun()
        self._total = self._tokens = 0

    async def run(self, jobs: Sequence[tuple[Question, int]], total: int) -> None:
        self._total = total
        self._tell()
        waiting = iter(jobs)

        async def worker() -> None:
            for question, sample in waiting:
                await self._one(question, sample)

        workers = [asyncio.ensure_future(worker()) for _ in range(self._options.at_once)]
        try:
            await asyncio.gather(*workers)
        finally:
            for task in workers:
                task.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _one(self, question: Question, sample: int) -> None:
        prompt = self._encoder.encode([{"role": "user", "content": question.question}])
        key = (question.id, sample)
        name = f"profile-{_seed(self._options.seed, key)}"
        values, end = await self._write(prompt, key, name)
        ids: list[int] = values["token_id"]
        if self._afterwards:
            _take_large(values, await _score(self._large, prompt.ids, ids, name))
        if self._small is None:
            values["agrees"], values["small_logprob"] = [UNKNOWN] * len(ids), [math.nan] * len(ids)
        else:
            scores = await _score(self._small, prompt.ids, ids, name)
            values["agrees"] = [_flag(score.likeliest) for score in scores]
            values["small_logprob"] = [score.logprob for score in scores]
        self._store.append(self._record(question, sample, prompt, ids, end), columns_of(values))
        self._tell()

    async def _write(self, prompt: PromptTokens, key: Key, name: str) -> tuple[_Values, str]:
        """Writes a trajectory, or goes on with one."""
        names = ("token_id",) if self._afterwards else _OF_LARGE
        values: _Values = self._begun.pop(key, {n: [] for n in names})
        noted = len(values["token_id"])
        eos_ids = self._encoder.tokenizer.eos_ids
        room = self._room(prompt) - noted
        if noted and values["token_id"][-1] in eos_ids:
            return values, LegEnd.EOS
        if room < 1:
            return values, LegEnd.LENGTH
        request = GenerateRequest(
            prompt=(*prompt.ids, *values["token_id"]),
            max_tokens=room,
            sampling=replace(self._options.sampling, seed=_seed(self._options.seed, key)),
            eos_ids=eos_ids,
            want_scores=not self._afterwards,
            generated_from=len(prompt.ids),
            generation_id=name,
        )
        end = LegEnd.LENGTH
        outputs = self._large.generate(request)
        try:
            async for output in outputs:
                values["token_id"] += output.token_ids
                if not self._afterwards:
                    _add_large(values, output.scores or ())
                self._tokens += len(output.token_ids)
                if len(values["token_id"]) - noted >= _NOTE_EVERY:
                    noted = self._note(key, values, noted)
                    self._tell()
                end = output.end or end
        finally:
            self._note(key, values, noted)
            await outputs.aclose()
        if not values["token_id"]:
            raise EngineError(f"the large model wrote nothing for question {key[0]!r:.80}")
        return values, end

    def _room(self, prompt: PromptTokens) -> int:
        engines = [self._large, *([self._small] if self._small else [])]
        room = min(e.capabilities().context_tokens for e in engines) - len(prompt.ids)
        if room < 1:
            raise ContextLengthError(
                f"a prompt has {len(prompt.ids):,} tokens, and fills the context of a model: "
                "open the models with a larger one, or leave the question out",
                param="questions",
            )
        return min(room, self._options.max_tokens or room)

    def _note(self, key: Key, values: _Values, noted: int) -> int:
        new = {name: column[noted:] for name, column in values.items()}
        if new["token_id"]:
            self._store.note(key, new)
        return len(values["token_id"])

    def _record(
        self, question: Question, sample: int, prompt: PromptTokens, ids: list[int], end: str
    ) -> Record:
        tokenizer = self._encoder.tokenizer
        start, stop = reasoning_span(
            ids, self._encoder.reasoning, prompt.first_stage, tokenizer, tokenizer.eos_ids
        )
        right = None
        if self._right is not None and question.answer is not None:
            push = Detokeniser(tokenizer).push
            answer = "".join(push(i) for i in ids[stop if self._encoder.reasoning else start :])
            right = self._right(question, answer)
        return Record(
            question=question.id,
            sample=sample,
            prompt_tokens=len(prompt.ids),
            tokens=len(ids),
            reasoning=(start, stop),
            end=str(end),
            right=right,
        )

    def _tell(self) -> None:
        done = len(self._store.records)
        self._told(Progress(done=done, total=max(self._total, done), tokens=self._tokens))


async def _score(
    engine: Engine, prompt: Sequence[int], ids: Sequence[int], name: str
) -> list[TokenScore]:
    """One score a token; in pieces where the whole distributions lie in this process."""
    whole = [*prompt, *ids]
    step = _SCORED_AT_ONCE if engine.capabilities().exact_scores else len(ids)
    scores: list[TokenScore] = []
    for first in range(len(prompt), len(whole), step):
        scores += await engine.score(whole[: first + step], first, generation_id=name)
    return scores


def _take_large(values: _Values, scores: Sequence[TokenScore]) -> None:
    for name in _OF_LARGE[1:]:
        values[name] = []
    _add_large(values, scores)


def _add_large(values: _Values, scores: Sequence[TokenScore]) -> None:
    for score in scores:
        values["margin"].append(score.margin)
        values["logprob"].append(score.logprob)
        values["entropy"].append(math.nan if score.entropy is None else score.entropy)
        values["own_choice"].append(_flag(score.likeliest))


def _flag(known: bool | None) -> int:
    return UNKNOWN if known is None else int(known)


def _seed(seed: int, key: Key) -> int:
    text = f"{seed}/{key[0]}/{key[1]}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little")
