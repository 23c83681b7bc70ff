"""LangChain's ``ChatOpenAI`` against ``relaygen serve`` with the embedded pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from relaygen.demo_models.grading import is_right

from .serving import MODEL, PROBLEM

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def told(told_by: Callable[[str], Any]) -> Any:
    return told_by("langchain_client.py")


def test_invoke(told: Any) -> None:
    whole = told["whole"]
    assert is_right(PROBLEM.answer, whole["content"])
    assert whole["metadata"]["finish_reason"] == "stop"
    assert whole["metadata"]["model_name"] == MODEL


def test_a_stream_is_the_whole_answer(told: Any) -> None:
    whole, streamed = told["whole"], told["streamed"]
    assert streamed["content"] == whole["content"]
    assert streamed["metadata"]["finish_reason"] == "stop"
    assert streamed["usage"]["output_tokens"] == whole["usage"]["output_tokens"]


def test_async_calls_are_the_same(told: Any) -> None:
    assert told["async"] == {"same": True, "streamed": told["whole"]["content"]}


def test_usage_is_in_langchains_words(told: Any) -> None:
    usage = told["whole"]["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert 0 < usage["output_token_details"]["reasoning"] < usage["output_tokens"]
    assert "cache_read" in usage["input_token_details"]


def test_its_own_message_may_go_back(told: Any) -> None:
    first, second = told["whole"]["usage"], told["second_turn"]["usage"]
    assert second["input_tokens"] > 2 * first["input_tokens"]
    assert told["second_turn"]["metadata"]["finish_reason"] == "length"


def test_bound_stops_and_tools_reach_the_model(told: Any) -> None:
    before, _, _ = told["whole"]["content"].partition("boxed")
    assert told["stopped"]["content"] == before
    assert told["tools"]["usage"]["input_tokens"] > told["whole"]["usage"]["input_tokens"]


@pytest.mark.parametrize(
    ("name", "kinds", "says"),
    [
        ("forced_tool", {"BadRequestError", "ModelInvalidRequestError"}, "cannot enforce"),
        ("unknown_policy", {"BadRequestError", "ModelInvalidRequestError"}, "no policy 'best'"),
        ("unknown_model", {"NotFoundError", "ModelNotFoundError"}, "there is no model"),
        ("wrong_key", {"AuthenticationError", "ModelAuthenticationError"}, "not valid"),
        ("second_with_key", {"RateLimitError", "ModelRateLimitError"}, "come back in"),
    ],
)
def test_errors_are_openais_and_langchains_own(
    told: Any, name: str, kinds: set[str], says: str
) -> None:
    failure = told["failures"][name]
    assert kinds <= set(failure["kinds"])
    assert says in failure["message"]
    assert told["failures"]["first_with_key"] is None
