"""A model server without a model, in the words of vLLM, SGLang, llama-server, or plain OpenAI.

``python -m relaygen.engines.simulated.server --help`` runs one as a process; `SimulatedServer` in
this one.
"""

from relaygen.engines.simulated.server.app import ROUTES, application
from relaygen.engines.simulated.server.backend import Backend, ServedVocabulary
from relaygen.engines.simulated.server.faults import ServerFault
from relaygen.engines.simulated.server.running import SimulatedServer
from relaygen.engines.simulated.server.storyteller import storyteller
from relaygen.engines.simulated.server.vocabulary import TokenizerVocabulary

__all__ = [
    "ROUTES",
    "Backend",
    "ServedVocabulary",
    "ServerFault",
    "SimulatedServer",
    "TokenizerVocabulary",
    "application",
    "storyteller",
]
