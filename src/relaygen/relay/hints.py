"""Stop hints: strings at which a server may end a leg by itself.

A leg that its server ends needs no cancelling: nothing is overrun, and its connection is free for
the next one. Stop strings know neither word boundaries nor decimals, so a leg may end too early;
then the machine has it go on, which costs a request and no token.

Source: the published code switches by stop strings alone (jiwonsong-dev/RelayGen).
"""

from __future__ import annotations

import functools
from typing import Final

from relaygen.relay.cues import CuePosition, SwitchCue

SENTENCE_END_HINTS: Final = (". ", "\n\n", "? ", "! ", "。", "？", "！")
"""What ends most sentences, the most frequent first: servers take only so many."""


@functools.lru_cache(maxsize=64)  # every generation asks for those of a few profiles
def cue_hints(cues: tuple[SwitchCue, ...]) -> tuple[str, ...]:
    """Strings at which cues count, in the cues' order; none holds another.

    A cue that waits for the next token is none of them: the hint would end the leg before it.
    """
    texts = [
        f" {cue.text}" if cue.position is CuePosition.ANYWHERE else cue.text
        for cue in cues
        if not cue.confirm_tokens
    ]
    return tuple(
        text for text in texts if not any(other in text for other in texts if other != text)
    )
