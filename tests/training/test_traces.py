"""The traces: every sentence labelled, cues where they belong, figures right."""

from __future__ import annotations

import random
import re

from training.arithmetic import SIGNS, apply, working
from training.stories import draw_problem
from training.traces import DECOYS, TRUE_CUES, easy_sentences, write_completion


def _completions() -> list[tuple[int, str]]:
    return [
        (i, "".join(s.text for s in write_completion(draw_problem(0, "t", i), random.Random(i))))
        for i in range(200)
    ]


def test_a_completion_is_written_again_alike() -> None:
    assert _completions() == _completions()


def test_reasoning_ends_once_and_the_answer_is_boxed() -> None:
    for index, text in _completions():
        reasoning, closed, answer = text.partition("</think>")
        assert closed
        assert reasoning.endswith(".\n")
        assert "</think>" not in answer
        assert answer.endswith(f"\\boxed{{{draw_problem(0, 't', index).answer}}}.")


def test_easy_sentences_open_with_cues_and_hard_ones_never_with_a_true_one() -> None:
    openers: dict[str, set[str]] = {"easy": set(), "hard": set()}
    for index in range(1500):
        for sentence in write_completion(draw_problem(0, "t", index), random.Random(index)):
            if sentence.label == "answer" or sentence.text == "</think>":
                continue
            opener = re.match(r"\s*(Let me see,|\w+,)", sentence.text)
            openers[sentence.label].add(opener[1] if opener else "")
    assert set(TRUE_CUES) <= openers["easy"]
    assert openers["hard"].isdisjoint(TRUE_CUES)
    assert openers["easy"].isdisjoint(DECOYS)
    # Some openers stand before both kinds, for profiling to find out.
    assert openers["easy"] & openers["hard"] == {"Then,", "Alright,"}


def test_easy_sentences_are_among_the_wordings_that_count_as_right() -> None:
    for index in range(300):
        problem = draw_problem(0, "t", index)
        right = easy_sentences(problem)
        for sentence in write_completion(problem, random.Random(index)):
            if sentence.label == "easy":
                assert sentence.text.strip().partition(", ")[2] in right


def test_easy_sentences_only_copy_numbers() -> None:
    for index in range(300):
        problem = draw_problem(0, "t", index)
        seen = set(re.findall(r"\d+", problem.question))
        for sentence in write_completion(problem, random.Random(index)):
            numbers = set(re.findall(r"\d+", sentence.text))
            if sentence.label == "easy":
                assert numbers <= seen, sentence
            seen |= numbers


def test_every_sum_in_an_answer_is_right() -> None:
    amount = r"\$?(\d+(?:\.\d\d)?)"
    for _, text in _completions():
        sums = re.findall(rf"{amount} ([-+*/]) {amount} = {amount}", text.partition("</think>")[2])
        assert sums
        for a, sign, b, result in sums:
            kind = next(k for k, s in SIGNS.items() if s == sign)
            scale = 100 if "." in a else 1
            operand = round(float(b) * (scale if sign in "+-" else 1))
            assert apply(kind, round(float(a) * scale), operand) == round(float(result) * scale)


def test_working_goes_digit_by_digit() -> None:
    assert working("add", 347, 58) == "347+58: ones 15, tens 10, hundreds 4"
    assert working("sub", 405, 58) == "405-58: ones 7 borrow, tens 4 borrow, hundreds 3"
    assert working("mul", 347, 3) == "347*3: ones 21, tens 14, hundreds 10"
    assert working("div", 348, 4) == "348/4: 3 gives 0 rest 3, 34 gives 8 rest 2, 28 gives 7"
