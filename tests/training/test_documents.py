"""Documents: what the template renders is what training sees, and every token has its class."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from relaygen import demo_models
from training.documents import (
    ANSWER,
    EASY,
    HARD,
    HARD_DIGIT,
    PROMPT,
    draw_batches,
    encode,
    render_prompt,
)
from training.heldout import heldout_keys, plain_problems, unseen_problems
from training.tokenizer import chat_template
from training.traces import Sentence

_QUESTION = {"role": "user", "content": "Mia has 3 apples."}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(demo_models.hf_folder("large") / "tokenizer.json"))


def test_the_prompt_opens_the_reasoning() -> None:
    prompt = render_prompt([_QUESTION])
    assert prompt == (
        "<|im_start|>user\nMia has 3 apples.<|im_end|>\n<|im_start|>assistant\n<think>\n"
    )


def test_thinking_can_be_switched_off() -> None:
    assert render_prompt([_QUESTION], thinking=False).endswith("<think>\n\n</think>\n\n")


def test_earlier_reasoning_is_dropped() -> None:
    reply = {"role": "assistant", "content": "<think>\nSo, three.\n</think>\n\nThree."}
    prompt = render_prompt([_QUESTION, reply, _QUESTION])
    assert "<|im_start|>assistant\nThree.<|im_end|>" in prompt
    assert "So, three" not in prompt


def test_every_token_has_the_class_of_its_sentence(tokenizer: Tokenizer) -> None:
    sentences = [
        Sentence("So, Mia has 3 apples.\n\n", "easy"),
        Sentence("3+4: ones 7, that is 7.\n", "hard"),
        Sentence("</think>", "hard"),
        Sentence("\n\nThe answer is 7.", "answer"),
    ]
    document = encode(tokenizer, render_prompt([_QUESTION]), sentences)
    written = {
        kind: tokenizer.decode(document.ids[document.classes == kind].tolist())
        for kind in (EASY, HARD_DIGIT, ANSWER)
    }
    assert written[EASY] == sentences[0].text
    assert written[HARD_DIGIT] == "3477"
    assert written[ANSWER].startswith(sentences[3].text)
    assert {PROMPT, HARD} <= set(document.classes.tolist())


def test_batches_are_repeatable_and_padded_to_buckets(tokenizer: Tokenizer) -> None:
    def draw() -> list[tuple[np.ndarray, np.ndarray]]:
        return draw_batches(
            tokenizer,
            seed=0,
            chunk=0,
            batches=4,
            rows=4,
            buckets=(512, 1024),
            avoid=heldout_keys(),
        )

    first, second = draw(), draw()
    for (ids, classes), (same_ids, same_classes) in zip(first, second, strict=True):
        assert ids.shape == classes.shape
        assert ids.shape[1] in (512, 1024)
        assert np.array_equal(ids, same_ids)
        assert np.array_equal(classes, same_classes)


@pytest.mark.parametrize("text", ["naïve – 東京 🙂 \x00\x1b", "a\n\n\nb\t  c 1234,5", "Ω≠ñ́ \u200b"])
def test_any_text_survives_the_tokenizer(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_the_package_carries_what_the_scripts_make(tokenizer: Tokenizer) -> None:
    config = (demo_models.hf_folder("small") / "tokenizer_config.json").read_text(encoding="utf-8")
    assert chat_template() == json.loads(config)["chat_template"]
    ours = [(p.id, p.question, p.answer) for p in plain_problems()]
    assert [(p.id, p.question, p.answer) for p in demo_models.problems()] == ours
    theirs = [(p.id, p.question, p.answer) for p in demo_models.problems(unseen=True)]
    assert theirs == [(p.id, p.question, p.answer) for p in unseen_problems()]


def test_both_models_carry_the_same_tokenizer() -> None:
    folders: list[Path] = [demo_models.hf_folder("large"), demo_models.hf_folder("small")]
    texts = [(folder / "tokenizer.json").read_bytes() for folder in folders]
    assert texts[0] == texts[1]
