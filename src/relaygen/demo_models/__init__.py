"""The embedded pair: two small models trained from scratch on short stories with numbers.

They are large enough to show every part of a relay on a laptop in seconds, and they know nothing else. `MODEL_CARD.md`
in this folder says how they were made and measured; `training/` in the repository makes them again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

__all__ = ["DemoProblem", "calibration", "cues", "gguf", "hf_folder", "problems", "root"]

Role = Literal["large", "small"]
Quantization = Literal["f16", "q8_0"]


@dataclass(frozen=True, kw_only=True)
class DemoProblem:
    """A held-out problem that neither model has seen.

    Attributes:
        id: Unique within its file.
        question: The text for the user's turn.
        answer: What the box should hold: a count, or dollars with two decimals.
        kinds: What the story asks for, e.g. "add", "div", "money", "idle" (an event that changes nothing).
    """

    id: str
    question: str
    answer: str
    kinds: tuple[str, ...]


def root() -> Path:
    """The folder that holds all files of the pair."""
    return Path(str(files(__name__)))


def gguf(role: Role, quantization: Quantization = "q8_0") -> Path:
    """The GGUF file of a model, for llama.cpp.

    Raises:
        FileNotFoundError: If the package was installed without it.
    """
    return _existing(root() / f"{role}-{quantization}.gguf")


def hf_folder(role: Role) -> Path:
    """The folder of a model in the Hugging Face layout (F16 safetensors), for transformers and vLLM.

    Raises:
        FileNotFoundError: If the package was installed without it.
    """
    return _existing(root() / role)


def problems(*, unseen: bool = False) -> tuple[DemoProblem, ...]:
    """The 500 held-out problems, or 100 with names and things that training never saw."""
    name = "problems_unseen.jsonl" if unseen else "problems.jsonl"
    lines = _existing(root() / name).read_text(encoding="utf-8").splitlines()
    return tuple(
        DemoProblem(
            id=entry["id"],
            question=entry["question"],
            answer=entry["answer"],
            kinds=tuple(entry["kinds"]),
        )
        for entry in map(json.loads, lines)
    )


def calibration() -> Path:
    """A question file with 400 problems to profile the pair with; none is among the held-out ones.

    Raises:
        FileNotFoundError: If the package was installed without it.
    """
    return _existing(root() / "calibration.jsonl")


def cues() -> tuple[str, ...]:
    """The cues after which the traces that the models learnt from only copy."""
    found: list[str] = json.loads((root() / "cues.json").read_text(encoding="utf-8"))["cues"]
    return tuple(found)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; run `make train-demo` or reinstall relaygen")
    return path
