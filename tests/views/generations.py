"""Generations as ``relaygen run --json`` prints them, made up."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

QUESTION = "Mia has 347 apples. She buys 58 more. How many apples does Mia have now?"
RELAY = (
    ("large", "reasoning", "Mia starts with 347 apples. So,", "cue:So,"),
    ("small", "reasoning", " she has more of them after she buys 58.", "sentence_end"),
    (
        "large",
        "reasoning",
        "\n\nThe ones are 7 + 8 = 15, the tens 4 + 5 + 1 = 10. Thus,",
        "cue:Thus,",
    ),
    ("small", "reasoning", " the sum is 405.", "sentence_end"),
    ("large", "reasoning", "\n</think>", "reasoning_end"),
    ("small", "answer", "\n\nMia has 347 + 58 apples.\n\nThe answer is \\boxed{405}.", "eos"),
)
"""Role, stage, text and ending of each segment."""

HOSTILE = (
    '</script><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
    "<svg onload=window.hacked=1><iframe src=javascript:parent.hacked=1></iframe>"
    "<!--<script>&lt;/script&gt; ]]> \u2028\u2029 \u202e\x00\x1b[31m $script ${x} `'\" \\u003c"
    "<a href='https://example.com/'>x</a><link rel=stylesheet href=https://example.com/a.css>"
)
"""Text that tries to be markup, script or a control sequence."""


def generation(
    policy: str = "relay",
    parts: Sequence[tuple[str, str, str, str]] = RELAY,
    *,
    seconds_a_word: float = 0.02,
    question: str = QUESTION,
    margins: bool = True,
) -> dict[str, Any]:
    """One generation; a word counts as a token, the large model takes thrice as long."""
    if policy in ("large", "small"):
        parts = [(policy, stage, text, ending) for _, stage, text, ending in parts]
    now, segments = 0.0, []
    for number, (role, stage, text, ending) in enumerate(parts):
        tokens = len(text.split()) or 1
        pace = seconds_a_word * (3 if role == "large" else 1)
        first, end = now + pace, now + pace * (tokens + 1)
        segments.append(
            {
                "role": role,
                "stage": stage,
                "token_ids": list(range(tokens)),
                "text": text,
                "margins": [0.25 + 0.75 * ((number + n) % 5) / 4 for n in range(tokens)]
                if margins
                else None,
                "started_s": now,
                "first_token_s": first,
                "ended_s": end,
                "ended_by": ending,
                "overrun_tokens": 0,
                "prompt_evaluated": 3,
            }
        )
        now = end
    return _around(segments, policy, question)


def _around(segments: list[dict[str, Any]], policy: str, question: str) -> dict[str, Any]:
    def joined(stage: str) -> str:
        return "".join(s["text"] for s in segments if s["stage"] == stage)

    def count(**wanted: str) -> int:
        return sum(
            len(s["token_ids"]) for s in segments if all(s[k] == v for k, v in wanted.items())
        )

    roles = [s["role"] for s in segments]
    return {
        "schema_version": 1,
        "text": "".join(s["text"] for s in segments),
        "reasoning": joined("reasoning").removesuffix("</think>"),
        "answer": joined("answer"),
        "finish_reason": "stop",
        "error": None,
        "usage": {
            "prompt_tokens": 42,
            "completion_tokens": count(),
            "total_tokens": 42 + count(),
            "completion_tokens_details": {"reasoning_tokens": count(stage="reasoning")},
        },
        "trace": {
            "policy": policy,
            "wall_s": segments[-1]["ended_s"],
            "utilisation": count(role="large") / count(),
            "handoffs": sum(pair == ("large", "small") for pair in itertools.pairwise(roles)),
            "overrun_tokens": 0,
            "repeatable": True,
            "small_lost": False,
            "failovers": 0,
            "handoffs_left_out": 0,
            "early_stops": 0,
            "segments": segments,
        },
        "run": {"seed": 7, "messages": [{"role": "user", "content": question}]},
    }


def hostile() -> dict[str, Any]:
    """Every text of it is hostile."""
    parts = [(role, stage, HOSTILE, HOSTILE) for role, stage, _, _ in RELAY]
    made = generation(parts=parts, question=HOSTILE)
    made["trace"]["policy"] = made["error"] = HOSTILE
    made["run"]["messages"].insert(0, {"role": HOSTILE, "content": HOSTILE})
    return made
