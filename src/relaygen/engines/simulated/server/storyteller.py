"""A served model that tells another story for every prompt."""

from __future__ import annotations

from collections.abc import Mapping

from relaygen.engines.simulated.behaviour import Latency
from relaygen.engines.simulated.engine import SimulatedEngine
from relaygen.engines.simulated.prompted import PromptedScripts
from relaygen.engines.simulated.server.backend import Backend, ServedVocabulary
from relaygen.engines.simulated.server.faults import ServerFault
from relaygen.engines.simulated.server.vocabulary import TokenizerVocabulary
from relaygen.engines.simulated.stories import story
from relaygen.engines.simulated.vocabulary import ByteVocabulary
from relaygen.tokens import Tokenizer

_INSTANT = Latency()


def storyteller(
    dialect: str,
    *,
    tokenizer: Tokenizer | None = None,
    marker: str = "<think>\n",
    seed: int = 0,
    sentences: int = 24,
    context_tokens: int = 32_768,
    latency: Latency = _INSTANT,
    faults: ServerFault | Mapping[int, ServerFault] | None = None,
    name: str = "simulated",
) -> Backend:
    """A backend whose model is a `PromptedScripts` of stories.

    Args:
        dialect: what the server speaks.
        tokenizer: of the model that it stands for; None: `ByteVocabulary`.
        marker: the text that every prompt ends with.
        seed: another seed, other stories.
        sentences: of each.
        context_tokens: prompt plus generation.
        latency: how long things take.
        faults: what goes wrong.
        name: of the model.
    """
    if tokenizer is None:
        plain = ByteVocabulary()
        vocabulary: ServedVocabulary = plain
        eos_ids = frozenset({plain.eos_id})
    else:
        vocabulary = TokenizerVocabulary(tokenizer)
        eos_ids = tokenizer.eos_ids
    model = PromptedScripts(
        lambda number: vocabulary.encode(story(number, sentences=sentences)),
        marker=vocabulary.encode(marker),
        vocab_size=len(vocabulary),
        end_token=min(eos_ids),
        seed=seed,
    )
    engine = SimulatedEngine(
        model,
        vocabulary=vocabulary,
        context_tokens=context_tokens,
        latency=latency,
        cached_sequences=4096,
    )
    return Backend(
        model,
        vocabulary,
        dialect=dialect,
        engine=engine,
        eos_ids=eos_ids,
        name=name,
        faults=faults,
    )
