"""On which devices the two servers run, with how much memory, and for how long texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from relaygen.launch.gpus import Gpu
from relaygen.launch.llama_cpp import DEFAULT_SLOTS
from relaygen.launch.machine import Machine
from relaygen.launch.memory import GIB, GPU_PART, RAM_PART, Division, MemoryNeed, divide
from relaygen.launch.model_files import ModelFiles
from relaygen.launch.options import Engine, LaunchOptions

# More is given only if asked for: a reasoning model's longest answers on a GPU, and on a CPU, where
# they would take an hour, what `relaygen run` gives.
_LONGEST_ON_GPU, _LONGEST_ON_CPU = 32_768, 8_192
_SHORTEST = 1_024
_STEP = 256
_IDLE_GPU = (
    "there is a GPU, but no llama-server in PATH, and the one in the xllamacpp wheel uses the CPU "
    "only; install llama.cpp with GPU support"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Where the servers go; pairs are of the large and the small one.

    Attributes:
        gpus: indices of each one's GPUs.
        fractions: of a GPU's whole memory.
        rest_fractions: of what is free when it starts.
        context_tokens: of one generation.
        one_by_one: the small server may start only once the large one is ready.
        notes: what was decided.
        warnings: what will probably go wrong.
    """

    gpus: tuple[tuple[str, ...], tuple[str, ...]]
    fractions: tuple[float, float]
    rest_fractions: tuple[float, float]
    context_tokens: int
    one_by_one: bool
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def place(
    options: LaunchOptions,
    engine: Engine,
    *,
    large: ModelFiles,
    small: ModelFiles,
    draft: ModelFiles | None,
    machine: Machine,
) -> Placement:
    """Divides the machine.

    The large model gets the first GPUs, as many as it is spread over. If one is left, the small
    model gets that one for itself, else they share the first. llama.cpp distributes layers by
    itself, so there all GPUs together count as one memory.
    """
    needs = _needs(large, small, draft, parts=options.tensor_parallel)
    without_binary = engine is Engine.LLAMA_CPP and machine.llama_server is None
    if not machine.gpus or without_binary:  # the server in the wheel has no code for them
        ram = divide(needs, total=machine.memory, free=machine.memory, part=RAM_PART)
        found = _placement(options, engine, (large, small), [ram], gpus=((), ()), shared=False)
        return replace(found, warnings=(*found.warnings, _IDLE_GPU)) if machine.gpus else found
    if engine is Engine.LLAMA_CPP:
        everywhere = tuple(gpu.index for gpu in machine.gpus)
        whole = _divide_gpus(needs, machine.gpus)
        gpus = (everywhere, everywhere)
        return _placement(options, engine, (large, small), [whole], gpus=gpus, shared=False)
    count = options.tensor_parallel
    own, rest = machine.gpus[:count], machine.gpus[count : count + 1]
    of_large = tuple(gpu.index for gpu in own)
    if not rest:
        tightest = min(own, key=lambda gpu: gpu.free)
        division = _divide_gpus(needs, [tightest])
        gpus = (of_large, of_large[:1])
        return _placement(options, engine, (large, small), [division], gpus=gpus, shared=True)
    divisions = [
        _divide_gpus(needs[:1], [min(own, key=lambda gpu: gpu.free)]),
        _divide_gpus(needs[1:], rest),
    ]
    gpus = (of_large, (rest[0].index,))
    return _placement(options, engine, (large, small), divisions, gpus=gpus, shared=False)


def _needs(
    large: ModelFiles, small: ModelFiles, draft: ModelFiles | None, *, parts: int
) -> list[MemoryNeed]:
    drafting = draft.weights if draft else 0
    caching = draft.cache_per_token if draft else 0
    return [
        MemoryNeed(
            weights=(large.weights + drafting) // parts,
            cache_per_token=(large.cache_per_token + caching) // parts,
        ),
        MemoryNeed(weights=small.weights, cache_per_token=small.cache_per_token),
    ]


def _divide_gpus(needs: Sequence[MemoryNeed], gpus: Sequence[Gpu]) -> Division:
    total, free = sum(gpu.total for gpu in gpus), sum(gpu.free for gpu in gpus)
    return divide(needs, total=total, free=free, part=GPU_PART)


def _placement(
    options: LaunchOptions,
    engine: Engine,
    models: tuple[ModelFiles, ModelFiles],
    divisions: Sequence[Division],
    *,
    gpus: tuple[tuple[str, ...], tuple[str, ...]],
    shared: bool,
) -> Placement:
    places = [(divisions[0], 0), (divisions[-1], 1 if len(divisions) == 1 else 0)]
    # Servers that reserve room when they start must have it for every slot; the others need it for
    # one generation, and let more wait.
    reserves = engine is Engine.LLAMA_CPP or not gpus[0]
    slots = (options.slots or DEFAULT_SLOTS) if reserves else 1
    room = min(division.tokens for division in divisions)
    longest = _LONGEST_ON_GPU if gpus[0] else _LONGEST_ON_CPU
    context = options.context_tokens or _context(models, room // slots, longest)
    warnings = [
        *_beyond_training(context, models),
        *_short_of_memory(divisions, context * slots, on_gpu=bool(gpus[0])),
    ]
    on = [f"GPU {', '.join(part)}" if part else "the CPU" for part in gpus]
    return Placement(
        gpus=gpus,
        fractions=_pair([division.fraction(which) for division, which in places]),
        rest_fractions=_pair([division.fraction_of_rest(which) for division, which in places]),
        context_tokens=context,
        # Each measures what it may have by what the whole GPU has left, so one that loads at the
        # same time would be charged to it (vLLM issue 55827).
        one_by_one=shared,
        notes=(f"{context:,} tokens a generation; large on {on[0]}, small on {on[1]}",),
        warnings=tuple(warnings),
    )


def _context(models: Sequence[ModelFiles], room: int, longest: int) -> int:
    trained = min(model.context_tokens or longest for model in models)
    return min(trained, longest, max(_SHORTEST, room // _STEP * _STEP))


def _beyond_training(context: int, models: Sequence[ModelFiles]) -> list[str]:
    return [
        f"{model.path.name} was trained for {model.context_tokens:,} tokens, and the context is "
        f"{context:,}; lower --context-tokens, or the server may refuse it"
        for model in models
        if model.context_tokens is not None and model.context_tokens < context
    ]


def _short_of_memory(divisions: Sequence[Division], needed: int, *, on_gpu: bool) -> list[str]:
    kind = "GPU memory" if on_gpu else "memory"
    found = []
    for division in divisions:
        budget = f"{division.budget / GIB:.1f} GiB of {division.total / GIB:.1f} GiB {kind}"
        if division.tokens <= 0:
            found.append(
                f"{budget} can be used, and the weights alone need more; the servers will probably "
                "not start: take smaller or quantised models, or more GPUs"
            )
        elif division.tokens < needed:
            found.append(
                f"{budget} can be used, which has room for {division.tokens:,} tokens, and "
                f"{needed:,} are needed; lower --context-tokens or --slots"
            )
    return found


def _pair(values: Sequence[float]) -> tuple[float, float]:
    first, second = values
    return first, second
