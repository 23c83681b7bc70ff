from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from relaygen.datasets import Question, read_questions
from relaygen.errors import DatasetError


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_reads_questions_and_ignores_other_keys(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"id": "a", "question": "1 + 1?", "answer": 2, "level": 5}\n'
        "\n"
        '{"question": "line\\u2028break?"}\r\n',
    )
    found = read_questions(path)
    assert found.questions == (
        Question(id="a", question="1 + 1?", answer="2"),
        Question(id="line-3", question="line\u2028break?"),
    )
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ("{", "not JSON"),
        ("[1]", "must be an object"),
        ('{"id": "b"}', "'question' is missing"),
        ('{"question": "  "}', "'question' is missing"),
        ('{"question": "x", "id": ["b"]}', "'id' must be text"),
        ('{"question": "x", "answer": true}', "'answer' must be text"),
        ('{"question": "x", "answer": " "}', "'answer' is empty"),
        ('{"id": "a", "question": "x"}', "used in line 1"),
        (b'{"question": "\xff"}', "not UTF-8"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_an_error_names_the_line(tmp_path: Path, second: str | bytes, says: str) -> None:
    line = second.encode() if isinstance(second, str) else second
    path = write(tmp_path, b'{"id": "a", "question": "1 + 1?"}\n' + line + b"\n")
    with pytest.raises(DatasetError, match=says) as caught:
        read_questions(path)
    assert f"{path}:2: " in str(caught.value)


def test_an_empty_file_and_a_missing_one(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no questions"):
        read_questions(write(tmp_path, "\n\n"))
    with pytest.raises(DatasetError, match="cannot be read"):
        read_questions(tmp_path / "none.jsonl")
