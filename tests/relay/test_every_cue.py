"""The profiler's scanner finds for each cue what the relay's finds with that cue alone."""

from __future__ import annotations

from hypothesis import example, given

from relaygen.relay.cues import CueMatch, CuePosition, SwitchCue
from relaygen.relay.every_cue import EveryCueScanner
from relaygen.relay.scanner import TextScanner
from tests.relay.test_scanner_properties import cue_lists, tokenised

Found = list[tuple[int, CueMatch]]


def alone(tokens: list[str], cue: SwitchCue) -> Found:
    scanner = TextScanner([cue])
    scans = [scanner.feed(token) for token in tokens]
    return [(i, scan.cue) for i, scan in enumerate(scans) if scan.cue is not None]


def together(tokens: list[str], cues: list[SwitchCue]) -> dict[str, Found]:
    scanner = EveryCueScanner(cues)
    found: dict[str, Found] = {cue.text: [] for cue in cues}
    for index, token in enumerate(tokens):
        scanner.feed(token)
        for match in scanner.found:
            found[match.cue.text].append((index, match))
        scanner.found = []
    return found


@given(tokenised(), cue_lists)
@example(["So", ", we. So", " it"], [SwitchCue(text="So"), SwitchCue(text="So,")])
@example(["x word word word"], [SwitchCue(text="word word", position=CuePosition.ANYWHERE)])
def test_every_cue_is_found_as_if_alone(tokens: list[str], cues: list[SwitchCue]) -> None:
    assert together(tokens, cues) == {cue.text: alone(tokens, cue) for cue in cues}
