"""OpenAI's Node client against ``relaygen serve`` with the embedded pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from relaygen.demo_models.grading import is_right

from .serving import MODEL, PROBLEM

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def told(told_by: Callable[[str], Any]) -> Any:
    return told_by("node_client.mjs")


def test_a_whole_answer(told: Any) -> None:
    whole = told["whole"]
    assert is_right(PROBLEM.answer, whole["content"])
    assert whole["reasoning"] == whole["reasoning_content"] != ""
    usage = whole["usage"]
    assert 0 < usage["completion_tokens_details"]["reasoning_tokens"] < usage["completion_tokens"]
    assert whole["request_id"].startswith("req_")


def test_a_stream_is_the_whole_answer(told: Any) -> None:
    whole, streamed = told["whole"], told["streamed"]
    assert (streamed["content"], streamed["reasoning"]) == (whole["content"], whole["reasoning"])
    assert streamed["finish_reason"] == "stop"
    assert streamed["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
    assert told["helped"]["content"] == whole["content"]  # put together by the client itself


def test_raw_prompts_models_and_tools(told: Any) -> None:
    assert told["completion"]["completion_tokens"] == 4
    assert {MODEL, f"{MODEL}:large", f"{MODEL}:small"} <= set(told["models"])
    assert told["tools"] == "stop"  # the pair was shown a tool, and never learnt to call one


@pytest.mark.parametrize(
    ("name", "kind", "status", "param", "says"),
    [
        ("forced_tool", "BadRequestError", 400, "tool_choice", "cannot enforce"),
        ("logprobs", "BadRequestError", 400, "top_logprobs", "between 0 and 20"),
        ("unknown_model", "NotFoundError", 404, "model", "there is no model"),
        ("wrong_key", "AuthenticationError", 401, None, "not valid"),
        ("second_with_key", "RateLimitError", 429, None, "come back in"),
        ("aborted", "APIUserAbortError", None, None, "aborted"),
    ],
)
def test_errors_are_the_clients_own(
    told: Any, name: str, kind: str, status: int | None, param: str | None, says: str
) -> None:
    failure = told["failures"][name]
    assert (failure["kind"], failure["status"], failure["param"]) == (kind, status, param)
    assert says in failure["message"]
    if status is not None:
        assert failure["request_id"].startswith("req_")
    if status == 429:
        assert 0 < int(failure["retry_after"]) <= 60
    assert told["failures"]["first_with_key"] is None


def test_a_stream_that_is_left_leaves_the_server_well(told: Any) -> None:
    assert told["left_after"] == 1
    assert told["afterwards"] == told["whole"]["content"]
