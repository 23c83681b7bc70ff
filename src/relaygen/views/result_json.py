"""A finished generation as one JSON object; tokens are counted under OpenAI's names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from relaygen.runner import Result, SegmentTrace, Trace
from relaygen.types import Usage
from relaygen.views.printable import escaped_json


def result_object(result: Result) -> dict[str, Any]:
    """Plain data; the segments' texts add up to ``text``, their token ids to the usage."""
    return {
        "text": result.text,
        "reasoning": result.reasoning,
        "answer": result.answer,
        "finish_reason": str(result.finish_reason),
        "error": result.error,
        "usage": usage_object(result.usage),
        "trace": trace_object(result.trace),
    }


def trace_object(trace: Trace) -> dict[str, Any]:
    """Who wrote what when, as plain data."""
    return {
        "policy": trace.policy,
        "wall_s": trace.wall_s,
        "utilisation": trace.utilisation,
        "handoffs": trace.handoffs,
        "overrun_tokens": trace.overrun_tokens,
        "repeatable": trace.repeatable,
        "small_lost": trace.small_lost,
        "failovers": trace.failovers,
        "handoffs_left_out": trace.handoffs_left_out,
        "early_stops": trace.early_stops,
        "segments": [_segment(segment) for segment in trace.segments],
    }


def usage_object(usage: Usage) -> dict[str, Any]:
    """OpenAI's ``usage``."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def to_json(value: Mapping[str, Any], indent: int | None = None) -> str:
    """JSON that reads well and holds no control character that a terminal would obey."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    return escaped_json(text)


def _segment(segment: SegmentTrace) -> dict[str, Any]:
    return {
        "role": str(segment.role),
        "stage": str(segment.stage),
        "token_ids": list(segment.token_ids),
        "text": segment.text,
        "margins": None if segment.margins is None else list(segment.margins),
        "started_s": segment.started_s,
        "first_token_s": segment.first_token_s,
        "ended_s": segment.ended_s,
        "ended_by": segment.ended_by,
        "overrun_tokens": segment.overrun_tokens,
        "prompt_evaluated": segment.prompt_evaluated,
    }
