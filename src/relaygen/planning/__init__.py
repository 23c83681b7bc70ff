"""What to expect of a relay, from measured costs."""

from relaygen.planning.limit import Costs, Reading, limit, reading_of

__all__ = ["Costs", "Reading", "limit", "reading_of"]
