from __future__ import annotations

import json
import math
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from relaygen.engines.base import EngineOutput, GenerateRequest
from relaygen.engines.hf import HfEngine
from relaygen.engines.registry import open_engine
from relaygen.errors import EngineError, ModelLoadError
from relaygen.types import Sampling

pytestmark = pytest.mark.hf

PROMPT = tuple(range(20, 60))


def save_qwen3(directory: Path, **fields: Any) -> Path:
    import torch
    import transformers

    torch.manual_seed(1)
    config = transformers.Qwen3Config(
        **{
            "vocab_size": 128,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "max_position_embeddings": 256,
            "initializer_range": 0.2,
            "tie_word_embeddings": True,
            **fields,
        }
    )
    transformers.Qwen3ForCausalLM(config).save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_qwen3(tmp_path_factory.mktemp("qwen3"))


@pytest.fixture
async def engine(qwen3: Path) -> AsyncIterator[HfEngine]:
    opened = HfEngine(qwen3, threads=1)
    yield opened
    await opened.aclose()


def leg(prompt: Sequence[int] = PROMPT, max_tokens: int = 20, **fields: Any) -> GenerateRequest:
    fields = {"sampling": Sampling(temperature=0.0), **fields}
    return GenerateRequest(prompt=tuple(prompt), max_tokens=max_tokens, **fields)


async def outputs_of(engine: HfEngine, request: GenerateRequest) -> list[EngineOutput]:
    return [output async for output in engine.generate(request)]


async def write(engine: HfEngine, request: GenerateRequest) -> tuple[int, ...]:
    return tuple(t for output in await outputs_of(engine, request) for t in output.token_ids)


def reference(directory: Path, token_ids: Sequence[int]) -> Any:
    """Log-probabilities of one plain forward pass, of shape (tokens, vocabulary)."""
    import torch
    import transformers

    network = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    with torch.inference_mode():
        return network(torch.tensor([list(token_ids)])).logits[0].double().log_softmax(-1)


async def test_scores_are_those_of_one_plain_forward_pass(engine: HfEngine, qwen3: Path) -> None:
    expected = reference(qwen3, PROMPT)
    scores = await engine.score(PROMPT, 1)
    for place, score in enumerate(scores):
        row = expected[place]
        best = row.exp().topk(2).values
        assert score.logprob == pytest.approx(float(row[PROMPT[place + 1]]), abs=1e-4)
        assert score.margin == pytest.approx(float(best[0] - best[1]), abs=1e-4)
        assert score.entropy == pytest.approx(float(-(row.exp() * row).sum()), abs=1e-3)


async def test_greedy_is_the_argmax_of_plain_forward_passes(engine: HfEngine, qwen3: Path) -> None:
    written = await write(engine, leg())
    expected = reference(qwen3, PROMPT + written).argmax(-1)
    assert list(written) == expected[len(PROMPT) - 1 : -1].tolist()


