"""The table of states, and the names that a trace and the documentation use."""

from __future__ import annotations

import pytest

from relaygen.errors import ProtocolError
from relaygen.relay.states import TRANSITIONS, State, Trigger, advance


def test_every_state_can_be_reached_and_left() -> None:
    reached = {State.START}
    while True:
        found = {to for (state, _), to in TRANSITIONS.items() if state in reached} - reached
        if not found:
            break
        reached |= found
    assert reached == set(State)
    for state in State:
        ends = TRANSITIONS.get((state, Trigger.FINISH))
        assert ends is (None if state is State.DONE else State.DONE)


def test_a_trigger_says_where_it_leads() -> None:
    writers = {
        Trigger.WRITE_LARGE: State.LARGE_WRITES,
        Trigger.WRITE_SMALL: State.SMALL_WRITES,
        Trigger.ANSWER_LARGE: State.LARGE_ANSWERS,
        Trigger.ANSWER_SMALL: State.SMALL_ANSWERS,
    }
    for (_, trigger), state in TRANSITIONS.items():
        assert writers.get(trigger, state) is state


@pytest.mark.parametrize("state", [State.LARGE_ANSWERS, State.SMALL_ANSWERS])
@pytest.mark.parametrize("trigger", [Trigger.WRITE_LARGE, Trigger.WRITE_SMALL, Trigger.JUDGE])
def test_nobody_reasons_after_the_reasoning(state: State, trigger: Trigger) -> None:
    with pytest.raises(ProtocolError, match="cannot take"):
        advance(state, trigger)
