"""A scripted or random model behind the engine contract: for tests, load and planning."""

from relaygen.engines.simulated.behaviour import Counters, Fault, Latency
from relaygen.engines.simulated.engine import SimulatedEngine
from relaygen.engines.simulated.models import RandomModel, ScriptedModel, TokenModel
from relaygen.engines.simulated.prompted import PromptedScripts
from relaygen.engines.simulated.stories import story
from relaygen.engines.simulated.vocabulary import ByteVocabulary

__all__ = [
    "ByteVocabulary",
    "Counters",
    "Fault",
    "Latency",
    "PromptedScripts",
    "RandomModel",
    "ScriptedModel",
    "SimulatedEngine",
    "TokenModel",
    "story",
]
