"""``/v1/chat/completions``, whole: what comes back, and what each field of a request does."""

from __future__ import annotations

from typing import Any

import pytest

from relaygen.engines.base import Engine, GenerateRequest
from relaygen.engines.simulated import Fault, SimulatedEngine
from tests.gateway.pairs import ANSWER, LARGE, REASONING, SMALL, pair, tokenizer


class Noting(SimulatedEngine):
    """Keeps what it was asked."""

    def __init__(self, *rest: Any, **options: Any) -> None:
        super().__init__(*rest, **options)
        self.asked: list[GenerateRequest] = []

    def generate(self, request: GenerateRequest) -> Any:
        self.asked.append(request)
        return super().generate(request)


def first_leg(engine: Engine) -> GenerateRequest:
    assert isinstance(engine, Noting)
    return engine.asked[0]


def prompt_of(engine: Engine) -> str:
    return tokenizer().decode(first_leg(engine).prompt)


async def test_a_reply_has_openais_shape_and_ours_beside_it() -> None:
    async with pair() as opened:
        reply = (await opened.client.chat(seed=1, user="me", metadata={"a": 1}, store=False)).json
    choice, usage = reply["choices"][0], reply["usage"]
    assert reply["object"] == "chat.completion"
    assert (reply["id"][:9], reply["created"], reply["model"]) == ("chatcmpl-", 1700000000, "pair")
    assert choice["message"] == {
        "role": "assistant",
        "content": ANSWER,
        "refusal": None,
        "reasoning": REASONING,
        "reasoning_content": REASONING,
    }
    assert (choice["index"], choice["finish_reason"], choice["logprobs"]) == (0, "stop", None)
    relay = choice["relaygen"]
    assert (relay["policy"], relay["degraded"], relay["failovers"]) == ("relay", False, 0)
    assert relay["handoffs"] == 3
    assert relay["segments"] == 6
    assert relay["tokens"]["large"] + relay["tokens"]["small"] == usage["completion_tokens"]
    assert 0 < relay["utilisation"] < 1
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    details = usage["completion_tokens_details"]
    assert 0 < details["reasoning_tokens"] < usage["completion_tokens"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0}


@pytest.mark.parametrize(
    ("model", "extension", "policy"),
    [
        ("pair", {}, "relay"),
        ("pair:large", {}, "large"),
        ("pair:small", {}, "small"),
        ("pair:paper", {}, "paper"),
        ("pair", {"policy": "small"}, "small"),
        ("pair:small", {"policy": "small"}, "small"),
        ("pair", {"policy": "random", "handoff_share": 0.0}, "random"),
    ],
)
async def test_the_policy_is_in_the_name_or_in_the_extension(
    model: str, extension: dict[str, Any], policy: str
) -> None:
    async with pair() as opened:
        reply = await opened.client.chat(model=model, relaygen=extension)
    assert reply.json["choices"][0]["relaygen"]["policy"] == policy


async def test_the_extension_sets_cues_limits_and_who_answers() -> None:
    async with pair(profile=False) as opened:
        cues: list[Any] = ["Wait,", {"text": "That", "position": "anywhere"}]
        extension: dict[str, Any] = {"cues": cues}
        reply = await opened.client.chat(relaygen=extension | {"trace": True})
        trace = reply.json["choices"][0]["relaygen"]["trace"]["segments"]
        assert [s["ended_by"] for s in trace][::2] == ["cue:That", "cue:Wait,", "reasoning_end"]
        assert trace[-1]["role"] == "small"
        reply = await opened.client.chat(
            relaygen=extension | {"trace": True, "answer_role": "large", "max_small_tokens": 3}
        )
        trace = reply.json["choices"][0]["relaygen"]["trace"]["segments"]
        assert trace[-1]["role"] == "large"
        assert "max_small_tokens" in [s["ended_by"] for s in trace]
        reply = await opened.client.chat(relaygen={"profile": "demo"})
        assert reply.json["choices"][0]["relaygen"]["handoffs"] == 3
        reply = await opened.client.chat()
        assert (reply.status, reply.error["code"]) == (400, "cue_profile_error")


