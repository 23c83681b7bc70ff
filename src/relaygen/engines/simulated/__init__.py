"""A scripted or random model behind the engine contract: for tests, load and planning."""

from relaygen.engines.simulated.behaviour import Counters, Fault, Latency
from relaygen.engines.simulated.engine import SimulatedEngine
from relaygen.engines.simulated.models import RandomModel, ScriptedModel, TokenModel
from relaygen.engines.simulated.vocabulary import ByteVocabulary

__all__ = [
    "ByteVocabulary",
    "Counters",
    "Fault",
    "Latency",
    "RandomModel",
    "ScriptedModel",
    "SimulatedEngine",
    "TokenModel",
]
