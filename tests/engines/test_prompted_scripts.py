from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaygen.engines.base import GenerateRequest
from relaygen.engines.simulated import ByteVocabulary, PromptedScripts, SimulatedEngine, story
from relaygen.errors import InvalidRequestError

VOCABULARY = ByteVocabulary()
MARKER = VOCABULARY.encode("<think>\n")
EOS = VOCABULARY.eos_id


def storyteller(seed: int = 0) -> PromptedScripts:
    return PromptedScripts(
        lambda number: VOCABULARY.encode(story(number, sentences=3)),
        marker=MARKER,
        vocab_size=len(VOCABULARY),
        end_token=EOS,
        seed=seed,
    )


def prompt(question: str) -> list[int]:
    return VOCABULARY.encode(question) + MARKER


async def written(model: PromptedScripts, prefix: list[int], max_tokens: int = 2000) -> list[int]:
    """By an engine of its own that is told nothing of where the prompt ends."""
    request = GenerateRequest(
        prompt=prefix, max_tokens=max_tokens, eos_ids=frozenset({EOS}), generated_from=len(prefix)
    )
    outputs = SimulatedEngine(model).generate(request)
    return [token async for output in outputs for token in output.token_ids]


@given(question=st.text(max_size=8), cuts=st.lists(st.integers(0, 10_000), max_size=3))
async def test_any_replica_goes_on_from_any_prefix(question: str, cuts: list[int]) -> None:
    text = [*storyteller().script(prompt(question)), EOS]
    for cut in cuts:
        place = cut % len(text)
        assert await written(storyteller(), prompt(question) + text[:place]) == text[place:]


def test_another_prompt_or_seed_is_another_text() -> None:
    texts = {storyteller(seed).script(prompt(q)) for q in ("a", "b") for seed in (0, 1)}
    assert len(texts) == 4


def test_the_last_marker_counts() -> None:
    turns = prompt("a") + VOCABULARY.encode("earlier") + prompt("b")
    assert storyteller().origin(turns) == len(turns)
    assert storyteller().origin([*turns, 5, 6]) == len(turns)


@pytest.mark.parametrize("seed", range(20))
def test_a_marker_is_found_at_token_boundaries_only(seed: int) -> None:
    # Ids whose bytes hold those of the marker across a boundary.
    model = PromptedScripts(lambda number: [1], marker=[1, 256], vocab_size=2**25, end_token=0)
    draw = Random(seed)
    prefix = draw.choices([0, 1, 256, 2**16, 2**24], k=40)
    wanted = [i + 2 for i in range(39) if prefix[i : i + 2] == [1, 256]]
    if wanted:
        assert model.origin(prefix) == wanted[-1]
    else:
        with pytest.raises(InvalidRequestError):
            model.origin(prefix)


def test_a_prompt_without_the_marker_is_refused() -> None:
    with pytest.raises(InvalidRequestError) as raised:
        storyteller().script([1, 2, 3])
    assert raised.value.param == "prompt"


def test_stories_have_cues_an_end_and_an_answer() -> None:
    texts = [story(number) for number in range(50)]
    assert len(set(texts)) == 50
    assert all(text.count("</think>") == 1 and "The answer is" in text for text in texts)
    assert any("So, " in text for text in texts)
    assert story(7) == story(7)
