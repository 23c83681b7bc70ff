"""A pair of models that writes together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from relaygen import profiles
from relaygen.api.forming import SHARED_ANSWERS, engines_under_form, policy_under_form
from relaygen.api.model import Model, load_tokenizer, open_model
from relaygen.api.options import Options
from relaygen.api.pairing import Match, close_now, match
from relaygen.api.stream import Stream
from relaygen.chat import FirstStage, Message, PromptTokens
from relaygen.engines.forced_call import ForcedCall
from relaygen.engines.penalties import check_penalties
from relaygen.errors import (
    ContextLengthError,
    CueProfileError,
    InvalidRequestError,
)
from relaygen.relay.config import RelayConfig
from relaygen.relay.generation import Generation, ReasoningTags, WriterFacts
from relaygen.relay.machine import RelayMachine
from relaygen.relay.policies import make_policy
from relaygen.relay.profile import CueProfile
from relaygen.runner import RelayRun, Result
from relaygen.types import ModelRole, Sampling, Stage

_STAGES = {FirstStage.REASONING: Stage.REASONING, FirstStage.ANSWER: Stage.ANSWER}


class Relay:
    """Two models of one family, and the cues between them.

    Example:
        ```python
        from relaygen import Relay, demo_models

        large, small = demo_models.gguf("large"), demo_models.gguf("small")
        async with Relay.open(large, small, profile="demo") as relay:
            result = await relay.generate(
                "Mia has 12 apples. On Monday, she finds 4 in the garden. How many are left?"
            )
        print(result.answer, result.trace.utilisation)
        ```
    """

    def __init__(
        self,
        large: Model,
        small: Model,
        *,
        profile: CueProfile | None = None,
        config: RelayConfig | None = None,
        matched: Match | None = None,
        small_busy: Callable[[], bool] | None = None,
    ) -> None:
        """Checks that the two models can share tokens.

        Args:
            large: writes the hard parts; its chat template is used.
            small: writes after cues, and the answer.
            profile: the cues; None: every generation must bring its own.
            config: limits of the relay.
            matched: the outcome of that check, where it was made already.
            small_busy: while it says so the large model writes on at a cue; None: never.

        Raises:
            TokenizerMismatchError: they have different tokenizers; names the first difference.
            CueProfileError: the profile belongs to another tokenizer.
            ChatTemplateError: the large model has no usable chat template.
        """
        self.models = {ModelRole.LARGE: large, ModelRole.SMALL: small}
        self.config = config or RelayConfig()
        self.profile = profile
        self.small_busy = small_busy
        matched = matched or match(large.tokenizer, small.tokenizer, profile)
        self.fingerprint = matched.fingerprint
        self.encoder = matched.encoder
        self._shared = matched.shared_ids

    @classmethod
    def open(
        cls,
        large: str | Path,
        small: str | Path,
        *,
        profile: str | Path | CueProfile | None = None,
        config: RelayConfig | None = None,
        context_tokens: int | None = None,
        threads: int | None = None,
        gpu_layers: int | None = None,
        sequences: int | None = None,
    ) -> Self:
        """Loads two models (see `open_model`) and a cue profile; blocks meanwhile.

        Whether the two fit together is found before either is loaded.

        Args:
            large: writes the hard parts; its chat template is used.
            small: writes after cues, and the answer.
            profile: a packaged one's name, a file, or a `CueProfile`; None: none, then every
                generation must bring its cues.
            config: limits of the relay.
            context_tokens: see `open_model`, as the rest.
            threads: of each model.
            gpu_layers: of each model.
            sequences: of each model.

        Raises:
            RelayGenError: see `open_model` and the constructor.
        """
        if profile is not None and not isinstance(profile, CueProfile):
            profile = profiles.load(profile)
        tokenizers = [load_tokenizer(path) for path in (large, small)]
        matched = match(tokenizers[0], tokenizers[1], profile)
        opened: list[Model] = []
        try:
            for path, tokenizer in zip((large, small), tokenizers, strict=True):
                opened.append(
                    open_model(
                        path,
                        context_tokens=context_tokens,
                        threads=threads,
                        gpu_layers=gpu_layers,
                        sequences=sequences,
                        tokenizer=tokenizer,
                    )
                )
            return cls(opened[0], opened[1], profile=profile, config=config, matched=matched)
        except BaseException:
            close_now([model.engine for model in opened])
            raise

    @property
    def reasoning_tags(self) -> tuple[str, str] | None:
        """The tags around the reasoning; None for a pair without, whose text is one stage."""
        reasoning = self.encoder.reasoning
        return None if reasoning is None else reasoning.tags

    def prompt(
        self, messages: str | Sequence[Message], options: Options | None = None
    ) -> PromptTokens:
        """Renders messages by the large model's chat template.

        Raises:
            InvalidRequestError: empty or malformed messages.
            ChatTemplateError: the template refuses them.
        """
        if isinstance(messages, str):
            if not messages.strip():
                raise InvalidRequestError("the question is empty: ask something", param="messages")
            messages = [{"role": "user", "content": messages}]
        options = options or Options()
        return self.encoder.encode(
            messages,
            options.tools,
            add_generation_prompt=options.add_generation_prompt,
            continue_final_message=options.continue_final_message,
            **options.template,
        )

    def stream(self, messages: str | Sequence[Message], options: Options | None = None) -> Stream:
        """Prepares a generation; it begins when the stream is read.

        Args:
            messages: a question, or a chat in OpenAI's form.
            options: see `Options`.

        Raises:
            InvalidRequestError: something in the request cannot be honoured.
            ContextLengthError: the prompt leaves no room.
        """
        options = options or Options()
        return Stream(self.run(self.prompt(messages, options), options))

    async def generate(
        self, messages: str | Sequence[Message], options: Options | None = None
    ) -> Result:
        """Generates to the end; the arguments and errors are those of `stream`.

        Raises:
            EngineError: the large model failed; a generation that lost only its small one goes on.
        """
        stream = self.stream(messages, options)
        async for _ in stream:
            pass
        stream.raise_for_failure()
        return stream.result

    def run(self, prompt: PromptTokens, options: Options) -> RelayRun:
        """The machine and engines of one generation, for callers that have a prompt already."""
        wanted = policy_under_form(options, tagged=self.encoder.reasoning is not None)
        config = options.config or self.config.under(wanted)
        structured = options.tools or options.constraint
        if structured and config.answer_role is None and wanted in SHARED_ANSWERS:
            config = replace(config, answer_role=ModelRole.LARGE)
        if isinstance(options.constraint, ForcedCall):
            config = replace(config, force_answer=True)  # it has to be made
        cues = options.cues
        if cues is None:
            cues = self.profile.cues if self.profile else ()
        if wanted in ("relay", "paper") and not cues:
            raise CueProfileError(
                "there are no cues to switch at: name a profile "
                f"({', '.join(profiles.available())}, or a file), give cues, or use policy 'large'"
            )
        policy = make_policy(
            wanted,
            cues,
            config,
            seed=options.seed or 0,
            handoff_share=options.handoff_share,
        )
        generation = self._generation(prompt, options)
        self._check_penalties(wanted, generation)
        tokenizer = self.models[ModelRole.LARGE].tokenizer
        engines = {role: model.engine for role, model in self.models.items()}
        return RelayRun(
            RelayMachine(generation, tokenizer, policy, config),
            engines_under_form(engines, options, wanted, config, generation, tokenizer),
            generation_id=options.generation_id,
            small_busy=self.small_busy,
        )

    def _check_penalties(self, policy: str, generation: Generation) -> None:
        writing = tuple(ModelRole) if policy in SHARED_ANSWERS else (ModelRole(policy),)
        for role in writing:
            check_penalties(
                generation.writers[role].sampling,
                self.models[role].engine.capabilities().penalties,
                role,
                max_tokens=generation.max_tokens,
            )

    def _generation(self, prompt: PromptTokens, options: Options) -> Generation:
        reasoning = self.encoder.reasoning
        tags = None
        if reasoning is not None:
            tags = ReasoningTags(
                open_text=reasoning.open,
                close_text=reasoning.close,
                close_id=reasoning.close_ids[0] if len(reasoning.close_ids) == 1 else None,
                forced_close_ids=reasoning.close_ids,
            )
        return Generation(
            prompt=prompt.ids,
            max_tokens=self._room(prompt, options.max_tokens),
            writers={
                role: WriterFacts(
                    eos_ids=model.tokenizer.eos_ids, sampling=self.sampling(role, options)
                )
                for role, model in self.models.items()
            },
            tags=tags,
            first_stage=_STAGES.get(prompt.first_stage) if prompt.first_stage else None,
            stop=tuple(options.stop),
            seed=options.seed,
            choice_index=options.choice_index,
            want_scores=options.margins or options.top_logprobs > 0,
            top_logprobs=options.top_logprobs,
            shared_ids=self._shared,
        )

    def sampling(self, role: ModelRole, options: Options) -> Sampling:
        """How a role draws under these options: what they say, else the model's own defaults."""
        chosen = options.sampling
        if chosen is None:
            return self.models[role].sampling
        return (
            chosen if isinstance(chosen, Sampling) else chosen.get(role, self.models[role].sampling)
        )

    def _room(self, prompt: PromptTokens, max_tokens: int | None) -> int:
        if max_tokens is not None and max_tokens < 1:
            raise InvalidRequestError(
                f"max_tokens is {max_tokens}; it must be at least 1", param="max_tokens"
            )
        sizes = {r: m.engine.capabilities().context_tokens for r, m in self.models.items()}
        role = min(sizes, key=lambda r: sizes[r])
        room = sizes[role] - len(prompt.ids)
        if room < 1:
            raise ContextLengthError(
                f"the prompt has {len(prompt.ids):,} tokens, and the context of the {role} model "
                f"holds {sizes[role]:,}: shorten the prompt, or open the models with a larger "
                "context",
                param="prompt",
            )
        return room if max_tokens is None else min(room, max_tokens)

    async def aclose(self) -> None:
        """Frees both models. May be called twice."""
        for model in self.models.values():
            await model.engine.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
