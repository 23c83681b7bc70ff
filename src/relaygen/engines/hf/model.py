"""A causal language model of transformers, and the token sequences that it has read."""

from __future__ import annotations

import inspect
import json
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relaygen.engines.prefix import common_prefix
from relaygen.engines.sampling import Logits
from relaygen.errors import EngineError, MissingExtraError, ModelLoadError

_PIECE = 512  # prompt tokens a forward pass: bounds the memory that their logits take


class SequenceState:
    """Tokens that the model has read, with their keys and values."""

    def __init__(self, cache: Any) -> None:
        self.cache = cache
        self.tokens: list[int] = []


class HfModel:
    """Weights, and the sequences of the latest generations. Used by one thread."""

    def __init__(self, path: Path, *, dtype: str, device: str, cached_sequences: int) -> None:
        """Loads the model.

        Raises:
            MissingExtraError: torch or transformers is not installed.
            ModelLoadError: the directory does not hold a whole model of a known kind.
        """
        try:
            import torch
            import transformers
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"the hf engine needs {error.name}: pip install 'relaygen[hf]'"
            ) from error
        self._torch: Any = torch
        self._network: Any = _load(torch, transformers, path, dtype)
        self._network.to(device).eval()
        self._device = device
        self._config = self._network.config
        dynamic_cache: Any = transformers.DynamicCache
        self._new_cache: Callable[[], Any] = lambda: dynamic_cache(config=self._config)
        # Sliding-window and recurrent layers overwrite what they would have to go back to.
        self.rewinds = all(
            type(layer) is transformers.cache_utils.DynamicLayer
            for layer in self._new_cache().layers
        )
        text_config = self._config.get_text_config(decoder=True)
        self.vocab_size: int = text_config.vocab_size
        self.context_tokens: int = text_config.max_position_embeddings
        parameters = inspect.signature(self._network.forward).parameters
        # Renamed in transformers 5.24; the old name goes away in 5.40.
        self._cache_argument = "cache" if "cache" in parameters else "past_key_values"
        self._keeps_last_logits = "logits_to_keep" in parameters
        self._limit = cached_sequences
        self._sequences: OrderedDict[str, SequenceState] = OrderedDict()

    def use_threads(self, threads: int) -> None:
        """Sets the threads that torch computes with in this process."""
        self._torch.set_num_threads(threads)

    @contextmanager
    def sequence(self, generation_id: str, prefix: Sequence[int]) -> Iterator[SequenceState]:
        """Lends the state of the longest part of `prefix` that is in the cache.

        Meanwhile it is the borrower's alone: two legs of one generation never share a state.
        """
        state = self._take(generation_id, prefix)
        try:
            yield state
        except GeneratorExit:  # a cancelled leg: what it has read is whole
            self._keep(generation_id, state)
            raise
        # Not in a `finally`: after an error some layers may have read more than others.
        self._keep(generation_id, state)

    def holds(self, generation_id: str, tokens: Sequence[int]) -> bool:
        """Whether these tokens are in the cache already; if so, they stay in it for longer."""
        state = self._sequences.get(generation_id)
        if state is None or common_prefix(state.tokens, tokens) < len(tokens):
            return False
        self._sequences.move_to_end(generation_id)
        return True

    def _take(self, generation_id: str, prefix: Sequence[int]) -> SequenceState:
        state = self._sequences.pop(generation_id, None)
        if state is None:
            return SequenceState(self._new_cache())
        shared = common_prefix(state.tokens, prefix)
        surplus = len(state.tokens) - shared
        if surplus and not (self.rewinds and shared):
            return SequenceState(self._new_cache())
        if surplus:
            state.cache.crop(-surplus)
            del state.tokens[shared:]
        return state

    def _keep(self, generation_id: str, state: SequenceState) -> None:
        if not generation_id or not state.tokens:
            return
        self._sequences[generation_id] = state
        self._sequences.move_to_end(generation_id)
        while len(self._sequences) > self._limit:
            self._sequences.popitem(last=False)

    def read(
        self, state: SequenceState, tokens: Sequence[int], rows: int
    ) -> Generator[None, None, Logits]:
        """Reads tokens after those of `state`, a piece a step.

        Args:
            state: is extended.
            tokens: at least one.
            rows: how many of the last positions to return logits of.

        Returns:
            The logits, of shape (rows, vocabulary) and type float32.
        """
        kept: list[Any] = []
        for start in range(0, len(tokens), _PIECE):
            piece = tokens[start : start + _PIECE]
            wanted = min(len(piece), max(0, start + len(piece) - (len(tokens) - rows)))
            logits = self._forward(state, piece, max(1, wanted))
            if wanted:
                kept.append(logits)
            if start + _PIECE < len(tokens):
                yield
        # Copies only where there are several pieces; NumPy sees torch's own memory.
        whole = kept[0] if len(kept) == 1 else self._torch.cat(kept)
        result: Logits = whole.float().cpu().numpy()
        return result

    def _forward(self, state: SequenceState, piece: Sequence[int], rows: int) -> Any:
        torch = self._torch
        arguments: dict[str, Any] = {self._cache_argument: state.cache, "use_cache": True}
        if self._keeps_last_logits:
            arguments["logits_to_keep"] = rows
        with torch.inference_mode():
            ids = torch.tensor([list(piece)], device=self._device)
            logits = self._network(input_ids=ids, **arguments).logits
        state.tokens.extend(piece)
        if state.cache.get_seq_length() != len(state.tokens):
            raise EngineError(
                f"the model's cache holds {state.cache.get_seq_length()} tokens where "
                f"{len(state.tokens)} were read; this architecture is not supported"
            )
        return logits[0, -rows:]


def _load(torch: Any, transformers: Any, path: Path, dtype: str) -> Any:
    _check_directory(path)
    if not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise ModelLoadError(f"dtype is {dtype!r}; torch knows float32, bfloat16, float16")
    try:
        with _silence(transformers.utils.logging):
            network, report = transformers.AutoModelForCausalLM.from_pretrained(
                path,
                dtype=getattr(torch, dtype),
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
    except Exception as error:  # transformers raises a dozen kinds of its own here
        reason = " ".join(str(error).split()).partition(". ")[0]
        raise ModelLoadError(f"cannot load the model in {path}: {reason}") from error
    # transformers fills what is absent or of another shape with noise, and only logs it.
    absent = sorted([*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])])
    if absent:
        raise ModelLoadError(
            f"the weights in {path} do not fit its config.json: {len(absent)} are missing or of "
            f"another shape, {absent[0]} first; copy the model again"
        )
    return network


@contextmanager
def _silence(logging: Any) -> Iterator[None]:
    """A library prints nothing: no bar, and no report of what becomes an error anyway."""
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


def _check_directory(path: Path) -> None:
    if not path.is_dir():
        raise ModelLoadError(
            f"{path} is not a directory; give one with config.json and *.safetensors"
        )
    config = path / "config.json"
    if not config.is_file():
        raise ModelLoadError(f"{path} holds no config.json; is it a model in transformers' format?")
    try:
        json.loads(config.read_bytes())
    except ValueError as error:
        raise ModelLoadError(f"{config} is not valid JSON: {error}") from error
