import pytest

from relaygen.errors import CueProfileError
from relaygen.relay.cues import MAX_CUE_LENGTH, CuePosition, SwitchCue


def test_white_space_at_the_end_is_a_condition() -> None:
    cue = SwitchCue(text="So ")
    assert (cue.visible, cue.needs_space) == ("So", True)
    assert not SwitchCue(text="So").needs_space


@pytest.mark.parametrize(
    "text",
    [
        "So,",
        "On the other hand,",
        "e.g.,",
        "所以",
        "i.e. this",
        "now",
        "a" * MAX_CUE_LENGTH,
        "So\n",
    ],
)
def test_accepted(text: str) -> None:
    assert SwitchCue(text=text).text == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "visible"),
        (" \n", "visible"),
        (" So", "begin with a letter"),
        ("**So**", "begin with a letter"),
        ("5 x", "begin with a letter"),
        ("So\nit", "line breaks"),
        ("So $x", "line breaks"),
        ("So\x00", "line breaks"),
        ("So. Then", "ends inside"),
        ("Okay.", "ends inside"),
        ("好。", "ends inside"),
        ("a" * (MAX_CUE_LENGTH + 1), "65 characters"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(CueProfileError, match=reason):
        SwitchCue(text=text)


@pytest.mark.parametrize("confirm_tokens", [-1, 2, True, 0.0])
def test_confirm_tokens_is_0_or_1(confirm_tokens: int) -> None:
    with pytest.raises(CueProfileError, match="confirm_tokens"):
        SwitchCue(text="So", confirm_tokens=confirm_tokens)


def test_position_is_an_enumeration() -> None:
    with pytest.raises(CueProfileError, match="position"):
        SwitchCue(text="So", position="middle")  # type: ignore[arg-type]
    assert SwitchCue(text="So").position is CuePosition.SENTENCE
