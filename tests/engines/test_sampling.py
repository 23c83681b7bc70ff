from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaygen.engines.sampling import Sampler, score_tokens
from relaygen.types import Sampling

logit_lists = st.lists(
    st.floats(-30, 30, allow_nan=False, width=32), min_size=2, max_size=40, unique=True
)


def softmax(logits: list[float]) -> list[float]:
    top = max(logits)
    weights = [math.exp(logit - top) for logit in logits]
    return [weight / sum(weights) for weight in weights]


@given(
    logits=logit_lists,
    top_k=st.integers(0, 8),
    top_p=st.floats(0.05, 1.0),
    min_p=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**64 - 1),
    position=st.integers(0, 10**6),
)
def test_draws_only_what_each_cut_leaves(
    logits: list[float], top_k: int, top_p: float, min_p: float, seed: int, position: int
) -> None:
    sampling = Sampling(temperature=2.0, top_k=top_k, top_p=top_p, min_p=min_p, seed=seed)
    drawn = Sampler(sampling).draw(np.array(logits), position)
    ranked = sorted(range(len(logits)), key=lambda i: -logits[i])
    ranked = ranked[: top_k or None]
    probabilities = softmax([logits[i] for i in ranked])
    rank = ranked.index(drawn)
    assert sum(probabilities[:rank]) < top_p + 1e-9
    assert probabilities[rank] >= min_p * probabilities[0] * (1 - 1e-9)


def test_draws_in_proportion_to_the_softmax() -> None:
    logits = np.array([0.0, 1.0, 2.0, -1.0])
    sampler = Sampler(Sampling(temperature=0.5, seed=11))
    draws = 20_000
    counts = Counter(sampler.draw(logits, position) for position in range(draws))
    for token_id, expected in enumerate(softmax(list(logits / 0.5))):
        spread = math.sqrt(draws * expected * (1 - expected))
        assert abs(counts[token_id] - draws * expected) < 5 * spread


def test_noise_depends_on_the_seed_and_the_position_alone() -> None:
    logits = np.zeros(1000)
    early = Sampler(Sampling(seed=5))
    for position in range(50):
        early.accept(early.draw(logits, position))
    late = Sampler(Sampling(seed=5))
    assert early.draw(logits, 50) == late.draw(logits, 50)
    assert len({Sampler(Sampling(seed=s)).draw(logits, 50) for s in range(100)}) > 80


def test_without_a_seed_every_leg_differs() -> None:
    logits = np.zeros(1_000_000)
    assert len({Sampler(Sampling()).draw(logits, 0) for _ in range(5)}) > 1


def test_penalties_follow_llama_cpp() -> None:
    logits = np.array([4.0, -1.0, 3.0, 2.4])
    sampling = Sampling(
        temperature=0.0, repetition_penalty=2.0, frequency_penalty=0.25, presence_penalty=0.5
    )
    # 4/2 - 2*0.25 - 0.5 = 1; -1*2 - 0.25 - 0.5 = -2.75
    sampler = Sampler(sampling, [0, 0, 1])
    assert sampler.draw(logits, 0) == 2
    sampler.accept(2)  # 3/2 - 0.25 - 0.5 = 0.75
    assert sampler.draw(logits, 0) == 3
    sampler.accept(3)  # 2.4/2 - 0.25 - 0.5 = 0.45
    assert sampler.draw(logits, 0) == 0
    assert list(logits) == [4.0, -1.0, 3.0, 2.4]


def test_the_bias_comes_before_the_penalties() -> None:
    sampling = Sampling(temperature=0.0, logit_bias={1: 6.0}, repetition_penalty=2.0)
    assert Sampler(sampling).draw(np.array([4.0, 0.0]), 0) == 1
    assert Sampler(sampling, [1]).draw(np.array([4.0, 0.0]), 0) == 0


def test_the_first_of_equals_wins() -> None:
    assert Sampler(Sampling(temperature=0.0)).draw(np.array([1.0, 2.0, 2.0]), 0) == 1
    drawn = {Sampler(Sampling(top_k=1, seed=s)).draw(np.array([2.0, 2.0]), 0) for s in range(9)}
    assert drawn == {0}


@given(logits=logit_lists, data=st.data())
def test_scores_are_those_of_the_softmax(logits: list[float], data: st.DataObject) -> None:
    token_id = data.draw(st.integers(0, len(logits) - 1))
    probabilities = softmax(logits)
    first, second = sorted(probabilities, reverse=True)[:2]
    (score,) = score_tokens(np.array([logits], np.float32), (token_id,), 2)
    assert math.exp(score.logprob) == pytest.approx(probabilities[token_id], rel=1e-4)
    assert score.margin == pytest.approx(first - second, abs=1e-5)
    assert score.entropy == pytest.approx(
        -sum(p * math.log(p) for p in probabilities if p > 0), abs=1e-4
    )
    assert [logprob for _, logprob in score.top] == pytest.approx(
        [math.log(first), math.log(second)], abs=1e-5
    )


def test_a_token_that_cannot_be_written_has_no_weight() -> None:
    logits = np.array([[0.0, 0.0, -np.inf]])
    (score,) = score_tokens(logits, (2,), 3)
    assert score.logprob == -math.inf
    assert score.margin == 0.0
    assert score.entropy == pytest.approx(math.log(2))
    assert Sampler(Sampling(temperature=5.0, seed=1)).draw(logits[0], 0) != 2
