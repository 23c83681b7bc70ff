from __future__ import annotations

from typing import Any

import pytest

from relaygen.engines.simulated import RandomModel
from relaygen.errors import InvalidRequestError
from relaygen.types import LegEnd, Sampling
from tests.engines.openai_http.serving import (
    EOS,
    VOCABULARY,
    leg,
    outputs_of,
    reciting,
    served,
    tokens,
)

IDS = ["vllm", "sglang", "llama_server"]
TEXT = "So, 4 é 😀! Thus"


@pytest.mark.parametrize("dialect", [*IDS, "text"])
@pytest.mark.parametrize("chunk", [1, 3])
async def test_a_text_to_its_end(dialect: str, chunk: int) -> None:
    async with served(dialect, reciting(TEXT), engine={"chunk_tokens": chunk}) as (engine, _):
        assert engine.dialect == dialect
        outputs = await outputs_of(engine, leg())
        assert tokens(outputs) == [*VOCABULARY.encode(TEXT), EOS]
        assert outputs[-1].end is LegEnd.EOS


@pytest.mark.parametrize("dialect", [*IDS, "text"])
async def test_every_sampling_field_reaches_the_server(dialect: str) -> None:
    sampling = Sampling(
        temperature=0.5, top_k=7, top_p=0.75, min_p=0.125, seed=2**40, logit_bias={3: 1.5}
    )
    async with served(dialect, RandomModel(len(VOCABULARY))) as (engine, backend):
        if dialect != "text":
            await outputs_of(engine, leg(sampling=sampling, max_tokens=2))
        else:
            await outputs_of(engine, leg(sampling=sampling, max_tokens=2, eos_ids={EOS}))
    body = backend.requests[0]
    asked = body.sampling_params if dialect == "sglang" else body
    assert (asked.temperature, asked.top_k, asked.top_p, asked.min_p) == (0.5, 7, 0.75, 0.125)
    assert dict(asked.logit_bias) == {3: 1.5}
    seed = asked.sampling_seed if dialect == "sglang" else asked.seed
    # llama-server's seeds have 32 bits.
    assert seed == 2**40 if dialect != "llama_server" else 0 <= seed < 2**32 - 1


@pytest.mark.parametrize("dialect", IDS)
@pytest.mark.parametrize("seed", [None, 0, 2**32 - 1, 2**63, 2**64 - 1])
async def test_any_seed_is_one_that_the_server_takes(dialect: str, seed: int | None) -> None:
    async with served(dialect, RandomModel(len(VOCABULARY))) as (engine, backend):
        await outputs_of(engine, leg(sampling=Sampling(seed=seed), max_tokens=1))
    body = backend.requests[0]
    sent = body.sampling_params.sampling_seed if dialect == "sglang" else body.seed
    if dialect == "llama_server":
        assert 0 <= sent < 2**32 - 1
    else:
        assert sent is None if seed is None else 0 <= sent < 2**63


async def test_vllm_stops_at_the_ids_of_the_leg_and_no_others() -> None:
    script = [5, EOS, 6, 7, 8]
    async with served("vllm", reciting(script)) as (engine, _):
        outputs = await outputs_of(engine, leg(eos_ids=frozenset({7})))
        assert tokens(outputs) == [5, EOS, 6, 7]
        assert outputs[-1].end is LegEnd.EOS


@pytest.mark.parametrize("dialect", ["sglang", "llama_server"])
async def test_elsewhere_the_models_own_end_ends_a_leg_too(dialect: str) -> None:
    async with served(dialect, reciting([5, EOS, 6])) as (engine, _):
        outputs = await outputs_of(engine, leg(eos_ids=frozenset({7})))
        assert tokens(outputs) == [5, EOS]
        assert outputs[-1].end is LegEnd.EOS


@pytest.mark.parametrize("dialect", [*IDS, "text"])
async def test_an_end_that_the_server_does_not_know_is_found_here(dialect: str) -> None:
    text = VOCABULARY.encode("ab cd ef gh")
    async with served(dialect, reciting(text), eos_ids=frozenset()) as (engine, _):
        outputs = await outputs_of(engine, leg(eos_ids=frozenset({text[4]}), max_tokens=11))
        assert tokens(outputs) == text[:5]
        assert outputs[-1].end is LegEnd.EOS


@pytest.mark.parametrize("incremental", [False, True])
@pytest.mark.parametrize("chunk", [1, 4])
async def test_sglang_repeats_its_output_or_not(incremental: bool, chunk: int) -> None:
    async with served(
        "sglang", reciting(TEXT), incremental=incremental, engine={"chunk_tokens": chunk}
    ) as (engine, _):
        outputs = await outputs_of(engine, leg(want_scores=True, sampling=Sampling()))
        assert tokens(outputs) == [*VOCABULARY.encode(TEXT), EOS]
        assert all(len(output.scores or ()) == len(output.token_ids) for output in outputs)
        assert outputs[0].prompt_evaluated == 1


