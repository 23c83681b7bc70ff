"""Which calibration questions the overlap check finds in evaluation sets, on real question files.

    python -m benchmarks.question_overlap [--data DIR]

Of the MiP traces it is known (``SOURCES.md`` beside the data) that ``mip/math`` asks MATH-500's questions,
``mip/gsm8k`` those of GSM8K's test set, and that ``mip/svamp`` leaves a premise of SVAMP's out. The training
sets share no question with the test sets.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.environment import write_results
from relaygen.datasets import Question, overlaps, read_questions

EVALUATION = ("gsm8k_test", "math500", "svamp", "amc23", "aime24", "aime25", "aqua_test")


def calibration_sets(data: Path) -> dict[str, list[Question]]:
    sets = {
        name: list(read_questions(data / f"{name}.jsonl").questions)
        for name in ("gsm8k_train_sample", "math_train_sample")
    }
    with (data / "traces_mip.jsonl").open(encoding="utf-8") as lines:
        for entry in map(json.loads, lines):
            part = f"mip/{entry['source_split'].split('/')[1]}"
            sets.setdefault(part, []).append(Question(id=entry["id"], question=entry["question"]))
    return sets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    data: Path = parser.parse_args().data
    evaluation = {name: read_questions(data / f"{name}.jsonl").questions for name in EVALUATION}
    figures: dict[str, Any] = {}
    for name, questions in calibration_sets(data).items():
        figures[name] = {"questions": len(questions)}
        for other, held_out in evaluation.items():
            found = overlaps(questions, held_out)
            figures[name][other] = {
                "equal": sum(o.shared == 1.0 for o in found),
                "near": sum(o.shared < 1.0 for o in found),
            }
        print(name, figures[name])
    print(write_results("question_overlap", "measured", None, figures))


if __name__ == "__main__":
    main()
