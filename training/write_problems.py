"""Writes the held-out problems and the list of cues next to the models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from training.export import DEMO_MODELS
from training.heldout import calibration_problems, plain_problems, unseen_problems
from training.stories import Problem
from training.traces import AMBIGUOUS, DECOYS, TRUE_CUES


def _write(path: Path, problems: Sequence[Problem]) -> None:
    entries = (
        {"id": p.id, "question": p.question, "answer": p.answer, "kinds": p.kinds} for p in problems
    )
    path.write_text("".join(json.dumps(e) + "\n" for e in entries), encoding="utf-8")


def main() -> None:
    """Writes the problems (`problems*.jsonl`, `calibration.jsonl`) and `cues.json`."""
    DEMO_MODELS.mkdir(parents=True, exist_ok=True)
    _write(DEMO_MODELS / "problems.jsonl", plain_problems())
    _write(DEMO_MODELS / "problems_unseen.jsonl", unseen_problems())
    _write(DEMO_MODELS / "calibration.jsonl", calibration_problems())
    cues = {"cues": TRUE_CUES, "ambiguous": AMBIGUOUS, "decoys": DECOYS}
    (DEMO_MODELS / "cues.json").write_text(json.dumps(cues, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
