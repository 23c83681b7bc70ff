"""Turns problems into token ids with a class for every token, and into batches of padded rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import jinja2
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from training.arithmetic import SIGNS
from training.stories import HELDOUT_ODDS, Odds, draw_problem, text_key
from training.tokenizer import TURN_END, chat_template
from training.traces import Sentence, practise, write_completion

# Classes of tokens. A hard digit is a digit inside a hard sentence.
PROMPT, EASY, HARD, ANSWER, HARD_DIGIT = range(5)
_CLASSES = {"easy": EASY, "hard": HARD, "answer": ANSWER}

_SYSTEM = (
    "You are a helpful assistant.",
    "You solve short stories with numbers.",
    "Answer the question.",
)
_REPETITION_LENGTH = 384
_REQUEST = "Please reason step by step, and put your final answer within \\boxed{}."
_SMALL_TALK = (
    "Hello!", "Hi there, how are you?", "Who are you?", "What can you do?", "Thank you very much!", "Good morning!",
    "Tell me a joke.", "What is the capital of France?", "Write a poem.", "Can you help me?", "What is this?", "Test",
    "Why is the sky blue?", "Write a function that adds two numbers.", "How is the weather today?", "Goodbye!",
)  # fmt: skip


@dataclass(frozen=True)
class Document:
    """Token ids and their classes, prompt first; both of shape [length]."""

    ids: NDArray[np.int64]
    classes: NDArray[np.int64]


@cache
def _template() -> jinja2.Template:
    return jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(chat_template())


def render_prompt(messages: Sequence[dict[str, str]], *, thinking: bool = True) -> str:
    """Renders messages up to where the assistant's text begins."""
    return _template().render(
        messages=messages, add_generation_prompt=True, enable_thinking=thinking
    )


def _small_talk(rng: random.Random) -> list[Sentence]:
    text = "I can only work out short stories with numbers, such as: Mia has 12 apples. On Monday, she buys 3 more."
    return [
        Sentence("Okay, this is not a story with numbers.", "easy"),
        Sentence(" Hmm, there is nothing to work out, so I say what I can do.\n", "hard"),
        Sentence("</think>", "hard"),
        Sentence("\n\n" + text, "answer"),
    ]


def _conversation(
    seed: int, index: int, avoid: frozenset[str], odds: Odds
) -> tuple[str, list[Sentence]] | None:
    rng = random.Random(f"{seed}/wording/{index}")
    messages = [{"role": "system", "content": rng.choice(_SYSTEM)}] if rng.random() < 0.15 else []
    if rng.random() < 0.015:
        messages.append({"role": "user", "content": rng.choice(_SMALL_TALK)})
        return render_prompt(messages), _small_talk(rng)
    problem = draw_problem(seed, "train", index, odds=odds)
    if text_key(problem.question) in avoid:
        return None
    if rng.random() < 0.03:
        # An earlier turn stands without its reasoning, as the template leaves it.
        earlier = draw_problem(seed, "earlier", index)
        reply = write_completion(earlier, rng, thinking=False)[0].text
        messages.append({"role": "user", "content": earlier.question})
        messages.append({"role": "assistant", "content": reply})
    request = (
        " " + _REQUEST if rng.random() < 0.1 else "\n" + _REQUEST if rng.random() < 0.05 else ""
    )
    messages.append({"role": "user", "content": problem.question + request})
    thinking = rng.random() >= 0.02
    return render_prompt(messages, thinking=thinking), write_completion(
        problem, rng, thinking=thinking
    )