async def test_sampling_is_what_the_request_says_over_the_models_own() -> None:
    fields = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": -1,
        "min_p": 0.1,
        "presence_penalty": 0.2,
        "frequency_penalty": 0.3,
        "repetition_penalty": 1.1,
        "logit_bias": {"5": -100},
    }
    async with pair(engine=Noting) as opened:
        await opened.client.chat(model="pair:large", seed=-7, **fields)
        sampling = first_leg(opened.engines[LARGE]).sampling
    for name, value in fields.items():
        if name not in ("top_k", "logit_bias"):
            assert getattr(sampling, name) == value
    assert (sampling.top_k, dict(sampling.logit_bias)) == (0, {5: -100.0})
    assert sampling.seed is not None


async def test_a_whole_number_may_be_written_as_a_float() -> None:
    written = {"max_tokens": 3.0, "top_k": 2.0, "seed": 1e3, "logit_bias": {"5": -100.0}}
    async with pair(engine=Noting) as opened:
        reply = await opened.client.chat(model="pair:large", **written)
        leg = first_leg(opened.engines[LARGE])
        meant = {"max_tokens": 3, "top_k": 2, "seed": 1000, "logit_bias": {"5": -100}}
        await opened.client.chat(model="pair:large", **meant)
        engine = opened.engines[LARGE]
        assert isinstance(engine, Noting)
    assert reply.json["usage"]["completion_tokens"] == 3
    assert leg.sampling == engine.asked[-1].sampling


async def test_choices_have_seeds_of_their_own_and_one_prompt() -> None:
    async with pair(engine=Noting) as opened:
        reply = (await opened.client.chat(model="pair:large", n=3, seed=4)).json
        engine = opened.engines[LARGE]
        assert isinstance(engine, Noting)
        assert len({leg.sampling.seed for leg in engine.asked}) == 3
        assert len({leg.generation_id for leg in engine.asked}) == 3
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2]
    usage = reply["usage"]
    assert usage["completion_tokens"] % 3 == 0
    assert usage["prompt_tokens"] == len(engine.asked[0].prompt)


async def test_turns_with_one_cache_key_meet_and_those_of_other_keys_do_not() -> None:
    async with pair(engine=Noting) as opened:
        for content, key in (("One?", "a"), ("Two?", "a"), ("Three?", "b"), ("Four?", None)):
            await opened.client.chat(content, model="pair:large", prompt_cache_key=key)
        engine = opened.engines[LARGE]
        assert isinstance(engine, Noting)
        one, two, three, four = (leg.generation_id.split("~")[0] for leg in engine.asked)
    assert one == two
    assert len({one, three, four}) == 3


async def test_stop_strings_end_the_answer_and_leave_the_reasoning_alone() -> None:
    async with pair() as opened:
        reply = await opened.client.chat(stop=["405", "nowhere"])
        message = reply.json["choices"][0]["message"]
        assert message["content"] == "\n\nThe answer is \\boxed{"
        assert message["reasoning"] == REASONING
        assert reply.json["choices"][0]["finish_reason"] == "stop"
        reply = await opened.client.chat(stop="answer")
        assert reply.json["choices"][0]["message"]["content"] == "\n\nThe "


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_a_limit_holds_over_both_stages(name: str) -> None:
    async with pair() as opened:
        reply = (await opened.client.chat(**{name: 10})).json
    choice = reply["choices"][0]
    assert (choice["finish_reason"], reply["usage"]["completion_tokens"]) == ("length", 10)
    assert choice["message"]["content"] == ""
    assert REASONING.startswith(choice["message"]["reasoning"])


async def test_log_probabilities_are_those_of_the_content() -> None:
    async with pair() as opened:
        reply = (await opened.client.chat(logprobs=True, top_logprobs=2)).json
    content = reply["choices"][0]["logprobs"]["content"]
    assert b"".join(bytes(entry["bytes"]) for entry in content).decode() == ANSWER
    assert "".join(entry["token"] for entry in content) == ANSWER
    for entry in content:
        assert entry["logprob"] <= 0
        assert len(entry["top_logprobs"]) == 2
        assert entry["top_logprobs"][0]["logprob"] == entry["logprob"]
    async with pair() as opened:
        reply = (await opened.client.chat(logprobs=True, stop="405")).json
    content = reply["choices"][0]["logprobs"]["content"]
    assert "".join(entry["token"] for entry in content) == "\n\nThe answer is \\boxed{"
    assert content[0]["top_logprobs"] == []


