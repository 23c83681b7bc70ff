"""Draws arithmetic stories: someone owns things, a few deeds change their number, and a question is asked.

Every problem is drawn from its own seed, `(seed, split, index)`, so that any one of them can be made again alone.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from training.arithmetic import apply
from training.words import (
    DEEDS,
    IDLE_DEEDS,
    MONEY_DEEDS,
    Person,
    draw_moments,
    draw_person,
    draw_things,
)

_MAX_COUNT = 999
_MAX_CENTS = 9999


@dataclass(frozen=True, kw_only=True)
class Step:
    """One event of a story.

    Attributes:
        kind: "add", "sub", "mul", "div", "compare", or "idle" for an event that changes nothing.
        before: The number before the event (things, or cents).
        operand: The other number; 0 for an idle event.
        after: The number after it.
        moment: When it happens, e.g. "on Monday"; empty for the comparison.
        subject: Who does it, as the story says it, e.g. "she".
        deed: The verb phrase with its numbers filled in.
    """

    kind: str
    before: int
    operand: int
    after: int
    moment: str
    subject: str
    deed: str


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A story with its question, its steps and its answer."""

    id: str
    question: str
    asked: str
    person: Person
    other: Person
    things: str
    money: bool
    start: int
    steps: tuple[Step, ...]

    @property
    def result(self) -> int:
        """The number asked for, in things or cents."""
        return abs(self.steps[-1].after)

    @property
    def answer(self) -> str:
        """The answer as it stands in the box: no unit, and two decimals for money."""
        return amount(self.result, self.money).removeprefix("$")

    @property
    def kinds(self) -> list[str]:
        """What the story asks for, for tables by kind."""
        kinds = {step.kind for step in self.steps} | ({"money"} if self.money else set())
        return sorted(kinds)


def amount(n: int, money: bool) -> str:
    """Shows a number as a count or, for money, as dollars with two decimals."""
    return f"${n // 100}.{n % 100:02d}" if money else str(n)


def text_key(question: str) -> str:
    """A hash of the text without case, spacing and punctuation, by which splits are kept apart."""
    plain = " ".join(re.findall(r"[a-z0-9]+", question.lower()))
    return hashlib.sha256(plain.encode()).hexdigest()[:16]


