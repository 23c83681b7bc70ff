"""The states of a relay and the one table of its transitions.

Source: the idea of a protocol as one printable table is h11's (``_state.py``).
"""

from __future__ import annotations

from enum import StrEnum

from relaygen.errors import ProtocolError


class State(StrEnum):
    """What a generation is doing. "Writes" is the stage in which the policy decides."""

    START = "START"
    LARGE_WRITES = "LARGE_WRITES"
    SMALL_WRITES = "SMALL_WRITES"
    JUDGING = "JUDGING"
    LARGE_ANSWERS = "LARGE_ANSWERS"
    SMALL_ANSWERS = "SMALL_ANSWERS"
    DONE = "DONE"


class Trigger(StrEnum):
    """What moves a generation on."""

    WRITE_LARGE = "write: large"
    """The policy (or a failure of the small model) gives the word to the large model."""
    WRITE_SMALL = "write: small"
    """The policy hands over to the small model."""
    JUDGE = "judge"
    """The policy wants a tentative segment scored before it decides."""
    ANSWER_LARGE = "answer: large"
    """The reasoning is over (or there is none); the large model answers."""
    ANSWER_SMALL = "answer: small"
    """The reasoning is over; the small model answers."""
    FINISH = "finish"
    """End of sequence, a stop string, a limit, a failure of the large model, or a cancellation."""


_S, _T = State, Trigger

TRANSITIONS: dict[tuple[State, Trigger], State] = {
    (_S.START, _T.WRITE_LARGE): _S.LARGE_WRITES,
    (_S.START, _T.WRITE_SMALL): _S.SMALL_WRITES,
    (_S.START, _T.ANSWER_LARGE): _S.LARGE_ANSWERS,
    (_S.START, _T.ANSWER_SMALL): _S.SMALL_ANSWERS,
    (_S.START, _T.FINISH): _S.DONE,
    (_S.LARGE_WRITES, _T.WRITE_LARGE): _S.LARGE_WRITES,
    (_S.LARGE_WRITES, _T.WRITE_SMALL): _S.SMALL_WRITES,
    (_S.LARGE_WRITES, _T.JUDGE): _S.JUDGING,
    (_S.LARGE_WRITES, _T.ANSWER_LARGE): _S.LARGE_ANSWERS,
    (_S.LARGE_WRITES, _T.ANSWER_SMALL): _S.SMALL_ANSWERS,
    (_S.LARGE_WRITES, _T.FINISH): _S.DONE,
    (_S.SMALL_WRITES, _T.WRITE_LARGE): _S.LARGE_WRITES,
    (_S.SMALL_WRITES, _T.WRITE_SMALL): _S.SMALL_WRITES,
    (_S.SMALL_WRITES, _T.JUDGE): _S.JUDGING,
    (_S.SMALL_WRITES, _T.ANSWER_LARGE): _S.LARGE_ANSWERS,
    (_S.SMALL_WRITES, _T.ANSWER_SMALL): _S.SMALL_ANSWERS,
    (_S.SMALL_WRITES, _T.FINISH): _S.DONE,
    (_S.JUDGING, _T.WRITE_LARGE): _S.LARGE_WRITES,
    (_S.JUDGING, _T.WRITE_SMALL): _S.SMALL_WRITES,
    (_S.JUDGING, _T.FINISH): _S.DONE,
    (_S.LARGE_ANSWERS, _T.ANSWER_LARGE): _S.LARGE_ANSWERS,
    (_S.LARGE_ANSWERS, _T.FINISH): _S.DONE,
    (_S.SMALL_ANSWERS, _T.ANSWER_SMALL): _S.SMALL_ANSWERS,
    (_S.SMALL_ANSWERS, _T.ANSWER_LARGE): _S.LARGE_ANSWERS,
    (_S.SMALL_ANSWERS, _T.FINISH): _S.DONE,
}


def advance(state: State, trigger: Trigger) -> State:
    """The next state.

    Raises:
        ProtocolError: the table has no such transition.
    """
    try:
        return TRANSITIONS[state, trigger]
    except KeyError:
        raise ProtocolError(f"a relay in state {state} cannot take {trigger!r}") from None
