"""What the margins say after each opener, and whether the small model copies what it is handed."""

from __future__ import annotations

import random
import re
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor

from training.documents import render_prompt
from training.handover import has_ended
from training.lockstep import Row, generate
from training.model import ModelConfig
from training.stories import Problem
from training.tokenizer import THINK_END
from training.traces import AMBIGUOUS, DECOYS, TRUE_CUES, easy_sentences, write_completion

_OPENERS = (*TRUE_CUES, *AMBIGUOUS, *DECOYS)


def _sentences(row: Row, tokenizer: Tokenizer) -> Iterator[tuple[str, list[float]]]:
    """Yields the text and the margins of every sentence of the reasoning."""
    end = tokenizer.token_to_id(THINK_END)
    text, margins = "", list[float]()
    for token, margin in zip(row.tokens, row.margins, strict=True):
        if token == end:
            break
        piece = tokenizer.decode([token], skip_special_tokens=False)
        if has_ended(text, piece):
            yield text, margins
            text, margins = "", []
        text += piece
        margins = [*margins, margin]
    if text:
        yield text, margins


def by_opener(rows: Sequence[Row], tokenizer: Tokenizer) -> dict[str, dict[str, float]]:
    """The mean margin of the tokens after each opener, averaged over sentences.

    Sentences with no opener of the list count from their third token on, as long as a cue is.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for text, margins in _sentences(row, tokenizer):
            opener = next((o for o in _OPENERS if text.strip().startswith(o)), "(none)")
            skip = len(tokenizer.encode(opener).ids) if opener != "(none)" else 2
            if len(margins) > skip:
                found[opener].append(statistics.fmean(margins[skip:]))
    out = {}
    for opener in (*_OPENERS, "(none)"):
        values = found[opener]
        if len(values) > 1:
            spread = statistics.stdev(values) / len(values) ** 0.5
            mean = statistics.fmean(values)
            out[opener] = {
                "sentences": len(values),
                "margin": round(mean, 5),
                "se": round(spread, 5),
            }
    return out


class _OneSentence:
    """Ends a row when its sentence has ended."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        size = tokenizer.get_vocab_size()
        self.text = [tokenizer.decode([i], skip_special_tokens=False) for i in range(size)]
        self.sofar: dict[int, str] = {}

    def __call__(self, row: int, state: Row, proposals: Sequence[int]) -> int | None:
        piece = self.text[proposals[0]]
        if has_ended(self.sofar.get(row, ""), piece) or piece.startswith("<"):
            return None
        self.sofar[row] = self.sofar.get(row, "") + piece
        return 0


def copying(
    small: tuple[ModelConfig, dict[str, Tensor]],
    problems: Sequence[Problem],
    tokenizer: Tokenizer,
    *,
    temperature: float,
    seed: int,
    batch: int = 250,
) -> dict[str, Any]:
    """Hands the small model every easy sentence of right traces, and counts those it writes exactly.

    Right is every wording that the traces may use, with all names and numbers as they should be.
    """
    prompts, allowed = [], []
    for problem in problems:
        prompt = render_prompt([{"role": "user", "content": problem.question}])
        text = ""
        for sentence in write_completion(problem, random.Random(f"{seed}/copying/{problem.id}")):
            if sentence.label == "easy":
                opener = re.match(r"\s*\w+,", sentence.text)
                assert opener is not None, sentence
                prompts.append(tokenizer.encode(prompt + text + opener[0]).ids)
                allowed.append(easy_sentences(problem))
            text += sentence.text
    right, wrong = 0, []
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for first in range(0, len(order), batch):
        part = order[first : first + batch]
        rows = generate(
            [small], [prompts[i] for i in part], _OneSentence(tokenizer),
            temperature=temperature, seed=seed + first, max_tokens=100,
        )  # fmt: skip
        for i, row in zip(part, rows, strict=True):
            written = tokenizer.decode(row.tokens, skip_special_tokens=False).strip()
            right += written in allowed[i]
            if written not in allowed[i]:
                wrong.append(written)
    rate = round(right / len(prompts), 4)
    return {"sentences": len(prompts), "exact": right, "rate": rate, "wrong": wrong[:8]}