def _draw_operation(rng: random.Random, value: int, money: bool) -> tuple[str, int]:
    limit = _MAX_CENTS if money else _MAX_COUNT
    while True:
        kind = rng.choices(
            ("add", "sub", "mul", "div"), (34, 34, 16, 16) if not money else (42, 42, 8, 8)
        )[0]
        if kind == "add" and limit - value >= 10:
            top = limit - value
            return kind, rng.randint(3, min(top, 99) if rng.random() < 0.4 else top)
        if kind == "sub" and value >= 10:
            return kind, rng.randint(3, value - 2)
        if kind == "mul" and 3 <= value <= limit // 2:
            return kind, rng.randint(2, min(9, limit // value))
        if kind == "div":
            fits = [d for d in range(2, 10) if value % d == 0 and value // d >= 2]
            if fits:
                return kind, rng.choice(fits)


def _draw_idle(rng: random.Random, subject: str, other: Person, things: str) -> tuple[str, str]:
    if rng.random() < 0.5:
        return subject, rng.choice(IDLE_DEEDS).format(n=rng.randint(3, 300))
    deed = rng.choice(DEEDS[rng.choice(("add", "sub"))])
    # Told by name alone, who acts was a matter of chance to the large model even after 3,400 steps.
    relation = rng.choice(("friend", "cousin", "neighbour"))
    return f"a {relation} named {other.name}", deed.format(n=rng.randint(3, 300), x=things)


def _start_sentence(rng: random.Random, name: str, shown: str, things: str, money: bool) -> str:
    forms: tuple[str, ...]
    if money:
        forms = (
            "{name} has {shown} in a purse.",
            "{name} owns {shown}.",
            "There is {shown} in the purse of {name}.",
        )
    else:
        forms = (
            "{name} has {shown} {x}.",
            "{name} owns {shown} {x}.",
            "{name} keeps {shown} {x} in a shed.",
            "There are {shown} {x} in the room of {name}.",
        )
    return rng.choice(forms).format(name=name, shown=shown, x=things)


def _ask(rng: random.Random, name: str, things: str, money: bool) -> str:
    if money:
        forms = (
            "How much money does {name} have {end}?",
            "How much money is left for {name} {end}?",
        )
    else:
        forms = (
            "How many {x} does {name} have {end}?",
            "What number of {x} does {name} own {end}?",
        )
    return rng.choice(forms).format(name=name, x=things, end=rng.choice(("in the end", "now")))


@dataclass(frozen=True, kw_only=True)
class Odds:
    """How often the rarer parts of a story come up, each a probability.

    Attributes:
        idle: An event that changes nothing.
        named: An event names the person, where a pronoun would be clear.
        compare: The question compares with what another person has.
        single: One event is all that counts.
    """

    idle: float = 0.25
    named: float = 0.25
    compare: float = 0.2
    single: float = 0.0


HELDOUT_ODDS = Odds()


def draw_problem(
    seed: int,
    split: str,
    index: int,
    *,
    unseen: bool = False,
    odds: Odds = HELDOUT_ODDS,
) -> Problem:
    """Draws problem number `index` of a split.

    Args:
        seed: The seed of the whole data set.
        split: A name that keeps the streams of training and of held-out problems apart.
        index: The position in the split.
        unseen: Use only names and things that training never sees.
        odds: How often the rarer parts of a story come up.
    """
    rng = random.Random(f"{seed}/{split}/{index}")
    money = rng.random() < 0.15
    person = draw_person(rng, unseen=unseen)
    other = draw_person(rng, unseen=unseen, taken=person.name)
    things = "money" if money else draw_things(rng, unseen=unseen)
    count = rng.choices((2, 3, 4, 5), (44, 38, 15, 3))[0]
    if odds.single and rng.random() < odds.single:
        count = 1
    compare = not money and rng.random() < odds.compare and count > 1
    idle = rng.random() < odds.idle
    kinds = ["step"] * (count - compare) + ["idle"] * idle
    rng.shuffle(kinds)
    moments = draw_moments(rng, len(kinds))

    value = start = rng.randint(150, 6000) if money else rng.randint(12, 900)
    steps: list[Step] = []
    for kind, moment in zip(kinds, moments, strict=True):
        # A pronoun after someone else's deed would be theirs.
        clear = not steps or other.name not in steps[-1].subject
        subject = person.pronoun if clear and rng.random() < 1 - odds.named else person.name
        if kind == "idle":
            # In a comparison the other person's number is fixed, so someone else's things stay out of it.
            other_things = (
                things if not (compare or money) else draw_things(rng, unseen=unseen, taken=things)
            )
            subject, deed = _draw_idle(rng, subject, other, other_things)
            operand, after = 0, value
            op = "idle"
        else:
            op, operand = _draw_operation(rng, value, money)
            shown = amount(operand, money and op in ("add", "sub"))
            deed = rng.choice((MONEY_DEEDS if money else DEEDS)[op]).format(n=shown, x=things)
            after = apply(op, value, operand)
        steps.append(
            Step(
                kind=op,
                before=value,
                operand=operand,
                after=after,
                moment=moment,
                subject=subject,
                deed=deed,
            )
        )
        value = after

    sentences = [_start_sentence(rng, person.name, amount(start, money), things, money)]
    asked = _ask(rng, person.name, things, money)
    if compare:
        theirs = rng.randint(2, _MAX_COUNT)
        while theirs == value:
            theirs = rng.randint(2, _MAX_COUNT)
        sentences.append(f"{other.name} has {theirs} {things}.")
        word = "more" if value > theirs else "fewer"
        end = rng.choice(("in the end", "now"))
        asked = f"How many {word} {things} does {person.name} have than {other.name} {end}?"
        high, low = max(value, theirs), min(value, theirs)
        steps.append(
            Step(
                kind="compare",
                before=high,
                operand=low,
                after=high - low,
                moment="",
                subject="",
                deed=word,
            )
        )
    elif rng.random() < 0.2:
        more = draw_things(rng, unseen=unseen, taken=things)
        sentences.append(f"{other.name} has {rng.randint(2, 300)} {more}.")
    for step in steps:
        if step.moment:
            moment = step.moment[0].upper() + step.moment[1:]
            sentences.append(f"{moment}, {step.subject} {step.deed}.")
    return Problem(
        id=f"{split}-{index:05d}",
        question=" ".join([*sentences, asked]),
        asked=asked,
        person=person,
        other=other,
        things=things,
        money=money,
        start=start,
        steps=tuple(steps),
    )


def draw_split(
    seed: int, split: str, count: int, *, unseen: bool = False, avoid: frozenset[str] = frozenset()
) -> Iterator[Problem]:
    """Draws `count` different problems, none of whose text keys is in `avoid`."""
    seen = set(avoid)
    index = made = 0
    while made < count:
        problem = draw_problem(seed, split, index, unseen=unseen)
        index += 1
        key = text_key(problem.question)
        if key not in seen:
            seen.add(key)
            made += 1
            yield problem
