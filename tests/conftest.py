"""How long the properties run: ``HYPOTHESIS_PROFILE=slow`` or the marker ``slow``."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Examples repeat, so that a failure in CI is one at a desk; `explore` looks for new ones.
settings.register_profile(
    "fast",
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("slow", parent=settings.get_profile("fast"), max_examples=10_000)
settings.register_profile("explore", parent=settings.get_profile("slow"), derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))
