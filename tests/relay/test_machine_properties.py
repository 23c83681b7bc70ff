"""What holds in every relay, over random models, cues, limits, failures and chunkings."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaygen.relay.transcript import Segment
from relaygen.types import FinishReason, ModelRole
from tests.relay.driving import Break, Play, check_laws, drive
from tests.relay.strategies import Relay, breaks, relays

sizes = st.lists(st.integers(1, 9), min_size=1, max_size=8)


def turns(play: Play) -> list[tuple[ModelRole, str, list[int], str]]:
    def turn(segment: Segment) -> tuple[ModelRole, str, list[int], str]:
        return segment.role, str(segment.stage), segment.token_ids, segment.ended_by

    return [turn(segment) for segment in play.machine.segments]


def run(
    relay: Relay,
    breaks: dict[int, Break] | None = None,
    sizes: Sequence[int] = (1,),
    late: int = 0,
) -> Play:
    play = drive(
        relay.machine(),
        relay.writers(),
        sizes=itertools.cycle(sizes),
        breaks=breaks,
        late=late,
        score=relay.score,
    )
    check_laws(play, relay.vocabulary.decode)
    return play


def any_chunking_makes_the_same_switches(relay: Relay, sizes: list[int], late: int) -> None:
    alone = run(relay)
    together = run(relay, sizes=sizes, late=late)
    assert turns(together) == turns(alone)
    assert together.text == alone.text
    assert together.finish == alone.finish
    assert [(s.role, s.texts and s.text) for s in together.machine.segments] == [
        (s.role, s.texts and s.text) for s in alone.machine.segments
    ]
    assert together.overrun >= alone.overrun


def every_failure_leaves_a_whole_generation(
    relay: Relay, breaks: dict[int, Break], sizes: list[int]
) -> None:
    play = run(relay, breaks=breaks, sizes=sizes, late=2)
    assert turns(play) == turns(run(relay, breaks=breaks, sizes=sizes))
    if all(fault.retryable for fault in breaks.values()):
        assert play.finish.reason is not FinishReason.ERROR
        assert not play.machine.small_lost


def a_failure_that_is_repeated_changes_no_token(relay: Relay, breaks: dict[int, int]) -> None:
    broken = run(relay, breaks={leg: Break(after) for leg, after in breaks.items()})
    whole = run(relay)
    assert broken.machine.tokens == whole.machine.tokens
    assert broken.text == whole.text


def servers_that_end_legs_at_stop_hints_change_no_token(relay: Relay, sizes: list[int]) -> None:
    whole = run(relay)
    hinted = drive(
        relay.machine(),
        relay.writers(),
        sizes=itertools.cycle(sizes),
        score=relay.score,
        hinted=relay.vocabulary.decode,
    )
    check_laws(hinted, relay.vocabulary.decode)
    assert turns(hinted) == turns(whole)
    assert hinted.text == whole.text
    assert hinted.finish == whole.finish
    assert len(hinted.legs) == len(whole.legs) + hinted.machine.early_stops


def a_reader_may_leave_at_any_time(relay: Relay, sizes: list[int], moment: int) -> None:
    play = drive(
        relay.machine(),
        relay.writers(),
        sizes=itertools.cycle(sizes),
        late=1,
        score=relay.score,
        cancel_after=moment,
    )
    check_laws(play, relay.vocabulary.decode)


PROPERTIES: list[tuple[Callable[..., None], dict[str, st.SearchStrategy[object]]]] = [
    (
        any_chunking_makes_the_same_switches,
        {"relay": relays(), "sizes": sizes, "late": st.integers(0, 3)},
    ),
    (
        every_failure_leaves_a_whole_generation,
        {"relay": relays(), "breaks": breaks, "sizes": sizes},
    ),
    (
        a_failure_that_is_repeated_changes_no_token,
        {
            "relay": relays(),
            "breaks": st.dictionaries(st.integers(0, 8), st.integers(0, 6), max_size=3),
        },
    ),
    (
        servers_that_end_legs_at_stop_hints_change_no_token,
        {"relay": relays(), "sizes": sizes},
    ),
    (
        a_reader_may_leave_at_any_time,
        {"relay": relays(), "sizes": sizes, "moment": st.integers(0, 40)},
    ),
]
NAMES = [check.__name__ for check, _ in PROPERTIES]


@pytest.mark.parametrize(("check", "strategies"), PROPERTIES, ids=NAMES)
def test_property(
    check: Callable[..., None], strategies: dict[str, st.SearchStrategy[object]]
) -> None:
    given(**strategies)(check)()


@pytest.mark.slow
@pytest.mark.parametrize(("check", "strategies"), PROPERTIES, ids=NAMES)
def test_property_at_length(
    check: Callable[..., None], strategies: dict[str, st.SearchStrategy[object]]
) -> None:
    given(**strategies)(settings(settings.get_profile("slow"))(check))()
