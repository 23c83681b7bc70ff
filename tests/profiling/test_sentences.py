"""What is measured is what a relay hands over."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaygen import demo_models
from relaygen.api import Model, Options, Relay
from relaygen.engines.simulated import ScriptedModel, SimulatedEngine
from relaygen.profiling.sentences import find_cues, find_sentences
from relaygen.relay.config import RelayConfig
from relaygen.relay.cues import SwitchCue
from relaygen.relay.segmentation import sentences
from relaygen.relay.vocabulary import Detokeniser
from relaygen.tokens import Tokenizer
from relaygen.types import ModelRole, Sampling, Stage

from .made import PIECE

TEXT = (
    "So, she buys 58 more. That is 405.\n\nWait, the ones are 15. So the sum is 3.5 (e.g. 3). So "
    "that is it!\n\nSo, now the rest: 1. So what?\n2. Nothing else\nSo, is asked. So,\n\nSo it is\n"
)


@pytest.mark.parametrize("max_tokens", [3, 128])
@pytest.mark.parametrize("cue", ["So", "So,", "Wait,", "Nothing"])
async def test_segments_are_those_that_a_relay_hands_over(cue: str, max_tokens: int) -> None:
    path = demo_models.gguf("large")
    tokenizer = Tokenizer.load(path)
    script = tokenizer.encode(f"{TEXT}</think>\n\nDone.", parse_special=True)

    def model() -> Model:
        scripted = ScriptedModel(
            script, vocab_size=tokenizer.vocab_size, end_token=min(tokenizer.eos_ids)
        )
        engine = SimulatedEngine(scripted, inline=True, context_tokens=2048)
        return Model(name="m", engine=engine, tokenizer=tokenizer, sampling=Sampling())

    limits = RelayConfig(max_small_tokens=max_tokens, min_small_tokens=0, max_small_run=1000)
    async with Relay(model(), model(), config=limits) as relay:
        result = await relay.generate("?", Options(cues=[SwitchCue(text=cue)]))
    handed = []
    place = 0
    for segment in result.trace.segments:
        stop = place + len(segment.token_ids)
        if segment.role is ModelRole.SMALL and segment.stage is Stage.REASONING:
            handed.append((place, stop))
        place = stop
    reasoning = script[: script.index(tokenizer.markup["</think>"])]
    push = Detokeniser(tokenizer).push
    texts = [[push(token_id) for token_id in reasoning]]
    found = find_cues(texts, find_sentences(texts), [SwitchCue(text=cue)], max_tokens=max_tokens)
    assert handed
    assert list(zip(found.start.tolist(), found.stop.tolist(), strict=True)) == handed


@given(
    st.lists(
        st.sampled_from(["So", ",", " we", " add", ".", "\n\n", " 3.5", " ", "。", "好", '."'])
    )
)
def test_sentences_cover_every_token_once(tokens: list[str]) -> None:
    found = find_sentences([tokens])
    places = [p for a, b in zip(found.start, found.stop, strict=True) for p in range(a, b)]
    assert places == list(range(len(tokens)))
    # Each sentence of the text ends in the last token of one that was found.
    offsets = list(accumulate(len(token) for token in tokens))
    stops = {offsets[stop - 1] for stop in found.stop.tolist()}
    for _, end in sentences("".join(tokens))[:-1]:
        assert min(o for o in offsets if o >= end) in stops


def test_heads_begin_with_the_first_word() -> None:
    text = 'He left.\n\n**So, we** go. "Thus we" stay. 3 is odd. 1. First, this\n'
    found = find_sentences([PIECE.findall(text)])
    assert found.head == [
        "He left.",
        "So, we** go.",
        'Thus we" stay.',
        "",
        "First, this\n",
    ]


def test_nested_cues_have_segments_of_their_own() -> None:
    texts = [PIECE.findall("So, we add 3. So it is.")]
    cues = [SwitchCue(text=text) for text in ("So", "So,", "So, we")]
    found = find_cues(texts, find_sentences(texts), cues, max_tokens=100)
    segments = [
        (cues[c].text, "".join(texts[0][a:b]))
        for c, a, b in zip(found.cue, found.start, found.stop, strict=True)
    ]
    assert sorted(segments) == [
        ("So", " it is."),
        ("So", ", we add 3."),
        ("So,", " we add 3."),
        ("So, we", " add 3."),
    ]
    assert np.unique(found.sentence).tolist() == [0, 1]
