"""Where sentences end: one example a rule. The properties are in test_scanner_properties.py."""

import pytest

from relaygen.relay.segmentation import SentenceSegmenter, sentences


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


def certain_ends(text: str) -> list[int]:
    """Ends that are certain without knowing that the text is over."""
    return list(SentenceSegmenter().feed(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is 4. So what? Yes! Ok", ["It is 4.", "So what?", "Yes!", "Ok"]),
        (
            'He said "No." Then (yes.) **Bold.** End',
            ['He said "No."', "Then (yes.)", "**Bold.**", "End"],
        ),
        ("What?! Really?? Yes!! Ok", ["What?!", "Really??", "Yes!!", "Ok"]),
        ("First line\n\nSecond", ["First line\n\n", "Second"]),
        ("First line\n \t\r\nSecond", ["First line\n \t\r\n", "Second"]),
        ("Done.\n\n\n\nNext", ["Done.", "Next"]),
        ("One line\nand another", ["One line\nand another"]),
        ("Cases:\n- a b\n* c\n1. d\n2) e", ["Cases:\n", "- a b\n", "* c\n", "1. d\n", "2) e"]),
        ("Plan\n## Step\nx", ["Plan\n", "## Step\nx"]),
        ("Total\n-5 is not a list", ["Total\n-5 is not a list"]),
        ("**1.** So it is. b", ["**1.** So it is.", "b"]),
        ("the sum is\n42.\nSo it is", ["the sum is\n42.", "So it is"]),
        ("Total: 40. Left: 20. Ok", ["Total: 40.", "Left: 20.", "Ok"]),
    ],
)
def test_ends(text: str, expected: list[str]) -> None:
    assert split(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "pi is 3.14 or so",
        "well... I mean",
        "well… I mean",
        "well…. I mean",
        "wait ... and then",
        "primes, e.g. 7 or 11",
        "primes, i.e. (cf. 7), vs. 11",
        "by Dr. Smith and Prof. J. R. Smith in Fig. 3 and Eq. 4",
        "U.S. law",
        "J. Smith",
        "there are 5! / (3! 2!) ways, n! in all, (n-1)! now and 5!! too",
        "a file x.py here",
        "1. first",
        "12) first",
    ],
)
def test_no_end_inside(text: str) -> None:
    assert split(text) == [text]


def test_a_capital_letter_that_is_a_name_in_mathematics_ends_a_sentence() -> None:
    assert split("It ends at point A. So") == ["It ends at point A.", "So"]


def test_etc_ends_its_sentence() -> None:
    assert split("2, 3, 5, etc. So") == ["2, 3, 5, etc.", "So"]


@pytest.mark.parametrize(
    "text",
    [
        r"let \(x = 1. y = 2\) be",
        "let \\[x = 1.\ny = 2. \\] be",
        "let $$x = 1. $y$ = 2$$ be",
        "let $x = 1. y = 2$ be",
        "let $5 + x. y$ be",
        "let $5x. y$ be",
        r"let $a\$ b. c$ be",
        "run `a. b` now",
        "run ``a. ` b`` now",
        "```py\nx. y\n\nz. w\n``` now",
        "text:\n```\n- a\n- b\n```",
    ],
)
def test_no_end_in_math_and_code(text: str) -> None:
    assert split(text) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("costs $5 and $7. So", ["costs $5 and $7.", "So"]),
        ("costs $3.50. So", ["costs $3.50.", "So"]),
        ("costs $1,000,000? So", ["costs $1,000,000?", "So"]),
        ("costs ($5). So", ["costs ($5).", "So"]),
        ("is $20 - $5 = $15. So", ["is $20 - $5 = $15.", "So"]),
        ("costs $5/hour. So", ["costs $5/hour.", "So"]),
        ("costs $5k. So", ["costs $5k.", "So"]),
        ("from $5-$10. So", ["from $5-$10.", "So"]),
        (r"costs \$5. So \$7 is. a", [r"costs \$5.", r"So \$7 is.", "a"]),
        ("is $5$. So", ["is $5$.", "So"]),
        ("in $ and cents. So", ["in $ and cents.", "So"]),
    ],
)
def test_amounts_of_money_are_no_math(text: str, expected: list[str]) -> None:
    assert split(text) == expected


def test_an_unclosed_dollar_counts_as_math_until_its_line_ends() -> None:
    assert split("let $x be. So\nit is. Ok") == ["let $x be. So\nit is.", "Ok"]


@pytest.mark.parametrize("opener", ["\\(", "\\[", "$$", "`", "``"])
def test_an_unclosed_opener_lapses_at_a_blank_line(opener: str) -> None:
    assert split(f"let {opener}x. y\nz. w\n\nOk. So") == [
        f"let {opener}x. y\nz. w\n\n",
        "Ok.",
        "So",
    ]


def test_an_unclosed_fence_lasts_until_the_stage_ends() -> None:
    segmenter = SentenceSegmenter()
    assert segmenter.feed("```\nx. y\n\nz. w\n") == ()
    assert segmenter.protected
    segmenter.begin_stage()
    assert not segmenter.protected
    assert segmenter.feed("Ok. So") == (18,)


@pytest.mark.parametrize(
    ("text", "ends"),
    [("所以是三。", [5]), ("真的！？对", [3]), ("好。”所以", [2]), ("So.", []), ("So. ", [3])],
)
def test_cjk_ends_are_certain_at_once(text: str, ends: list[int]) -> None:
    assert certain_ends(text) == ends


def test_offsets() -> None:
    assert certain_ends('Yes." No') == [5]
    assert certain_ends("Yes\n\nNo") == [5]
    assert certain_ends("Yes\n-") == []
    assert certain_ends("Yes\n- ") == [4]
    assert certain_ends("Yes\n  12. ") == [4]


def test_pending() -> None:
    segmenter = SentenceSegmenter()
    for text, pending in [
        ("So it is 3", False),
        (".", True),
        ("14", False),
        (".", True),
        ('"', True),
        (" ", False),
        ("A.", False),
        (" It costs $5.", True),
        ("50.", True),
        ("..", False),
    ]:
        segmenter.feed(text)
        assert segmenter.pending is pending, text


def test_finish_makes_a_pending_end_certain() -> None:
    segmenter = SentenceSegmenter()
    segmenter.feed("So it is.")
    assert segmenter.finish() == (9,)
    assert segmenter.finish() == ()


def test_sentences_start_at_the_first_visible_character_and_leave_nothing_out() -> None:
    assert sentences("  Yes.  No\n\n \n") == [(2, 6), (8, 12)]
    assert sentences("") == sentences(" \n\n ") == []
