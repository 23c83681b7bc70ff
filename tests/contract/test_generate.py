from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from relaygen.engines.base import Engine
from relaygen.types import LegEnd, Sampling

from .engines import Case
from .legs import GREEDY, leg, prompt_for, write

pytestmark = pytest.mark.usefixtures("case")


@pytest.mark.parametrize("cut", [1, 2, 7, 23])
@pytest.mark.parametrize("generation_id", ["", "one"])
async def test_a_continued_prefix_repeats_one_long_generation(
    engine: Engine, cut: int, generation_id: str
) -> None:
    prompt = prompt_for(engine)
    whole = await write(engine, leg(prompt, 24, generation_id=generation_id))
    rest = await write(
        engine,
        leg(
            prompt + list(whole.tokens[:cut]),
            24 - cut,
            generation_id=generation_id,
            generated_from=len(prompt),
        ),
    )
    assert rest.tokens == whole.tokens[cut:]


async def test_a_prefix_that_leaves_the_cached_one_is_as_good_as_new(engine: Engine) -> None:
    prompt = prompt_for(engine)
    whole = await write(engine, leg(prompt, 16, generation_id="one"))
    other = prompt + list(whole.tokens[:5]) + prompt_for(engine, 4, seed=2)
    cached = await write(engine, leg(other, 16, generation_id="one"))
    fresh = await write(engine, leg(other, 16))
    assert cached.tokens == fresh.tokens


@pytest.mark.needs("prefix_cache")
async def test_a_prompt_that_extends_an_earlier_one_costs_its_new_tokens(engine: Engine) -> None:
    prompt = prompt_for(engine, 40, seed=40)  # nobody else's: a server may serve other tests too
    first = await write(engine, leg(prompt, 8, generation_id="one"))
    assert first.prompt_evaluated in (None, len(prompt))
    extended = prompt + list(first.tokens) + prompt_for(engine, 3, seed=2)
    second = await write(engine, leg(extended, 1, generation_id="one"))
    assert second.prompt_evaluated is None or 1 <= second.prompt_evaluated <= 4


async def test_a_prefill_saves_the_leg_the_reading(engine: Engine) -> None:
    prompt = prompt_for(engine, 40)
    expected = await write(engine, leg(prompt, 8))
    await engine.prefill(prompt, "one")
    ahead = await write(engine, leg(prompt, 8, generation_id="one"))
    assert ahead.tokens == expected.tokens
    if engine.capabilities().prefix_cache and ahead.prompt_evaluated is not None:
        assert ahead.prompt_evaluated <= len(prompt)


@pytest.mark.parametrize("max_tokens", [1, 2, 13])
async def test_writes_max_tokens_and_no_more(engine: Engine, max_tokens: int) -> None:
    written = await write(engine, leg(prompt_for(engine), max_tokens))
    assert len(written.tokens) == max_tokens
    assert written.end is LegEnd.LENGTH


async def test_stops_where_the_context_is_full(engine: Engine) -> None:
    context = engine.capabilities().context_tokens
    written = await write(engine, leg(prompt_for(engine, context - 3), 50))
    assert 1 <= len(written.tokens) <= 4
    assert written.end is LegEnd.LENGTH


async def test_the_end_of_sequence_token_is_delivered_last(engine: Engine) -> None:
    prompt = prompt_for(engine)
    plain = (await write(engine, leg(prompt, 24))).tokens
    eos = plain[9]
    ended = await write(engine, leg(prompt, 24, eos_ids=frozenset({eos})))
    assert ended.tokens == plain[: plain.index(eos) + 1]
    assert ended.end is LegEnd.EOS


async def test_end_of_sequence_as_the_last_allowed_token_is_no_length(engine: Engine) -> None:
    prompt = prompt_for(engine)
    eos = (await write(engine, leg(prompt, 1))).tokens[0]
    ended = await write(engine, leg(prompt, 1, eos_ids=frozenset({eos})))
    assert ended.end is LegEnd.EOS


@pytest.mark.needs("stop_hints")
async def test_an_honoured_stop_hint_is_delivered_with_its_text(case: Case) -> None:
    engine = case.engine
    assert case.token_bytes is not None
    token_bytes = case.token_bytes
    vocabulary = range(engine.capabilities().vocab_size)
    hidden = [t for t in vocabulary if not token_bytes(t).isalpha() or not token_bytes(t).isascii()]
    letters_only = Sampling(temperature=0.0, logit_bias=dict.fromkeys(hidden, -100.0))
    prompt = prompt_for(engine)
    plain = await write(engine, leg(prompt, 24, sampling=letters_only))
    pieces = [token_bytes(token) for token in plain.tokens]
    hint = b"".join(pieces[6:9]).decode()
    stopped = await write(
        engine, leg(prompt, 24, sampling=letters_only, stop_hints=("never 1 2", hint))
    )
    text = b"".join(pieces[: len(stopped.tokens)]).decode()
    assert stopped.tokens == plain.tokens[: len(stopped.tokens)]
    assert stopped.end is LegEnd.STOP_HINT
    assert hint in text
    assert hint not in text[: -len(pieces[len(stopped.tokens) - 1])]


