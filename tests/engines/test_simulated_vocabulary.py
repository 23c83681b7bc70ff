from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaygen.engines.simulated import ByteVocabulary
from relaygen.errors import TokenizerError

VOCABULARY = ByteVocabulary(["So,", " the", " them", "So", "。", b"\xf0\x9f"])


@given(st.text())
def test_text_comes_back(text: str) -> None:
    assert VOCABULARY.decode(VOCABULARY.encode(text)) == text


@given(st.text(alphabet="<|/think>im_end Sothem,"))
def test_special_text_may_be_read_as_plain(text: str) -> None:
    plain = VOCABULARY.encode(text, allow_special=False)
    assert not VOCABULARY.special_ids & set(plain)
    assert VOCABULARY.decode(plain) == text


def test_the_longest_entry_wins() -> None:
    ids = VOCABULARY.encode("So, them</think>")
    assert [VOCABULARY.token_bytes(i) for i in ids] == [b"So,", b" them", b"</think>"]
    assert ids[-1] == VOCABULARY.token_id("</think>")


def test_a_code_point_is_written_in_pieces() -> None:
    pieces = [VOCABULARY.token_bytes(i) for i in VOCABULARY.encode("é😀。")]
    assert pieces == [b"\xc3", b"\xa9", b"\xf0\x9f", b"\x98", b"\x80", "。".encode()]


def test_ids_are_bytes_words_specials() -> None:
    assert VOCABULARY.token_id("A") == ord("A")
    assert VOCABULARY.token_id("So,") == 256
    assert VOCABULARY.eos_id == len(VOCABULARY) - 1
    assert len(VOCABULARY.special_ids) == 3


@pytest.mark.parametrize("token_id", [-1, len(VOCABULARY)])
def test_an_id_outside_is_refused(token_id: int) -> None:
    with pytest.raises(TokenizerError, match=str(token_id)):
        VOCABULARY.token_bytes(token_id)


def test_a_word_that_is_not_there_is_refused() -> None:
    with pytest.raises(TokenizerError, match="Thus"):
        VOCABULARY.token_id("Thus")
