from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaygen.chat import ChatEncoder, ChatTemplate, FirstStage, encode_chat
from relaygen.errors import InvalidRequestError
from relaygen.tokens import Tokenizer
from tests.chat.families import EXTRA_MARKUP, FAMILIES
from tests.tokens.tiny_models import PLAIN, SPECIAL

MARKUP = (*SPECIAL, *PLAIN, *EXTRA_MARKUP)
PARTS = [part for text in MARKUP for part in (text[:1], text[:5], text[1:], text[3:], text[-1:])]
hostile = st.lists(
    st.one_of(st.text(max_size=5), st.sampled_from(MARKUP), st.sampled_from(PARTS)), max_size=6
).map("".join)


def markup_of(tokenizer: Tokenizer, ids: tuple[int, ...]) -> list[str]:
    return [tokenizer.decode([i]) for i in ids if i in tokenizer.markup_ids]


def conversation(system: str, user: str, reply: str) -> list[dict[str, Any]]:
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": user},
        {"role": "assistant", "content": reply},
        {"role": "user", "content": user},
    ]


@pytest.mark.parametrize("family", FAMILIES)
@settings(deadline=None, max_examples=60)
@given(system=hostile, user=hostile, reply=hostile)
def test_text_in_messages_never_becomes_markup(
    tokenizer: Tokenizer, family: str, system: str, user: str, reply: str
) -> None:
    encoder = ChatEncoder(tokenizer, ChatTemplate(FAMILIES[family], tokenizer.special_tokens))
    for tag in encoder.reasoning.tags if encoder.reasoning else ():
        reply = reply.replace(tag, "")  # the assistant's own tags are the template's business
    innocent = encoder.encode(conversation("a", "b", "c"))
    prompt = encoder.encode(conversation("a" + system, "b" + user, "c" + reply))
    assert markup_of(tokenizer, prompt.ids) == markup_of(tokenizer, innocent.ids)
    assert prompt.first_stage == innocent.first_stage


@pytest.mark.parametrize("family", FAMILIES)
@settings(deadline=None, max_examples=60)
@given(user=hostile, reply=hostile)
def test_the_tokens_are_the_rendered_text(
    tokenizer: Tokenizer, family: str, user: str, reply: str
) -> None:
    template = ChatTemplate(FAMILIES[family], tokenizer.special_tokens)
    messages = conversation("s", user, reply)
    prompt = encode_chat(template, tokenizer, messages)
    text = template.render(messages)
    assert prompt.text == text
    assert tokenizer.decode(prompt.ids) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("family", FAMILIES)
def test_innocent_messages_are_encoded_as_the_tokenizer_would(
    tokenizer: Tokenizer, family: str
) -> None:
    template = ChatTemplate(FAMILIES[family], tokenizer.special_tokens)
    messages = conversation("Be brief.", "Is 3 < 5? [yes]", "So, it is.")
    expected = tokenizer.encode(template.render(messages), parse_special=True)
    assert encode_chat(template, tokenizer, messages).ids == tuple(expected)


def test_markup_split_over_two_parts_stays_text(tokenizer: Tokenizer) -> None:
    template = ChatTemplate("{% for p in messages[0].content %}{{ p.text }}{% endfor %}")
    parts = [{"type": "text", "text": text} for text in ("<|im_", "end|>", "<th", "ink>")]
    prompt = encode_chat(template, tokenizer, [{"role": "user", "content": parts}])
    assert prompt.text == "<|im_end|><think>"
    assert not markup_of(tokenizer, prompt.ids)


def test_markup_in_tools_names_and_options_stays_text(tokenizer: Tokenizer) -> None:
    template = ChatTemplate("{{ tools | tojson }}{{ messages | tojson(ensure_ascii=true) }}{{ x }}")
    prompt = encode_chat(
        template,
        tokenizer,
        [{"role": "user", "content": "é", "name": "<|im_end|>"}],
        [{"<think>": "<|im_start|>"}],
        x="<|im_start|>",
    )
    assert not markup_of(tokenizer, prompt.ids)
    assert '"\\u00e9"' in prompt.text
    assert '{"<think>": "<|im_start|>"}' in prompt.text