async def test_an_ignored_stop_hint_does_no_harm(engine: Engine) -> None:
    prompt = prompt_for(engine)
    plain = await write(engine, leg(prompt))
    hinted = await write(engine, leg(prompt, stop_hints=("no model writes 7 this",)))
    assert (hinted.tokens, hinted.end) == (plain.tokens, plain.end)


@pytest.mark.needs("seeds")
async def test_a_seed_repeats_and_another_differs(engine: Engine) -> None:
    prompt = prompt_for(engine)

    async def seeded(seed: int) -> tuple[int, ...]:
        sampling = Sampling(temperature=1.5, seed=seed)
        return (await write(engine, leg(prompt, 24, sampling=sampling))).tokens

    drawn = [await seeded(seed) for seed in (0, 1, 2**32 - 1)]
    assert [await seeded(seed) for seed in (0, 1, 2**32 - 1)] == drawn
    assert len(set(drawn)) == 3


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0, top_k=1),
        Sampling(temperature=1.0, top_p=1e-6),
        Sampling(temperature=1.0, min_p=1.0),
    ],
    ids=["top_k", "top_p", "min_p"],
)
async def test_the_tightest_truncation_is_greedy(engine: Engine, sampling: Sampling) -> None:
    prompt = prompt_for(engine)
    greedy = await write(engine, leg(prompt, sampling=GREEDY))
    assert (await write(engine, leg(prompt, sampling=sampling))).tokens == greedy.tokens


@pytest.mark.needs("penalties")
async def test_penalties_count_all_that_was_generated(engine: Engine) -> None:
    prompt = prompt_for(engine)
    favourite = prompt_for(engine, 1, seed=3)[0]
    # The bias wins over any logit, and sixty occurrences win over the bias.
    sampling = Sampling(temperature=0.0, logit_bias={favourite: 60.0}, frequency_penalty=2.0)
    request = leg(prompt + [favourite] * 60, 1, sampling=sampling, generated_from=len(prompt))
    assert (await write(engine, request)).tokens != (favourite,)
    forgetful = leg(prompt + [favourite] * 60, 1, sampling=sampling)
    assert (await write(engine, forgetful)).tokens == (favourite,)


@pytest.mark.needs("penalties")
@pytest.mark.parametrize(
    "penalties",
    [{"presence_penalty": 2.0}, {"frequency_penalty": 2.0}, {"repetition_penalty": 3.0}],
    ids=lambda penalties: next(iter(penalties)),
)
async def test_penalties_go_on_across_a_handoff(
    engine: Engine, penalties: dict[str, float]
) -> None:
    prompt = prompt_for(engine)
    sampling = Sampling(temperature=0.0, **penalties)
    whole = await write(engine, leg(prompt, 24, sampling=sampling, generated_from=len(prompt)))
    rest = await write(
        engine,
        leg(prompt + list(whole.tokens[:11]), 13, sampling=sampling, generated_from=len(prompt)),
    )
    assert rest.tokens == whole.tokens[11:]


async def test_a_bias_forces_and_bans(engine: Engine) -> None:
    prompt = prompt_for(engine)
    usual = (await write(engine, leg(prompt, 1))).tokens[0]
    wanted = (usual + 1) % engine.capabilities().vocab_size
    for temperature in (0.0, 1.0):
        forced = Sampling(temperature=temperature, logit_bias={wanted: 100.0})
        assert set((await write(engine, leg(prompt, 5, sampling=forced))).tokens) == {wanted}
        banned = Sampling(temperature=temperature, logit_bias={usual: -100.0})
        assert usual not in (await write(engine, leg(prompt, 5, sampling=banned))).tokens


@pytest.mark.needs("batch_invariance")
@pytest.mark.parametrize("count", [2, 10])
async def test_company_changes_nothing(engine: Engine, count: int) -> None:
    requests = [
        leg(prompt_for(engine, 8 + 3 * i, seed=i), 16 + i, generation_id=f"g{i}")
        for i in range(count)
    ]
    together = await asyncio.gather(*(write(engine, request) for request in requests))
    for request, written in zip(requests, together, strict=True):
        alone = leg(list(request.prompt), request.max_tokens)
        assert (await write(engine, alone)).tokens == written.tokens


async def test_two_legs_of_one_generation_at_once(engine: Engine) -> None:
    prompt = prompt_for(engine)
    other = prompt[:6] + prompt_for(engine, 6, seed=2)
    expected = [await write(engine, leg(p)) for p in (prompt, other)]
    together = await asyncio.gather(
        *(write(engine, leg(p, generation_id="one")) for p in (prompt, other))
    )
    for left, right in zip(together, expected, strict=True):
        assert left.tokens == right.tokens


async def test_a_chain_of_short_legs_is_one_generation(engine: Engine) -> None:
    prompt = prompt_for(engine)
    whole = (await write(engine, leg(prompt, 30))).tokens
    lengths = [1, 4, 9, 11, 20, 30]
    written: list[int] = []
    for start, stop in pairwise([0, *lengths]):
        request = leg(
            prompt + written, stop - start, generation_id="one", generated_from=len(prompt)
        )
        written += (await write(engine, request)).tokens
    assert tuple(written) == whole
