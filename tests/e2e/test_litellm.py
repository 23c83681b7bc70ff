"""LiteLLM's library against ``relaygen serve`` with the embedded pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from relaygen.demo_models.grading import is_right

from .serving import PROBLEM

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def told(told_by: Callable[[str], Any]) -> Any:
    return told_by("litellm_client.py")


def test_a_whole_answer_keeps_its_reasoning(told: Any) -> None:
    whole = told["whole"]
    assert is_right(PROBLEM.answer, whole["content"])
    assert PROBLEM.answer in whole["reasoning"]
    assert whole["finish_reason"] == "stop"
    usage = whole["usage"]
    assert 0 < usage["completion_tokens_details"]["reasoning_tokens"] < usage["completion_tokens"]


def test_a_stream_is_the_whole_answer(told: Any) -> None:
    whole, streamed = told["whole"], told["streamed"]
    for text in (streamed, streamed["rebuilt"], told["async"]):
        assert (text["content"], text["reasoning"]) == (whole["content"], whole["reasoning"])
    counted = streamed["rebuilt"]["usage"]["completion_tokens"]
    assert counted == whole["usage"]["completion_tokens"]


def test_its_own_message_may_go_back(told: Any) -> None:
    first, second = told["whole"]["usage"], told["second_turn"]["usage"]
    assert second["prompt_tokens"] > 2 * first["prompt_tokens"]
    assert told["second_turn"]["finish_reason"] == "length"


def test_tools_and_raw_prompts(told: Any) -> None:
    assert told["tools"]["usage"]["prompt_tokens"] > told["whole"]["usage"]["prompt_tokens"]
    assert told["completion"] == 4


@pytest.mark.parametrize(
    ("name", "kind", "status", "says"),
    [
        ("forced_tool", "BadRequestError", 400, "cannot enforce"),
        ("unknown_model", "NotFoundError", 404, "there is no model"),
        ("wrong_key", "AuthenticationError", 401, "not valid"),
        ("second_with_key", "RateLimitError", 429, "come back in"),
    ],
)
def test_errors_are_mapped_to_its_own(
    told: Any, name: str, kind: str, status: int, says: str
) -> None:
    failure = told["failures"][name]
    assert (failure["kind"], failure["status"]) == (kind, status)
    assert says in failure["message"]
    assert told["failures"]["first_with_key"] is None