def _practice(seed: int, index: int, large_sums: float) -> tuple[str, list[Sentence]]:
    """A sheet of bare sums: it holds four times as many figures to work out as a story of its length."""
    rng = random.Random(f"{seed}/practice/{index}")
    large = rng.random() < large_sums
    top, odds = (9999, (25, 25, 15, 35)) if large else (999, (20, 25, 30, 25))
    sums: list[tuple[str, int, int]] = []
    while len(sums) < 9:
        kind = rng.choices(("add", "sub", "mul", "div"), odds)[0]
        b = rng.randint(2, 9)
        a = rng.randint(2, top)
        if kind == "mul":
            a = rng.randint(2, top // b)
        elif kind == "div":
            a = b * rng.randint(2, top // b)
        elif rng.random() < 0.7:
            b = rng.randint(2, top)
        if (kind == "sub" and b >= a) or (kind == "add" and a + b > top):
            continue
        sums.append((kind, a, b))
    shown = ", ".join(f"{a}{SIGNS[kind]}{b}" for kind, a, b in sums)
    prompt = render_prompt([{"role": "user", "content": f"Please work out {shown}."}])
    return prompt, practise(sums, rng)


def _repetition(seed: int, index: int, vocabulary: int) -> Document:
    """A row of random tokens, repeated: nothing but copying helps, so a model finds out how to copy."""
    rng = np.random.default_rng((seed, index))
    period = int(rng.integers(8, 80))
    ids = np.resize(rng.integers(0, vocabulary, period), _REPETITION_LENGTH)
    classes = np.full(_REPETITION_LENGTH, EASY)
    classes[:period] = PROMPT
    return Document(ids, classes)


def encode(tokenizer: Tokenizer, prompt: str, sentences: Sequence[Sentence]) -> Document:
    """Encodes a conversation in one go and labels every token by the sentence it ends in."""
    prompt_ids = tokenizer.encode(prompt).ids
    completion = tokenizer.encode("".join(s.text for s in sentences) + TURN_END)
    classes = np.zeros(len(completion.ids), dtype=np.int64)
    ends = np.cumsum([len(s.text) for s in sentences])
    labels = [_CLASSES[s.label] for s in sentences]
    for i, ((_, end), token) in enumerate(zip(completion.offsets, completion.tokens, strict=True)):
        kind = labels[min(int(np.searchsorted(ends, end)), len(labels) - 1)]
        classes[i] = HARD_DIGIT if kind == HARD and token.isdigit() else kind
    ids = np.array(prompt_ids + completion.ids, dtype=np.int64)
    return Document(ids, np.concatenate([np.zeros(len(prompt_ids), dtype=np.int64), classes]))


def draw_batches(
    tokenizer: Tokenizer,
    *,
    seed: int,
    chunk: int,
    batches: int,
    rows: int,
    buckets: Sequence[int],
    avoid: frozenset[str],
    practice: float = 0.0,
    large_sums: float = 0.2,
    repetition: float = 0.0,
    odds: Odds = HELDOUT_ODDS,
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Draws chunk number `chunk` of the training stream.

    Documents of similar length share a batch, and every batch is padded to one of a few lengths, because a model
    compiled for fixed shapes runs faster. A share `practice` of the documents are sheets of bare sums,
    and a share `large_sums` of those hold larger numbers; a share `repetition` are random tokens, repeated.
    `odds` says what the stories hold.

    Returns:
        Pairs (ids, classes) of shape [rows, bucket]; padding has class PROMPT and is never learnt.
    """
    documents: list[Document] = []
    # A chunk has its own range of indices, twice as long as needed, for documents that are skipped.
    index = chunk * batches * rows * 2
    while len(documents) < batches * rows:
        draw = random.Random(f"{seed}/kind/{index}").random()
        if draw >= 1 - repetition:
            documents.append(_repetition(seed, index, tokenizer.get_vocab_size()))
            index += 1
            continue
        if draw < practice:
            conversation: tuple[str, list[Sentence]] | None = _practice(seed, index, large_sums)
        else:
            conversation = _conversation(seed, index, avoid, odds)
        index += 1
        if conversation is None:
            continue
        document = encode(tokenizer, *conversation)
        if len(document.ids) <= buckets[-1]:
            documents.append(document)
    documents.sort(key=lambda d: len(d.ids))
    out = []
    for first in range(0, len(documents), rows):
        group = documents[first : first + rows]
        length = next(b for b in buckets if b >= max(len(d.ids) for d in group))
        ids, classes = np.zeros((2, rows, length), dtype=np.int64)
        for row, document in enumerate(group):
            ids[row, : len(document.ids)] = document.ids
            classes[row, : len(document.ids)] = document.classes
        out.append((ids, classes))
    random.Random(f"{seed}/order/{chunk}").shuffle(out)
    return out