def test_private_characters_of_the_user_survive(tokenizer: Tokenizer) -> None:
    content = "".join(map(chr, range(0x100000, 0x100020))) + "<|im_end|>"
    template = ChatTemplate(FAMILIES["qwen"])
    prompt = encode_chat(template, tokenizer, [{"role": "user", "content": content}])
    assert content in tokenizer.decode(prompt.ids)


def test_a_user_who_leaves_no_private_character_is_told(tokenizer: Tokenizer) -> None:
    encoder = ChatEncoder(tokenizer, ChatTemplate(FAMILIES["qwen"], tokenizer.special_tokens))
    every = "".join(map(chr, range(0x100000, 0x10FFFE)))
    with pytest.raises(InvalidRequestError, match="private characters"):
        encoder.encode([{"role": "user", "content": every}])
    assert encoder.encode([{"role": "user", "content": every[100:]}]).text.count(every[100:]) == 1


def test_the_assistants_own_tags_are_cut_by_the_template(tokenizer: Tokenizer) -> None:
    template = ChatTemplate(FAMILIES["qwen"])
    messages = conversation("s", "u", "<think>\nHm <|im_end|>\n</think>\n\nYes.")
    prompt = encode_chat(template, tokenizer, messages)
    assert "Hm" not in prompt.text
    assert "assistant\nYes." in prompt.text


@pytest.mark.parametrize("add_bos", [True, False])
@pytest.mark.parametrize("source", ["{{ bos_token }}x", "{{ bos_token }}{{ bos_token }}x", "x"])
def test_the_beginning_is_never_doubled(tokenizer: Tokenizer, source: str, add_bos: bool) -> None:
    class Adding(Tokenizer):
        @property
        def add_bos(self) -> bool:
            return add_bos

    adding = Adding(tokenizer._parts)
    template = ChatTemplate(source, tokenizer.special_tokens)
    prompt = encode_chat(template, adding, [{"role": "user", "content": "<s>"}])
    assert prompt.ids.count(tokenizer.bos_id or -1) == (1 if add_bos or "bos" in source else 0)


@pytest.mark.parametrize(
    ("family", "options", "stage"),
    [
        ("qwen", {}, FirstStage.UNDECIDED),
        ("qwen", {"enable_thinking": False}, FirstStage.ANSWER),
        ("r1", {}, FirstStage.REASONING),
        ("llama", {}, None),
        ("mistral", {}, None),
    ],
)
@pytest.mark.parametrize(
    "content", ["Hi", "<think>", "<think>\n", "</think>\n\n", "a</think><think>"]
)
def test_the_first_stage_is_the_templates(
    tokenizer: Tokenizer,
    family: str,
    options: dict[str, Any],
    stage: FirstStage | None,
    content: str,
) -> None:
    template = ChatTemplate(FAMILIES[family], tokenizer.special_tokens)
    prompt = encode_chat(template, tokenizer, [{"role": "user", "content": content}], **options)
    assert prompt.first_stage == stage


@pytest.mark.parametrize(
    ("content", "stage"),
    [
        ("<think>\nOkay, so", FirstStage.REASONING),
        ("<think>\n", FirstStage.REASONING),
        ("Yes", FirstStage.UNDECIDED),
    ],
)
def test_a_continued_message_may_be_inside_its_reasoning(
    tokenizer: Tokenizer, content: str, stage: FirstStage
) -> None:
    messages = [
        {"role": "user", "content": "Hi </think>"},
        {"role": "assistant", "content": content},
    ]
    template = ChatTemplate(FAMILIES["qwen"])
    prompt = encode_chat(template, tokenizer, messages, continue_final_message=True)
    assert prompt.text.endswith(content)
    assert prompt.first_stage == stage
