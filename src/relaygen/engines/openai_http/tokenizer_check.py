"""Whether a server has the tokenizer that its users think it has."""

from __future__ import annotations

from relaygen.engines.openai_http.dialects import Dialect
from relaygen.errors import EngineError, InvalidRequestError, TokenizerMismatchError
from relaygen.tokens import Fingerprint, Tokenizer
from relaygen.tokens.probe import probe_text


async def check_tokenizer(
    dialect: Dialect, tokenizer: Tokenizer, fingerprint: Fingerprint, url: str
) -> bool:
    """Compares the ids of the fingerprint's probe text with those of the server's own tokenizer.

    Equal ids show equal merges, pre-tokenizers and special tokens; entries that the text does not
    use go unseen.

    Returns:
        True if they are equal; False if the server has no way to ask.

    Raises:
        TokenizerMismatchError: they differ; names the first difference.
        EngineError: the server cannot be reached, or fails.
    """
    specials = [e.data.decode("utf-8") for e in fingerprint.entries.values() if e.special]
    try:
        theirs = await dialect.encode(probe_text(specials))
    except (EngineError, InvalidRequestError) as error:
        if isinstance(error, EngineError) and error.retryable:
            raise
        return False
    if theirs is None:
        return False
    ours = list(fingerprint.probe)
    if theirs == ours:
        return True
    pairs = enumerate(zip(ours, theirs, strict=False))
    shorter = min(len(ours), len(theirs))
    place = next((i for i, (own, other) in pairs if own != other), shorter)
    before = tokenizer.decode(ours[max(0, place - 6) : place])
    raise TokenizerMismatchError(
        f"the tokenizer of {tokenizer.origin} is not that of the model on {url}: after {before!r} "
        f"(token {place} of the probe text) the first has the ids {ours[place : place + 3]}, the "
        f"second {theirs[place : place + 3]}; serve the model whose tokenizer this is"
    )
