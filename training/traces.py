"""Writes the reasoning and the answer for a problem, sentence by sentence, each labelled easy or hard.

An easy sentence follows a switch cue and only copies: from the story, or from what has just been worked out. A hard
sentence decides what to do and does it. Which sentence comes next is also a decision, so it is made at the start of a
sentence, where the large model holds the pen: a model that only copies never has to choose.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from training.arithmetic import SIGNS, apply, working
from training.stories import Problem, Step, amount

TRUE_CUES = ("So,", "Thus,", "Now,", "Therefore,", "Okay,")
#: Openers of hard sentences alone: they look like cues and are not.
DECOYS = ("Wait,", "Hmm,", "Let me see,", "First,", "Next,")
#: Openers of both kinds, with the odds that the sentence is easy (measured on the traces, not exact).
AMBIGUOUS = ("Then,", "Alright,")

_QUOTE_CUES = (("Now,", 36), ("Okay,", 22), ("So,", 12), ("Then,", 16), ("Alright,", 14))
_RESULT_CUES = (("So,", 36), ("Thus,", 26), ("Therefore,", 22), ("Now,", 8), ("Alright,", 8))
_HARD_OPENERS = (
    ("Wait,", 10), ("Hmm,", 12), ("Let me see,", 10), ("First,", 8), ("Next,", 12), ("Then,", 11), ("Alright,", 6),
    ("", 31),
)  # fmt: skip
_REASONS = {
    "add": ("that adds up", "this makes it more", "I add here", "I know that this is a plus", "it also adds some"),
    "sub": ("that takes away", "this makes it less", "I subtract here", "I know that this is a minus", "now some go"),
    "mul": ("that multiplies", "this is a product", "I multiply here", "I know that this is times", "now it grows"),
    "div": ("that divides", "this is a quotient", "I divide here", "I know that this is a share", "now it is split"),
    "compare": (
        "the question compares the two", "I subtract to compare", "I know that a difference is asked",
        "now I need the gap", "it also asks to compare",
    ),
}  # fmt: skip
_RESULT_WORDS = ("that is", "giving", "so", "thus")
_IDLE = (
    "that does not touch the {x}, so I skip it",
    "this changes nothing for {name}",
    "I know that this number does not matter",
    "it is not about the {x} of {name}",
)
_BREAK_ODDS = {"easy": 0.85, "quote": 0.08, "hard": 0.2}
_LAST = (
    "nothing else happens",
    "that was the last change",
    "I know all that I need now",
    "the story is over",
)


@dataclass(frozen=True)
class Sentence:
    """A piece of a completion with its label: "easy", "hard" or "answer"."""

    text: str
    label: str


def _pick(rng: random.Random, weighted: Sequence[tuple[str, int]]) -> str:
    return rng.choices([w for w, _ in weighted], [n for _, n in weighted])[0]


def _opened(opener: str, text: str) -> str:
    return f"{opener} {text}" if opener else text[0].upper() + text[1:]


def _thing(problem: Problem, n: int) -> str:
    return amount(n, True) if problem.money else f"{n} {problem.things}"


def _result(problem: Problem, kind: str, a: int, b: int, rng: random.Random) -> str:
    word = rng.choice(_RESULT_WORDS)
    after = apply(kind, a, b)
    shown = f"{after}, or {amount(after, True)}" if problem.money else str(after)
    return f"{working(kind, a, b)}, {word} {shown}."


def _quotes(step: Step) -> list[tuple[str, int]]:
    event = f"{step.moment}, {step.subject} {step.deed}."
    leads = (
        ("the story says that ", 70),
        ("the next part of the story says that ", 20),
        ("I read that ", 10),
    )
    return [(lead + event, odds) for lead, odds in leads]


def _quote(step: Step, rng: random.Random) -> Sentence:
    cue = _pick(rng, _QUOTE_CUES)
    return Sentence(f"{cue} {_pick(rng, _quotes(step))}", "quote")


def _decide(problem: Problem, step: Step, rng: random.Random) -> list[Sentence]:
    opener = _pick(rng, _HARD_OPENERS)
    if step.kind == "idle":
        text = rng.choice(_IDLE).format(x=problem.things, name=problem.person.name) + "."
        return [Sentence(_opened(opener, text), "hard")]
    reason = rng.choice(_REASONS[step.kind])
    text = f"{reason}, {_result(problem, step.kind, step.before, step.operand, rng)}"
    out = [Sentence(_opened(opener, text), "hard")]
    if step.kind in ("add", "sub") and rng.random() < 0.05:
        inverse = "sub" if step.kind == "add" else "add"
        check = f"let me check it, {working(inverse, step.after, step.operand)}, so it was {step.before}, good."
        out.append(Sentence(_opened("Wait,", check), "hard"))
    return out


def _results(problem: Problem, step: Step) -> list[tuple[str, int]]:
    name, after = problem.person.name, _thing(problem, step.after)
    if step.kind == "compare":
        more = f"{step.after} {step.deed} {problem.things} than {problem.other.name}"
        return [(f"in the end {name} has {more}.", 1)]
    if step.kind == "idle":
        changes = f"nothing changes when {step.subject} {step.deed}"
        return [(f"{changes}, and {name} still has {after}.", 1)]
    before = _thing(problem, step.before)
    return [
        (f"{step.moment} {name} starts with {before}, {step.deed}, and ends with {after}.", 75),
        (f"when {step.subject} {step.deed}, {name} has {after} at this point of the story.", 25),
    ]


def _restate(problem: Problem, step: Step, rng: random.Random) -> Sentence:
    cue = _pick(rng, _RESULT_CUES)
    forms = _results(problem, step)
    text = _pick(rng, forms) if len(forms) > 1 else forms[0][0]
    return Sentence(f"{cue} {text}", "easy")


def _starts(problem: Problem) -> list[tuple[str, int]]:
    name, start = problem.person.name, _thing(problem, problem.start)
    return [
        (f"at the start of the story {name} has {start}.", 75),
        (f"the story of {name} starts with {start}.", 25),
    ]


def _open(problem: Problem, rng: random.Random) -> list[Sentence]:
    out = [
        Sentence(f"Okay, the question is: {problem.asked[0].lower()}{problem.asked[1:]}", "easy")
    ]
    if rng.random() < 0.3:
        out.append(
            Sentence(rng.choice(("Let me go through it.", "First, I look at the start.")), "hard")
        )
    cue = _pick(rng, (("So,", 60), ("Now,", 40)))
    out.append(Sentence(f"{cue} {_pick(rng, _starts(problem))}", "easy"))
    return out


def _conclusion(problem: Problem) -> str:
    asked = problem.asked[0].lower() + problem.asked[1:-1]
    return f"the answer to the question {asked} is {amount(problem.result, problem.money)}."


def _close(problem: Problem, rng: random.Random) -> list[Sentence]:
    out = [Sentence(_opened(_pick(rng, _HARD_OPENERS), rng.choice(_LAST) + "."), "hard")]
    cue = _pick(rng, (("Therefore,", 50), ("Thus,", 30), ("So,", 20)))
    return [*out, Sentence(f"{cue} {_conclusion(problem)}", "easy")]


def easy_sentences(problem: Problem) -> frozenset[str]:
    """All easy sentences that are right for a problem, without their cues."""
    texts = [f"the question is: {problem.asked[0].lower()}{problem.asked[1:]}"]
    texts += [text for text, _ in _starts(problem)]
    texts.append(_conclusion(problem))
    for step in problem.steps:
        texts += [text for text, _ in _results(problem, step)]
        texts += [text for text, _ in _quotes(step)] if step.moment else []
    return frozenset(texts)


def _summary(problem: Problem, rng: random.Random) -> str:
    name = problem.person.name
    lines = [f"- At the start: {name} has {_thing(problem, problem.start)}"]
    for step in problem.steps:
        if step.kind == "idle":
            moment = step.moment[0].upper() + step.moment[1:]
            still = _thing(problem, step.after)
            lines.append(f"- {moment}: {step.subject} {step.deed}, and {name} still has {still}")
            continue
        sum_ = (
            f"{amount(step.before, problem.money)} {SIGNS[step.kind]} "
            f"{amount(step.operand, problem.money and step.kind in ('add', 'sub'))} = {amount(step.after, problem.money)}"
        )
        if step.kind == "compare":
            lines.append(
                f"- In the end: {step.deed} {problem.things} than {problem.other.name}, {sum_}"
            )
        else:
            lines.append(
                f"- {step.moment[0].upper()}{step.moment[1:]}: {step.subject} {step.deed}, {sum_}"
            )
    head = _pick(
        rng,
        (
            ("Here is the story of {name}, step by step:", 80),
            ("These are the steps for {name}:", 20),
        ),
    )
    return (
        head.format(name=name)
        + "\n"
        + "\n".join(lines)
        + f"\n\nThe answer is \\boxed{{{problem.answer}}}."
    )


def practise(sums: Sequence[tuple[str, int, int]], rng: random.Random) -> list[Sentence]:
    """Writes the working of bare sums, such as ("add", 347, 58), in the words that stories use."""
    out, results = list[Sentence](), []
    for kind, a, b in sums:
        word = rng.choice(_RESULT_WORDS)
        text = f"{rng.choice(_REASONS[kind])}, {working(kind, a, b)}, {word} {apply(kind, a, b)}."
        glue = " " if out else ""
        out.append(Sentence(glue + _opened(_pick(rng, _HARD_OPENERS), text), "hard"))
        results.append(str(apply(kind, a, b)))
    answer = f"\n\nThe results are {', '.join(results)}."
    return [*out, Sentence("\n", "hard"), Sentence("</think>", "hard"), Sentence(answer, "answer")]


def write_completion(
    problem: Problem, rng: random.Random, *, thinking: bool = True
) -> list[Sentence]:
    """Writes what the assistant says after the opening tag and its line break.

    Args:
        problem: The problem to solve.
        rng: Chooses the wording.
        thinking: False writes the answer alone, for prompts whose template has closed the reasoning.

    Returns:
        Sentences whose texts, joined, are the completion without its end-of-turn token. White space belongs to the
        sentence before it if it is a blank line, else to the one after it, as the tokenizer splits it.
    """
    answer = Sentence(_summary(problem, rng), "answer")
    if not thinking:
        return [answer]
    sentences = _open(problem, rng)
    for step in problem.steps:
        if step.moment:
            sentences.append(_quote(step, rng))
        sentences.extend(_decide(problem, step, rng))
        sentences.append(_restate(problem, step, rng))
    sentences.extend(_close(problem, rng))
    out: list[Sentence] = []
    glue = ""
    # A blank line mostly ends a step, so it seldom stands after a quotation.
    for i, sentence in enumerate(sentences):
        breaks = rng.random() < _BREAK_ODDS[sentence.label]
        tail = "\n" if i + 1 == len(sentences) else "\n\n" if breaks else ""
        label = "hard" if sentence.label == "hard" else "easy"
        out.append(Sentence(glue + sentence.text + tail, label))
        glue = "" if tail else " "
    return [*out, Sentence("</think>", "hard"), Sentence("\n\n" + answer.text, "answer")]