async def test_sglang_is_told_of_a_leg_that_was_broken_off() -> None:
    async with served("sglang", reciting(TEXT)) as (engine, backend):
        await outputs_of(engine, leg())
        outputs = engine.generate(leg())
        await anext(outputs)
        await outputs.aclose()
        await engine.settled()
        assert backend.aborted == [backend.requests[1].rid]


@pytest.mark.parametrize(
    ("sampling", "param"),
    [
        (Sampling(temperature=0.7), "temperature"),
        (Sampling(logit_bias={1: 2.0}), "logit_bias"),
        (Sampling(frequency_penalty=0.1), "frequency_penalty"),
    ],
)
async def test_sglang_has_no_scores_of_the_plain_distribution(
    sampling: Sampling, param: str
) -> None:
    async with served("sglang", reciting(TEXT)) as (engine, _):
        with pytest.raises(InvalidRequestError) as raised:
            await outputs_of(engine, leg(want_scores=True, sampling=sampling))
        assert raised.value.param == param


async def test_vllm_takes_no_temperature_above_two() -> None:
    async with served("vllm", reciting(TEXT)) as (engine, _):
        with pytest.raises(InvalidRequestError) as raised:
            await outputs_of(engine, leg(sampling=Sampling(temperature=2.5)))
        assert raised.value.param == "temperature"


@pytest.mark.parametrize("tokenizer", [True, False])
@pytest.mark.parametrize("want_scores", [False, True])
@pytest.mark.parametrize("stop_strings", [0, 1])
async def test_llama_server_leaves_out_ids_inside_a_code_point(
    tokenizer: bool, want_scores: bool, stop_strings: int
) -> None:
    text, options = "é😀 naïve — 日本語", {"stop_strings": stop_strings}
    opened = served("llama_server", reciting(text), tokenizer=tokenizer, options=options)
    async with opened as (engine, backend):
        request = leg(want_scores=want_scores, stop_hints=("never",))
        outputs = await outputs_of(engine, request)
        assert tokens(outputs) == [*VOCABULARY.encode(text), EOS]
        if want_scores:
            scores = [score for output in outputs for score in output.scores or ()]
            assert len(scores) == len(tokens(outputs))
            assert all(score.margin == pytest.approx(0.9, abs=1e-3) for score in scores)
        streams = [body for body in backend.requests if body.stream]
        replays = [body for body in backend.requests if not body.stream and body.n_predict > 1]
        assert len(streams) == 1
        assert bool(replays) == (not tokenizer or bool(stop_strings))


@pytest.mark.parametrize("max_tokens", [1, 2, 3, 5])
async def test_llama_server_where_a_leg_ends_inside_a_code_point(max_tokens: int) -> None:
    async with served("llama_server", reciting("é😀")) as (engine, _):
        outputs = await outputs_of(engine, leg(max_tokens=max_tokens))
        assert tokens(outputs) == VOCABULARY.encode("é😀")[:max_tokens]
        assert outputs[-1].end is LegEnd.LENGTH


async def test_llama_server_is_replayed_with_the_seed_it_was_given() -> None:
    model = RandomModel(len(VOCABULARY))
    async with served("llama_server", model, tokenizer=False, eos_ids=frozenset()) as (engine, b):
        outputs = await outputs_of(engine, leg(eos_ids=frozenset(), max_tokens=40))
        assert len(tokens(outputs)) == 40
        assert len({body.seed for body in b.requests}) == 1
        assert len(b.requests) > 1


async def test_llama_servers_slots_follow_generations() -> None:
    async with served("llama_server", reciting(TEXT), slots=2) as (engine, backend):
        for generation_id in ("a", "b", "a", "b", "c", "b", ""):
            await outputs_of(engine, leg(generation_id=generation_id, max_tokens=2))
        assert [body.id_slot for body in backend.requests] == [0, 1, 0, 1, 0, 1, -1]
        opened = [engine.generate(leg(generation_id=name)) for name in ("a", "b", "c")]
        for outputs in opened:
            await anext(outputs)
        assert {body.id_slot for body in backend.requests[7:]} == {0, 1, -1}
        for outputs in opened:
            await outputs.aclose()


async def test_text_needs_a_tokenizer() -> None:
    with pytest.raises(InvalidRequestError) as raised:
        async with served("text", reciting(TEXT), tokenizer=False):
            raise AssertionError("it was opened")
    assert raised.value.param == "tokenizer"


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"want_scores": True}, "logprobs"), ({"prompt": (65, 0xC3)}, "prompt")],
)
async def test_what_text_cannot_do_is_refused(fields: dict[str, Any], param: str) -> None:
    async with served("text", reciting(TEXT)) as (engine, _):
        with pytest.raises(InvalidRequestError) as raised:
            await outputs_of(engine, leg(**fields))
        assert raised.value.param == param


async def test_text_gives_words_as_soon_as_they_are_whole() -> None:
    async with served("text", reciting("one two  three\n\nfour")) as (engine, _):
        outputs = await outputs_of(engine, leg())
        pieces = [VOCABULARY.decode(output.token_ids) for output in outputs]
        assert pieces == ["one", " two", "  three\n\nfour<|im_end|>"]
