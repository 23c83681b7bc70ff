"""The library: open a pair of models, ask, read."""

from relaygen.api.model import Model, open_model
from relaygen.api.options import Options
from relaygen.api.relay import Relay
from relaygen.api.stream import Stream
from relaygen.api.sync import SyncRelay, SyncStream
from relaygen.engines.constraint import ConstrainedEngine, Constraint, ConstraintKind
from relaygen.engines.forced_call import ForcedCall

__all__ = [
    "ConstrainedEngine",
    "Constraint",
    "ConstraintKind",
    "ForcedCall",
    "Model",
    "Options",
    "Relay",
    "Stream",
    "SyncRelay",
    "SyncStream",
    "open_model",
]
