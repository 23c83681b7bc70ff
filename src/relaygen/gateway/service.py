"""What is served: one relay, under a name for each of its policies."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping

from relaygen import profiles
from relaygen.api import Relay
from relaygen.chat import TemplateReport, understood
from relaygen.chat.tool_calls import CallHistory, ToolCallFormat, detect_tool_calls
from relaygen.errors import CueProfileError
from relaygen.gateway.failures import HttpError
from relaygen.gateway.replicas import Replicas
from relaygen.relay.policies import POLICIES
from relaygen.relay.profile import CueProfile

_MEANINGS = {
    "relay": "the large model, with the small one after switch cues",
    "large": "the large model alone",
    "small": "the small model alone",
    "random": "random sentences by the small model: a control",
    "paper": "the rules of the published code",
}


class Service:
    """A relay and what is known of it; the caller opens the relay and closes it.

    Example:
        ```python
        service = Service(relay, name="qwen3")
        app = create_app(service)
        ```
    """

    def __init__(
        self,
        relay: Relay,
        *,
        name: str,
        policy: str = "relay",
        allowed_profiles: Mapping[str, CueProfile] | None = None,
        ready: Callable[[], str | None] | None = None,
        queue: Callable[[], float] | None = None,
        replicas: Callable[[], Replicas] = dict,
        forget: Callable[[str], None] = lambda generation_id: None,
        new_id: Callable[[], str] = lambda: secrets.token_hex(12),
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Looks at the chat template once.

        Args:
            relay: open.
            name: that clients ask for; ``NAME:POLICY`` is each policy.
            policy: of the bare name.
            allowed_profiles: that a request may name, beside the packaged ones.
            ready: why no request can be served now, None if it can; None: always.
            queue: how many legs wait for an engine, for metrics.
            replicas: the servers behind each model, for metrics and health.
            forget: told the id of each generation that has ended.
            new_id: makes ids of completions and tool calls unique.
            wall_clock: for ``created``.
        """
        self.relay = relay
        self.name = name
        self.queue = queue
        self.replicas = replicas
        self.forget = forget
        self.ready = ready or (lambda: None)
        self.new_id = new_id
        self.wall_clock = wall_clock
        self.started = int(wall_clock())
        self.fingerprint = f"relaygen-{relay.fingerprint[:12]}"
        encoder = relay.encoder
        self.template: TemplateReport = understood(encoder.template, encoder.tokenizer)
        self.template_source = encoder.template.source
        self.tool_calls: ToolCallFormat | None = detect_tool_calls(encoder.template.source)
        self.call_history = CallHistory.of(encoder)
        self._policies = {name: policy} | {f"{name}:{known}": known for known in POLICIES}
        self._profiles = dict(allowed_profiles or {})

    @property
    def models(self) -> tuple[str, ...]:
        """Every name that a request may ask for; the bare one first."""
        return tuple(self._policies)

    def policy_of(self, model: str) -> str:
        """The policy that a model name stands for.

        Raises:
            HttpError: 404; there is no such model.
        """
        try:
            return self._policies[model]
        except KeyError:
            raise HttpError(
                404,
                f"there is no model {model!r:.200} here; there are {', '.join(self.models)}",
                param="model",
                code="model_not_found",
            ) from None

    def meaning_of(self, model: str) -> str:
        """In a line, what writes under this name."""
        return _MEANINGS.get(self.policy_of(model), self.policy_of(model))

    def profile(self, name: str) -> CueProfile:
        """A cue profile by the name that a request gives; never by a path.

        Raises:
            CueProfileError: there is none of that name, or it is of another tokenizer.
        """
        found = self._profiles.get(name)
        if found is None:
            if name not in profiles.available():
                known = sorted({*self._profiles, *profiles.available()})
                raise CueProfileError(
                    f"there is no cue profile {name!r:.100}; there are {', '.join(known)}"
                )
            found = profiles.load(name)
        found.check_fingerprint(self.relay.fingerprint)
        return found
