"""The words that the stories are made of: names, things, deeds, and the moments at which they happen.

The last names and things of each list are held back: training never sees them, so that the second held-out
set can ask whether a model copies or merely remembers.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_SHE = _words("""Mia Anna Zoe Lena Nora Ella Ruth Clara Ida Vera Alice Maya Lily Emma Sofia Olivia Ava Isla Grace Chloe Leah
Hannah Sarah Julia Laura Paula Rosa Carmen Elena Irina Olga Nina Tanya Katya Mei Yuki Hana Aiko Sakura Priya Anita
Leila Fatima Amina Zara Nadia Yasmin Aisha Imani Zuri Nia Ama Abena Freya Ingrid Astrid Sigrid Greta Helga Marta Eva
Iris Jade Pearl Ruby Hazel Ivy Daisy Rose Holly June April Stella Luna Aurora Bella Kate Jane Lucy Molly Peggy Wendy
Tessa Fiona Maeve Nell Dora Flora""")
_HE = _words("""Tom Ben Max Leo Sam Jack Noah Liam Finn Theo Hugo Otto Emil Karl Hans Fritz Jonas Lukas Felix Oscar Arthur
Henry George Harry Peter Paul Mark John Luke Adam Aaron David Daniel Simon Ivan Boris Dmitri Oleg Pavel Juan Pedro
Diego Carlos Miguel Rafael Marco Luca Mario Pietro Ravi Arjun Vikram Sanjay Omar Ali Hassan Karim Yusuf Tariq Kofi
Kwame Jomo Tunde Chen Wei Jin Hiro Kenji Taro Akira Erik Lars Sven Nils Olaf Bjorn Ian Colin Ewan Angus Rory Sean
Declan Percy Walter Victor""")
_SHE_UNSEEN = _words(
    "Ottilie Bronwyn Xenia Philippa Guinevere Mirabel Thandiwe Eudora Saskia Rosalind"
)
_HE_UNSEEN = _words(
    "Casimir Thaddeus Balthazar Ignatius Leopold Quentin Zebedee Fergus Osric Barnaby"
)

_THINGS = _words("""apples pears plums figs lemons oranges cherries peaches melons grapes nuts acorns walnuts almonds olives
onions carrots potatoes pumpkins peppers beans tomatoes mushrooms eggs cakes cookies muffins waffles sweets candles
lamps bottles cups plates bowls spoons forks knives baskets boxes bags coins stamps cards marbles beads buttons shells
stones pebbles feathers leaves flowers roses tulips seeds bricks nails screws bolts planks tiles ropes books maps
pencils pens crayons brushes notebooks posters photos stickers badges balloons kites balls dolls puzzles blocks
tickets keys locks hats scarves gloves socks shirts ribbons pillows blankets magnets batteries bulbs bells flags
masks rings""")
_THINGS_UNSEEN = _words("""turnips lanterns thimbles pancakes saddles anchors violins cushions goblets snowglobes medallions
sandals harmonicas compasses umbrellas""")

_ONSETS = _words("b d f g h j k l m n p r s t v w z br dr gr kr tr st sh th fl gl pl")
_VOWELS = _words("a e i o u ai ea ie oo ou")
_CODAS = ["", "", "", "n", "l", "r", "s", "m", "k", "x", "nd", "rt"]

_MOMENTS: tuple[tuple[str, ...], ...] = (
    tuple(f"on {d}" for d in _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")),
    tuple(
        f"in {m}"
        for m in _words(
            "January February March April May June July August September October November December"
        )
    ),
    ("at dawn", "in the morning", "at noon", "in the afternoon", "in the evening", "at night"),
    tuple(f"in the {w} week" for w in _words("first second third fourth fifth sixth seventh")),
    tuple(f"at {h}" for h in _words("seven eight nine ten eleven twelve")),
)

# Each deed is a verb phrase; {n} is the number, {x} the things. The verb alone tells the operation.
DEEDS: dict[str, tuple[str, ...]] = {
    "add": (
        "buys {n} more {x} at the market",
        "finds {n} {x} in the garden",
        "gets {n} {x} from an aunt",
        "wins {n} {x} at the fair",
        "receives {n} {x} in a parcel",
        "picks up {n} {x} on the road",
        "collects {n} more {x} in the village",
        "orders {n} more {x} from the shop",
        "is given {n} {x} by a neighbour",
        "brings home {n} {x} from the town",
    ),
    "sub": (
        "gives {n} {x} to a friend",
        "sells {n} {x} in the street",
        "loses {n} {x} on the way",
        "throws away {n} old {x}",
        "lends {n} {x} to a cousin",
        "uses up {n} {x} for a feast",
        "drops {n} {x} into the river",
        "sends {n} {x} to the school",
        "leaves {n} {x} at the station",
        "hands {n} {x} over to a guest",
    ),
    "mul": (
        "trades them for {n} times as many {x}",
        "makes it {n} times as many {x} with a trick",
        "swaps each of them for {n} {x}",
        "turns every one of them into {n} {x}",
    ),
    "div": (
        "splits the {x} into {n} equal piles and keeps one pile",
        "shares the {x} equally among {n} people and keeps one share",
        "packs the {x} evenly into {n} crates and keeps one crate",
        "divides the {x} into {n} equal parts and keeps one part",
    ),
}

MONEY_DEEDS: dict[str, tuple[str, ...]] = {
    "add": (
        "earns {n} for washing a car",
        "finds {n} in an old coat",
        "gets {n} from an uncle",
        "wins {n} in a contest",
        "is paid {n} for a drawing",
    ),
    "sub": (
        "spends {n} on lunch",
        "pays {n} for a ticket",
        "gives {n} to a sister",
        "loses {n} on the bus",
        "hands {n} to the baker",
    ),
    "mul": ("makes it {n} times as much money by clever trading",),
    "div": ("splits the money into {n} equal parts and keeps one part",),
}

# Deeds with a number that does not matter. The first ones are about the main person.
IDLE_DEEDS = (
    "walks {n} steps to the lake",
    "reads {n} pages of a long story",
    "waits {n} minutes for the train",
    "counts {n} birds in the sky",
    "sings {n} songs with the choir",
    "climbs {n} stairs to the tower",
)


@dataclass(frozen=True, kw_only=True)
class Person:
    """Someone in a story."""

    name: str
    pronoun: str


def _made_up(rng: random.Random, syllables: int) -> str:
    parts = (rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(syllables))
    return "".join(parts) + rng.choice(_CODAS)


def draw_person(rng: random.Random, *, unseen: bool, taken: str = "") -> Person:
    """Draws someone whose name is not `taken`; 15 % of the names in training are made up."""
    while True:
        pronoun = rng.choice(("she", "he"))
        if unseen:
            name = rng.choice(_SHE_UNSEEN if pronoun == "she" else _HE_UNSEEN)
        elif rng.random() < 0.15:
            name = _made_up(rng, rng.choice((2, 2, 3))).capitalize()
            if name in _SHE_UNSEEN + _HE_UNSEEN:
                continue
        else:
            name = rng.choice(_SHE if pronoun == "she" else _HE)
        if name != taken:
            return Person(name=name, pronoun=pronoun)


def draw_things(rng: random.Random, *, unseen: bool, taken: str = "") -> str:
    """Draws a plural noun that is not `taken`; 10 % of them in training are made up."""
    while True:
        if unseen:
            things = rng.choice(_THINGS_UNSEEN)
        elif rng.random() < 0.10:
            things = _made_up(rng, 2) + "s"
            if things in _THINGS_UNSEEN:
                continue
        else:
            things = rng.choice(_THINGS)
        if things != taken:
            return things


def draw_moments(rng: random.Random, count: int) -> list[str]:
    """Draws `count` moments in a row, such as "on Monday", "on Tuesday"."""
    row = rng.choice(_MOMENTS)
    start = rng.randrange(len(row) - count + 1)
    return list(row[start : start + count])


def unseen_words() -> frozenset[str]:
    """The names and things that training never sees."""
    return frozenset(_SHE_UNSEEN + _HE_UNSEEN + _THINGS_UNSEEN)
