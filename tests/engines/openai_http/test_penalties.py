from __future__ import annotations

from typing import Any

import pytest

from relaygen.engines.base import GenerateRequest
from relaygen.engines.openai_http.penalties import within_one_request
from relaygen.errors import UnsupportedError
from relaygen.types import Sampling


def leg(sampling: Sampling, max_tokens: int = 9, **fields: Any) -> GenerateRequest:
    prompt = (1, 2, 3, 7, 7, 8)
    return GenerateRequest(prompt=prompt, max_tokens=max_tokens, sampling=sampling, **fields)


def test_neutral_penalties_change_nothing() -> None:
    sampling = Sampling(logit_bias={7: 1.0})
    assert within_one_request(leg(sampling, generated_from=3)) is sampling


def test_earlier_occurrences_become_bias_and_later_ones_stay_with_the_server() -> None:
    sampling = Sampling(frequency_penalty=0.5, logit_bias={7: 1.0, 9: 2.0})
    asked = within_one_request(leg(sampling, generated_from=3))
    assert asked.frequency_penalty == 0.5
    assert asked.logit_bias == {7: 0.0, 8: -0.5, 9: 2.0}


@pytest.mark.parametrize("server_counts", [True, False])
def test_one_draw_is_all_bias(server_counts: bool) -> None:
    sampling = Sampling(frequency_penalty=0.5, presence_penalty=0.25)
    asked = within_one_request(leg(sampling, 1, generated_from=3), server_counts=server_counts)
    assert asked.logit_bias == {7: -1.25, 8: -0.75}
    assert not asked.has_penalties


def test_presence_stays_with_the_server_where_the_leg_is_alone() -> None:
    sampling = Sampling(presence_penalty=0.25)
    assert within_one_request(leg(sampling)) == sampling


def test_a_bias_stays_within_what_servers_take() -> None:
    sampling = Sampling(frequency_penalty=2.0)
    request = GenerateRequest(
        prompt=(1,) + (7,) * 80, max_tokens=5, sampling=sampling, generated_from=1
    )
    assert within_one_request(request).logit_bias == {7: -100.0}


@pytest.mark.parametrize(
    ("sampling", "server_counts"),
    [
        (Sampling(repetition_penalty=1.1), True),
        (Sampling(presence_penalty=0.5), True),
        (Sampling(presence_penalty=0.5), False),
        (Sampling(frequency_penalty=0.5), False),
    ],
)
def test_what_cannot_be_exact_is_refused_by_name(sampling: Sampling, server_counts: bool) -> None:
    with pytest.raises(UnsupportedError) as raised:
        within_one_request(leg(sampling, generated_from=6), server_counts=server_counts)
    assert raised.value.param is not None
    neutral = getattr(Sampling(), raised.value.param)
    assert str(raised.value).endswith(f"send {neutral:g}")
    assert getattr(sampling, raised.value.param) != getattr(Sampling(), raised.value.param)
