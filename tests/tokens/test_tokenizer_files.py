from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, normalizers, trainers

from relaygen.errors import ModelLoadError, TokenizerError
from relaygen.relay.vocabulary import Utf8Stream
from relaygen.tokens import PRE_TOKENIZERS, Tokenizer
from tests.tokens.tiny_models import PLAIN, SPECIAL, train, write_gguf, write_json

MARKUP = (*SPECIAL, *PLAIN)
texts = st.lists(
    st.one_of(
        st.text(max_size=8), st.sampled_from([*MARKUP, "<", "|>", "So, ", "  \n", "😀", "漢"])
    )
).map("".join)


@settings(deadline=None)
@given(text=texts)
def test_text_survives_encoding(tokenizer: Tokenizer, text: str) -> None:
    normal = unicodedata.normalize("NFC", text)
    for parse_special in (True, False):
        ids = tokenizer.encode(text, parse_special=parse_special)
        assert tokenizer.decode(ids) == normal


@settings(deadline=None)
@given(text=texts)
def test_plain_text_never_becomes_markup(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.markup_ids.isdisjoint(tokenizer.encode(text, parse_special=False))


@settings(deadline=None)
@given(data=st.data())
def test_streamed_text_is_the_decoded_whole(tokenizer: Tokenizer, data: st.DataObject) -> None:
    entries = sorted(tokenizer.entry_ids)
    by_chance = st.lists(st.sampled_from(entries), max_size=30)
    from_text = texts.map(lambda text: tokenizer.encode(text, parse_special=True))
    ids = data.draw(st.one_of(by_chance, from_text))
    stream, shown, position = Utf8Stream(), "", 0
    while position < len(ids):
        count = data.draw(st.integers(1, 5))
        chunk = ids[position : position + count]
        position += count
        shown += stream.push(b"".join(map(tokenizer.token_bytes, chunk)))
        # Nothing but whole code points: what is shown is a prefix of what will have been shown.
        assert tokenizer.decode(ids).startswith(shown)
    assert shown + stream.flush() == tokenizer.decode(ids)


@settings(deadline=None)
@given(text=st.text(max_size=40))
def test_no_replacement_character_in_valid_text(tokenizer: Tokenizer, text: str) -> None:
    stream = Utf8Stream()
    ids = tokenizer.encode(text, parse_special=False)
    shown = [stream.push(tokenizer.token_bytes(i)) for i in ids]
    assert not stream.pending
    assert "".join(shown) == unicodedata.normalize("NFC", text)


def test_what_a_model_says_of_itself(tokenizer: Tokenizer) -> None:
    end = tokenizer.token_id("<|im_end|>")
    assert end in tokenizer.eos_ids
    assert tokenizer.token_id("<nothing>") is None
    assert tokenizer.bos_id is None
    assert not tokenizer.add_bos
    think = tokenizer.token_id("<think>")
    assert think in tokenizer.markup_ids
    assert think not in tokenizer.special_ids
    assert tokenizer.token_id("<|fim_prefix|>") in tokenizer.special_ids
    assert tokenizer.encode("a<think>", parse_special=True)[-1] == think
    assert max(tokenizer.entry_ids) < tokenizer.vocab_size


@pytest.mark.parametrize("token_id", [-1, 10**9])
def test_an_id_that_is_no_entry_is_refused(tokenizer: Tokenizer, token_id: int) -> None:
    with pytest.raises(TokenizerError, match=str(token_id)):
        tokenizer.token_bytes(token_id)


def test_padding_is_no_entry(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(write_gguf(tmp_path / "m.gguf", train(), padding=3))
    with pytest.raises(TokenizerError, match="not an entry"):
        tokenizer.token_bytes(tokenizer.vocab_size - 1)


def test_a_lone_surrogate_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(TokenizerError, match="surrogate at position 1"):
        tokenizer.encode("a\ud800", parse_special=True)


@pytest.mark.parametrize("pre", sorted(PRE_TOKENIZERS))
def test_gguf_encodes_as_the_file_it_was_made_from(pre: str, tmp_path: Path) -> None:
    source = tokenizers.Tokenizer.from_str(train(pre))
    read = Tokenizer.from_gguf(write_gguf(tmp_path / "m.gguf", train(pre), pre=pre))
    for text in (
        "I'm So 12345 ok!\n\n  x",
        "日本語 naïve\r\n\t<think>1</think>",
        "def f(a):\n    pass",
    ):
        assert read.encode(text, parse_special=True) == source.encode(text).ids


@pytest.mark.parametrize(
    ("model", "pre", "named"), [("llama", "default", "llama"), ("gpt2", "kimi", "kimi")]
)
def test_an_unsupported_tokenizer_is_refused_by_name(
    tmp_path: Path, model: str, pre: str, named: str
) -> None:
    path = write_gguf(tmp_path / "m.gguf", train(), model=model, pre=pre)
    with pytest.raises(TokenizerError, match=rf"m\.gguf.*{named}.*use the model's tokenizer.json"):
        Tokenizer.from_gguf(path)


def test_all_end_ids_and_the_template_are_found(tmp_path: Path) -> None:
    folder = write_json(
        tmp_path / "m",
        train(),
        {"bos_token": {"content": "<|endoftext|>"}, "eos_token": "<|im_end|>", "add_bos_token": True,
         "chat_template": [{"name": "default", "template": "{{ 2 }}"}]},
        generation_config={"eos_token_id": [3, 5]},
    )  # fmt: skip
    tokenizer = Tokenizer.load(folder)
    assert tokenizer.eos_ids == {3, 5, tokenizer.token_id("<|im_end|>")}
    assert tokenizer.bos_id == tokenizer.token_id("<|endoftext|>")
    assert tokenizer.add_bos
    assert tokenizer.chat_template == "{{ 2 }}"
    (folder / "chat_template.jinja").write_text("{{ 3 }}")
    assert Tokenizer.load(folder / "tokenizer.json").chat_template == "{{ 3 }}"


def test_padding_and_truncation_in_the_file_are_ignored(tmp_path: Path) -> None:
    described = json.loads(train())
    described["truncation"] = {
        "direction": "Right",
        "max_length": 2,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    tokenizer = Tokenizer.load(write_json(tmp_path / "m", json.dumps(described)))
    text = "So, the answer is 42." * 5
    assert tokenizer.decode(tokenizer.encode(text, parse_special=True)) == text


def test_sentencepiece_pieces_have_their_bytes(tmp_path: Path) -> None:
    built = tokenizers.Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    built.normalizer = normalizers.Replace(" ", "▁")
    built.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=340, special_tokens=pieces, show_progress=False)
    built.train_from_iterator(["so the answer is this and that"] * 9, trainer)
    described = json.loads(built.to_str())
    described["added_tokens"] = described["added_tokens"][:1]
    tokenizer = Tokenizer.load(write_json(tmp_path / "spm", json.dumps(described), {}))
    text = "so the answer: 漢 😀"
    assert tokenizer.decode(tokenizer.encode(text, parse_special=False)) == text
    assert tokenizer.token_bytes(tokenizer.token_id("<0x0A>") or 0) == b"\n"


def test_markup_that_merging_arrives_at_is_spelled(tmp_path: Path) -> None:
    built = tokenizers.Tokenizer.from_str(train())
    built.add_special_tokens([AddedToken("answer", special=True)])  # a piece that merges make, too
    tokenizer = Tokenizer.load(write_json(tmp_path / "m", built.to_str()))
    assert tokenizer.token_id("answer") in tokenizer.encode("answer", parse_special=True)
    plain = tokenizer.encode("answer", parse_special=False)
    assert tokenizer.markup_ids.isdisjoint(plain)
    assert tokenizer.decode(plain) == "answer"


@pytest.mark.parametrize("content", ["", "{}", "[1]"])
def test_a_damaged_tokenizer_json_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(TokenizerError, match=r"tokenizer\.json"):
        Tokenizer.load(tmp_path)


def test_a_missing_file_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"give a tokenizer\.json"):
        Tokenizer.load(tmp_path)
    with pytest.raises(ModelLoadError):
        Tokenizer.load(tmp_path / "m.gguf")
