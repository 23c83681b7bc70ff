from __future__ import annotations

from pathlib import Path

import pytest

from relaygen.chat import ChatTemplate, FirstStage, ReasoningFormat, encode_chat, understood
from relaygen.errors import ChatTemplateError
from relaygen.tokens import Tokenizer
from tests.chat.families import FAMILIES
from tests.tokens.tiny_models import train, write_json


def test_tags_are_found_as_tokens(tokenizer: Tokenizer) -> None:
    found = ReasoningFormat.detect(tokenizer, FAMILIES["qwen"])
    assert found is not None
    assert found.tags == ("<think>", "</think>")
    assert found.one_token
    assert found.close_ids == (tokenizer.token_id("</think>"),)


def test_tags_only_in_the_vocabulary_do_not_count(tokenizer: Tokenizer) -> None:
    assert ReasoningFormat.detect(tokenizer, FAMILIES["llama"]) is None
    assert ReasoningFormat.detect(tokenizer, None) is not None


def test_channels_are_refused_by_name(tokenizer: Tokenizer) -> None:
    with pytest.raises(ChatTemplateError, match="gpt-oss"):
        ReasoningFormat.detect(tokenizer, "<|start|>assistant<|channel|>analysis<|message|>")


def test_tags_of_several_tokens_are_matched_as_text(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(write_json(tmp_path / "m", train()))
    template = ChatTemplate("{{ messages[0].content }}\nAI:\n<thought>\n")
    found = ReasoningFormat.detect(tokenizer, template.source)
    assert found is not None
    assert not found.one_token
    ask = [{"role": "user", "content": "Hi"}]
    assert encode_chat(template, tokenizer, ask).first_stage == FirstStage.REASONING
    bare = ChatTemplate("{# <thought> #}{{ messages[0].content }}\n")
    tricky = [{"role": "user", "content": "Hi <thought>"}]
    assert encode_chat(bare, tokenizer, tricky).first_stage == FirstStage.UNDECIDED


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("<|im_start|>assistant\n<think>\n", FirstStage.REASONING),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", FirstStage.ANSWER),
        ("<think>\nHm", FirstStage.UNDECIDED),
        ("<|im_start|>assistant\n", FirstStage.UNDECIDED),
        ("\n", FirstStage.UNDECIDED),
    ],
)
def test_the_stage_of_a_prompt_that_came_as_ids(
    tokenizer: Tokenizer, text: str, stage: FirstStage
) -> None:
    found = ReasoningFormat.with_tags("<think>", "</think>", tokenizer)
    ids = tokenizer.encode(text, parse_special=True)
    assert found.first_stage_of_ids(ids, tokenizer) == stage


def test_the_report_says_what_a_template_can(tokenizer: Tokenizer) -> None:
    qwen = understood(ChatTemplate(FAMILIES["qwen"]), tokenizer)
    assert qwen.works
    assert (qwen.system, qwen.turns, qwen.tools, qwen.enable_thinking) == (True, True, True, True)
    assert (qwen.tags, qwen.first_stage) == (("<think>", "</think>"), FirstStage.UNDECIDED)
    llama = understood(ChatTemplate(FAMILIES["llama"], tokenizer.special_tokens), tokenizer)
    assert (llama.works, llama.tools, llama.enable_thinking, llama.tags) == (
        True,
        False,
        False,
        None,
    )


@pytest.mark.parametrize(
    "source", ["{{ raise_exception('no') }}", "fixed", "{{ messages[9].x.y }}"]
)
def test_the_report_says_why_a_template_does_not_work(tokenizer: Tokenizer, source: str) -> None:
    report = understood(ChatTemplate(source), tokenizer)
    assert not report.works
    assert report.problem
