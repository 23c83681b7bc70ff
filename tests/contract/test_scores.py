from __future__ import annotations

import math

import pytest

from relaygen.engines.base import Engine
from relaygen.types import Sampling

from .engines import Case
from .legs import leg, prompt_for, write


async def test_no_scores_unless_asked_for(engine: Engine) -> None:
    assert (await write(engine, leg(prompt_for(engine)))).scores is None


@pytest.mark.needs("scores")
@pytest.mark.parametrize("temperature", [0.0, 0.7])
async def test_scores_are_of_the_unscaled_distribution(case: Case, temperature: float) -> None:
    engine = case.engine
    prompt = prompt_for(engine)
    sampling = Sampling(temperature=temperature, seed=3)
    written = await write(engine, leg(prompt, sampling=sampling, want_scores=True))
    assert written.scores is not None
    for score in written.scores:
        assert score.logprob <= 0.0
        assert 0.0 <= score.margin <= 1.0
        assert score.top == ()
        assert score.likeliest is not None
        if engine.capabilities().exact_scores:
            assert score.entropy is not None
            assert 0.0 <= score.entropy <= math.log(engine.capabilities().vocab_size) + 1e-6
    if not engine.capabilities().prompt_scoring:
        return
    again = await engine.score(prompt + list(written.tokens), len(prompt))
    assert len(again) == len(written.tokens)
    for left, right in zip(written.scores, again, strict=True):
        assert left.logprob == pytest.approx(right.logprob, abs=case.tolerance)
        assert left.margin == pytest.approx(right.margin, abs=case.tolerance)
        assert left.entropy == pytest.approx(right.entropy, abs=10 * case.tolerance)


@pytest.mark.needs("scores")
async def test_asking_for_scores_changes_no_token(engine: Engine) -> None:
    request = leg(prompt_for(engine))
    scored = leg(prompt_for(engine), want_scores=True)
    assert (await write(engine, scored)).tokens == (await write(engine, request)).tokens


@pytest.mark.needs("scores", "scores_under_bias")
async def test_penalties_and_bias_leave_scores_alone(case: Case) -> None:
    engine = case.engine
    prompt = prompt_for(engine)
    plain = (await write(engine, leg(prompt, 1, want_scores=True))).scores
    sampling = Sampling(temperature=0.0, logit_bias={5: 100.0}, presence_penalty=2.0)
    biased = (await write(engine, leg(prompt, 1, sampling=sampling, want_scores=True))).scores
    assert plain is not None
    assert biased is not None
    assert biased[0].margin == pytest.approx(plain[0].margin, abs=case.tolerance)
    assert biased[0].logprob < plain[0].logprob
    assert plain[0].likeliest
    assert biased[0].likeliest is False


@pytest.mark.needs("top_logprobs")
async def test_alternatives_are_listed_best_first(case: Case) -> None:
    engine = case.engine
    count = min(5, engine.capabilities().top_logprobs)
    written = await write(engine, leg(prompt_for(engine), want_scores=True, top_logprobs=count))
    assert written.scores is not None
    for token, score in zip(written.tokens, written.scores, strict=True):
        logprobs = [logprob for _, logprob in score.top]
        assert len(score.top) == count
        assert len({token_id for token_id, _ in score.top}) == count
        assert logprobs == sorted(logprobs, reverse=True)
        assert all(logprob <= 0.0 for logprob in logprobs)
        assert score.top[0] == (token, pytest.approx(score.logprob, abs=case.tolerance))
        margin = math.exp(logprobs[0]) - math.exp(logprobs[1])
        assert score.margin == pytest.approx(margin, abs=1e-5)


@pytest.mark.needs("prompt_scoring")
@pytest.mark.parametrize("generation_id", ["", "one"])
async def test_scoring_disturbs_no_generation(case: Case, generation_id: str) -> None:
    engine = case.engine
    prompt = prompt_for(engine)
    whole = (await write(engine, leg(prompt, 20, generation_id=generation_id))).tokens
    tokens = prompt + list(whole[:8])
    first = await engine.score(tokens, len(prompt), generation_id=generation_id)
    second = await engine.score(tokens, 1, generation_id=generation_id)
    assert len(second) == len(tokens) - 1
    for left, right in zip(first, second[-len(first) :], strict=True):
        assert left.logprob == pytest.approx(right.logprob, abs=case.tolerance)
    rest = leg(tokens, 12, generation_id=generation_id, generated_from=len(prompt))
    assert (await write(engine, rest)).tokens == whole[8:]


@pytest.mark.needs("prompt_scoring", "scores_at_once")
async def test_every_token_of_a_long_text_is_scored(case: Case) -> None:
    engine = case.engine
    tokens = prompt_for(engine, engine.capabilities().context_tokens)
    scores = await engine.score(tokens, 1)
    assert len(scores) == len(tokens) - 1
    tail = await engine.score(tokens, len(tokens) - 4)
    for left, right in zip(scores[-4:], tail, strict=True):
        assert left.logprob == pytest.approx(right.logprob, abs=case.tolerance)
