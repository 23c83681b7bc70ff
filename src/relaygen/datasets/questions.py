"""Question files: JSON lines with an id, a question and, where it is known, the answer."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relaygen.errors import DatasetError

MAX_BYTES: Final = 2**30
"""A question file is no larger."""

MAX_QUESTION: Final = 200_000
"""Characters of one question."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One question.

    Attributes:
        id: unique within its file.
        question: the text for the user's turn.
        answer: what a right answer says; None where the file has none.
    """

    id: str
    question: str
    answer: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class QuestionFile:
    """A file that was read.

    Attributes:
        path: of the file.
        sha256: of its bytes, in hex.
        questions: in the order of the file; at least one.
    """

    path: Path
    sha256: str
    questions: tuple[Question, ...]


def read_questions(path: str | Path) -> QuestionFile:
    """Reads a question file. Keys other than id, question and answer are ignored.

    A line without an id is known by its number. Blank lines are skipped.

    Raises:
        DatasetError: the file cannot be read, or a line is no question; says which line.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DatasetError(f"{path} is larger than {MAX_BYTES >> 20} MiB; split it")
        data = path.read_bytes()
        # Not splitlines: a question may hold U+2028 or a form feed.
        lines = data.decode("utf-8-sig").split("\n")
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n") + 1
        raise DatasetError(f"{path}:{number}: not UTF-8 ({error.reason})") from error
    questions: list[Question] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        question = _question(f"{path}:{number}", number, line)
        first = seen.setdefault(question.id, number)
        if first != number:
            raise DatasetError(
                f"{path}:{number}: id {question.id!r:.80} was used in line {first} already"
            )
        questions.append(question)
    if not questions:
        raise DatasetError(f"{path} holds no questions: write one JSON object a line")
    return QuestionFile(
        path=path, sha256=hashlib.sha256(data).hexdigest(), questions=tuple(questions)
    )


def _question(place: str, number: int, line: str) -> Question:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{place}: not JSON ({error})") from error
    if not isinstance(entry, dict):
        raise DatasetError(f'{place}: a line must be an object such as {{"question": "..."}}')
    text = entry.get("question")
    if not isinstance(text, str) or not text.strip():
        raise DatasetError(f"{place}: 'question' is missing, or no text")
    if len(text) > MAX_QUESTION:
        raise DatasetError(
            f"{place}: the question has {len(text):,} characters; at most {MAX_QUESTION:,} are read"
        )
    return Question(
        id=_name(place, "id", entry.get("id")) or f"line-{number}",
        question=text,
        answer=_name(place, "answer", entry.get("answer")),
    )


def _name(place: str, key: str, value: Any) -> str | None:
    """Text, or a number as it is written."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DatasetError(f"{place}: {key!r} must be text or a number, not {value!r:.60}")
    text = str(value)
    if not text.strip():
        raise DatasetError(f"{place}: {key!r} is empty; leave it out or fill it in")
    return text
