"""How the sentence ends compare with the reference segmentation of the thought-anchors traces.

    python -m benchmarks.segmentation_reference [--data DIR] [--show N]

The reference is itself the output of a program, with errors of its own; agreement with it is
measured, not sought. ``--show N`` prints a sample of the disagreements.

A boundary is counted at the visible characters before it, so that the two need not agree on which
sentence the white space between belongs to.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environment import write_results
from relaygen.relay.segmentation import sentences

SEED = 20261125
CLOSERS = ')*]}"”'
PUNCTUATED = re.compile(r"""[.!?。！？]["'”’»)\]}*_]*\s*\Z""")
BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*\Z")


@dataclass(frozen=True, slots=True)
class Disagreement:
    side: str
    before: str
    after: str

    @property
    def kind(self) -> str:
        before, after = self.before.rstrip(), self.after.lstrip()
        space = self.before[len(before) :] + self.after[: len(self.after) - len(after)]
        if self.side == "reference only":
            if not space:
                return "inside a word, a number or a formula"
            if before.endswith(":"):
                return "after a colon"
            if re.search(r"(?:\.\.|…)[\"')*]*\Z", before):
                return "after an ellipsis"
            if re.search(r"(?:^|\s)[*(]*\d{1,2}\.\Z", before):
                return "after a list number"
            if before.endswith("!"):
                return "after a factorial"
            if re.search(r"\b(?:[A-Z][a-z]{0,4}|vs)\.\Z", before):
                return "after an abbreviation or an initial"
            return "after punctuation, otherwise" if PUNCTUATED.search(before) else "other"
        if space.count("\n") >= 2:
            return "at a blank line"
        if re.match(r"(?:[-*+•–]|\d{1,2}[.)]|#+)\s", after) and "\n" in space:
            return "before a list marker or heading"
        return f"after {before.rstrip(CLOSERS)[-1:]!r}"


def boundaries(text: str, ends: list[int]) -> dict[int, int]:
    """By the number of visible characters before it: the offset of each boundary."""
    counts = [0]
    for char in text:
        counts.append(counts[-1] + (not char.isspace()))
    return {counts[end]: end for end in ends if 0 < counts[end] < counts[-1]}


def compare(trace: str, reference: list[str]) -> tuple[Counter[str], list[Disagreement]]:
    ends, position = [], 0
    for sentence in reference:
        begin = trace.index(sentence, position)
        assert not trace[position:begin].strip()
        position = begin + len(sentence)
        ends.append(position)
    text = trace[:position]
    theirs = boundaries(text, ends)
    ours = boundaries(text, [end for _, end in sentences(text)])
    counts: Counter[str] = Counter(ours=len(ours), reference=len(theirs))
    counts["both"] = len(ours.keys() & theirs.keys())
    for key, end in theirs.items():
        head = text[:end] + re.match(r"\s*", text[end:])[0]  # type: ignore[index]
        if PUNCTUATED.search(text[:end]) or BLANK_LINE.search(head):
            counts["reference_at_punctuation_or_blank_line"] += 1
            counts["both_at_punctuation_or_blank_line"] += key in ours
    differing = []
    for side, one, other in (("ours only", ours, theirs), ("reference only", theirs, ours)):
        for key in sorted(one.keys() - other.keys()):
            end = one[key]
            differing.append(Disagreement(side, text[max(0, end - 60) : end], text[end : end + 40]))
    return counts, differing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--show", type=int, default=0, help="disagreements to print")
    arguments = parser.parse_args()
    totals: Counter[str] = Counter()
    differing: list[Disagreement] = []
    with (arguments.data / "traces_thought_anchors.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    for row in rows:
        counts, found = compare(row["trace"], row["sentences"])
        totals += counts
        differing += found
    figures = {
        "traces": len(rows),
        **totals,
        "precision": round(totals["both"] / totals["ours"], 4),
        "recall": round(totals["both"] / totals["reference"], 4),
        "recall_at_punctuation_or_blank_line": round(
            totals["both_at_punctuation_or_blank_line"]
            / totals["reference_at_punctuation_or_blank_line"],
            4,
        ),
        "disagreements": {
            side: dict(Counter(d.kind for d in differing if d.side == side).most_common())
            for side in ("ours only", "reference only")
        },
    }
    path = write_results("segmentation_reference", "measured", SEED, figures)
    print(path.read_text(encoding="utf-8"))
    for d in random.Random(SEED).sample(differing, min(arguments.show, len(differing))):
        print(f"{d.side:15} {d.kind:36} {d.before!r} | {d.after!r}")


if __name__ == "__main__":
    main()