async def test_a_long_prompt_is_read_in_pieces(
    engine: HfEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = await write(engine, leg())
    whole = await engine.score(PROMPT, 5)
    for piece in (1, 3, 16, 39, 40):
        monkeypatch.setattr("relaygen.engines.hf.model._PIECE", piece)
        assert await write(engine, leg()) == written
        pieces = await engine.score(PROMPT, 5)
        assert [s.logprob for s in pieces] == pytest.approx([s.logprob for s in whole], abs=1e-4)


async def test_only_what_is_new_is_read(engine: HfEngine) -> None:
    first = await outputs_of(engine, leg(generation_id="one"))
    assert first[0].prompt_evaluated == len(PROMPT)
    written = tuple(t for output in first for t in output.token_ids)
    # The last token was written, but never read.
    cases = {(*PROMPT, *written, 5, 6): 3, PROMPT + written[:4]: 1, (*PROMPT[:10], 1, 2): 2}
    for prompt, evaluated in cases.items():
        again = await outputs_of(engine, leg(prompt, 1, generation_id="one"))
        assert again[0].prompt_evaluated == evaluated


async def test_a_prefill_is_read_once(engine: HfEngine) -> None:
    await engine.prefill(PROMPT, "one")
    before = engine.tokens_evaluated
    await engine.prefill(PROMPT, "one")
    await engine.prefill(PROMPT[:20], "one")
    assert engine.tokens_evaluated == before
    outputs = await outputs_of(engine, leg((*PROMPT, 7), 1, generation_id="one"))
    assert outputs[0].prompt_evaluated == 2


async def test_the_least_recently_used_generation_is_forgotten(qwen3: Path) -> None:
    engine = HfEngine(qwen3, cached_sequences=2)
    for generation_id in ("a", "b", "a", "c"):
        await engine.prefill(PROMPT, generation_id)
    for generation_id, evaluated in {"a": 1, "b": len(PROMPT)}.items():
        outputs = await outputs_of(engine, leg(max_tokens=1, generation_id=generation_id))
        assert outputs[0].prompt_evaluated == evaluated
    await engine.aclose()


async def test_a_failed_pass_leaves_nothing_in_the_cache(engine: HfEngine) -> None:
    expected = await write(engine, leg(generation_id="one"))
    second_layer = engine._model._network.model.layers[1]

    def fail(*_: object) -> None:
        raise RuntimeError("no memory")

    # After the first layer has already taken up the new tokens.
    hook = second_layer.register_forward_pre_hook(fail)
    with pytest.raises(EngineError, match="no memory"):
        await write(engine, leg((*PROMPT, 3, 4), generation_id="one"))
    hook.remove()
    outputs = await outputs_of(engine, leg(generation_id="one"))
    assert outputs[0].prompt_evaluated == len(PROMPT)
    assert tuple(t for output in outputs for t in output.token_ids) == expected


async def test_a_model_with_sliding_windows_cannot_rewind_and_reads_again(tmp_path: Path) -> None:
    layers = ["sliding_attention", "full_attention"]
    save_qwen3(tmp_path, use_sliding_window=True, sliding_window=8, layer_types=layers)
    engine = HfEngine(tmp_path)
    assert not engine.capabilities().rewind
    whole = await write(engine, leg(max_tokens=30, generation_id="one"))
    rest = leg(PROMPT + whole[:12], 18, generation_id="one")
    outputs = await outputs_of(engine, rest)
    assert outputs[0].prompt_evaluated == len(PROMPT) + 12
    assert tuple(t for output in outputs for t in output.token_ids) == whole[12:]
    await engine.prefill(PROMPT + whole, "two")
    outputs = await outputs_of(engine, leg((*PROMPT, *whole, 9), generation_id="two"))
    assert outputs[0].prompt_evaluated == 2
    await engine.aclose()


async def test_the_context_can_be_shortened_and_not_lengthened(qwen3: Path) -> None:
    for wanted, given in {64: 64, 10_000: 256, None: 256}.items():
        engine = HfEngine(qwen3, context_tokens=wanted)
        assert engine.capabilities().context_tokens == given
        await engine.aclose()


def broken(qwen3: Path, tmp_path: Path, how: str) -> Path:
    if how == "missing":
        return tmp_path / "nowhere"
    directory = tmp_path / "copy"
    shutil.copytree(qwen3, directory)
    config = directory / "config.json"
    weights = directory / "model.safetensors"
    if how == "no_config":
        config.unlink()
    elif how == "no_json":
        config.write_text("{")
    elif how == "unknown_kind":
        config.write_text(json.dumps({"model_type": "qwen99", "architectures": ["Qwen99"]}))
    elif how == "no_weights":
        weights.unlink()
    elif how == "cut_off":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif how == "lacks_a_layer":
        config.write_text(
            json.dumps(
                {**json.loads(config.read_text()), "num_hidden_layers": 3, "layer_types": None}
            )
        )
    elif how == "wrong_shape":
        config.write_text(json.dumps({**json.loads(config.read_text()), "intermediate_size": 96}))
    return directory


@pytest.mark.parametrize(
    "how",
    [
        "missing",
        "no_config",
        "no_json",
        "unknown_kind",
        "no_weights",
        "cut_off",
        "lacks_a_layer",
        "wrong_shape",
    ],
)
def test_a_broken_model_is_an_error_of_one_line(qwen3: Path, tmp_path: Path, how: str) -> None:
    directory = broken(qwen3, tmp_path, how)
    with pytest.raises(ModelLoadError) as raised:
        open_engine("hf", directory)
    assert str(directory) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500
    if how in ("lacks_a_layer", "wrong_shape"):
        assert "model.layers." in str(raised.value)


async def test_loading_prints_nothing(qwen3: Path, capfd: pytest.CaptureFixture[str]) -> None:
    await HfEngine(qwen3).aclose()
    assert capfd.readouterr() == ("", "")


def test_an_unknown_dtype_is_refused(qwen3: Path) -> None:
    with pytest.raises(ModelLoadError, match="'float31'"):
        HfEngine(qwen3, dtype="float31")


async def test_half_precision_is_near_the_reference(engine: HfEngine, qwen3: Path) -> None:
    half = HfEngine(qwen3, dtype="bfloat16")
    exact, rough = await engine.score(PROMPT, 1), await half.score(PROMPT, 1)
    assert math.dist([s.margin for s in exact], [s.margin for s in rough]) < 1.0
    await half.aclose()