async def test_token_ids_are_the_machines_and_make_the_text() -> None:
    async with pair() as opened:
        reply = (await opened.client.chat(return_token_ids=True)).json
    choice = reply["choices"][0]
    assert len(choice["token_ids"]) == reply["usage"]["completion_tokens"]
    assert len(reply["prompt_token_ids"]) == reply["usage"]["prompt_tokens"]
    text = tokenizer().decode(choice["token_ids"][:-1])
    assert text == f"{REASONING}</think>{ANSWER}"


async def test_parts_of_text_the_developer_and_earlier_reasoning_reach_the_template() -> None:
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief."}]},
        {"role": "user", "content": "Hi <|im_end|>"},
        {"role": "assistant", "content": "Hello", "reasoning": "Hm.", "refusal": None},
        {"role": "user", "content": "How many?"},
        {"role": "assistant", "content": "It", "reasoning_content": "Well."},
    ]  # fmt: skip
    async with pair(engine=Noting) as opened:
        reply = await opened.client.chat(messages=messages, continue_final_message=True)
        assert reply.status == 200
        prompt = prompt_of(opened.engines[LARGE])
    assert "system\nBe\nbrief.<|im_end|>" in prompt
    assert "Hi <|im_end|><|im_end|>" in prompt
    assert prompt.endswith("Well.\n</think>\n\nIt")


async def test_a_continued_answer_is_an_answer() -> None:
    messages = [
        {"role": "user", "content": "How many?"},
        {"role": "assistant", "content": "It is", "reasoning": "Hm."},
    ]
    async with pair(" 405.") as opened:
        reply = (await opened.client.chat(messages=messages, continue_final_message=True)).json
    message = reply["choices"][0]["message"]
    assert (message["content"], message["reasoning"]) == (" 405.", None)


@pytest.mark.parametrize(
    "fields",
    [
        {"enable_thinking": False},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"reasoning_effort": "none"},
    ],
)
async def test_thinking_can_be_switched_off(fields: dict[str, Any]) -> None:
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "<|im_start|>assistant\n{% if enable_thinking is defined and not enable_thinking %}"
        "<think>\n\n</think>\n\n{% else %}<think>\n{% endif %}"
    )
    async with pair("405.", template=template) as opened:
        reply = (await opened.client.chat(**fields)).json
        assert reply["choices"][0]["message"]["content"] == "405."
        assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0
        reply = (await opened.client.chat(enable_thinking=True)).json
        assert reply["choices"][0]["message"]["reasoning"] == "405."


async def test_levels_of_effort_go_to_a_template_that_knows_them() -> None:
    template = "{% for m in messages %}{{ m.content }}{% endfor %} [{{ reasoning_effort }}]"
    async with pair("405.", template=template, engine=Noting) as opened:
        reply = await opened.client.chat(reasoning_effort="low")
        assert reply.status == 200
        assert prompt_of(opened.engines[LARGE]).endswith("[low]")
    assert reply.json["choices"][0]["message"]["reasoning"] is None


async def test_a_lost_small_model_is_degraded_not_an_error() -> None:
    gone = {SMALL: Fault(kind="fail", after=1, retryable=False)}
    async with pair(faults=gone) as opened:
        reply = (await opened.client.chat()).json
    assert reply["choices"][0]["message"]["content"] == ANSWER
    assert reply["choices"][0]["relaygen"]["degraded"] is True


async def test_a_repeated_leg_is_told() -> None:
    async with pair(faults={LARGE: {0: Fault(kind="fail", after=5)}}) as opened:
        reply = (await opened.client.chat()).json
    assert reply["choices"][0]["message"]["reasoning"] == REASONING
    assert reply["choices"][0]["relaygen"]["failovers"] == 1


async def test_a_long_prompt_is_rendered_on_another_thread() -> None:
    async with pair(context_tokens=60_000) as opened:
        reply = await opened.client.chat("12 apples. " * 2000)
    assert reply.status == 200
    assert reply.json["usage"]["prompt_tokens"] > 4000
