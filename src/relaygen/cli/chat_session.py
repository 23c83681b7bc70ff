"""The state of a chat: what was said, and how the next answer is written."""

from __future__ import annotations

import sys
import uuid
from dataclasses import replace
from typing import Any

from relaygen.api import SyncRelay
from relaygen.cli.generating import EMBEDDED_NOTICE, check_thinking_switch, generate, summary
from relaygen.cli.options import PolicyName
from relaygen.cli.pair import Writing, generation_options, with_system
from relaygen.cli.scope import looks_like_a_story
from relaygen.cli.terminal import RoleWriter, marks_for, say
from relaygen.errors import CueProfileError, RelayGenError
from relaygen.runner import Result
from relaygen.types import FinishReason
from relaygen.views.result_json import result_object


class ChatSession:
    """One chat with one pair.

    Attributes:
        messages: the turns so far, without the system message.
        turns: a result for each answer.
        writing: options of the next answer.
        failed: whether any answer failed.
    """

    def __init__(self, relay: SyncRelay, writing: Writing, *, embedded: bool) -> None:
        self.messages: list[dict[str, str]] = []
        self.turns: list[Result] = []
        self.writing = writing
        self.failed = False
        self._relay = relay
        self._tell_scope = embedded
        self._id = uuid.uuid4().hex
        check_thinking_switch(relay, generation_options(relay, writing))

    def answer(self, question: str) -> None:
        """Writes one answer; what goes wrong is told, and the chat goes on."""
        if self._tell_scope and not looks_like_a_story(question):
            say(EMBEDDED_NOTICE)
            self._tell_scope = False
        writer = RoleWriter(sys.stdout, marks_for(sys.stdout))
        turn = [*self.messages, {"role": "user", "content": question}]
        # One id for all turns: the engines find what they have read already.
        options = generation_options(self._relay, self.writing, generation_id=self._id)
        try:
            messages = with_system(self.writing.system, turn)
            outcome = generate(self._relay, messages, options, writer.write)
        except RelayGenError as error:
            self.failed = True
            say(str(error))
            return
        writer.end()
        result = outcome.result
        if outcome.interrupted or result is None:
            say("cancelled; the question is forgotten")
        elif result.finish_reason is FinishReason.ERROR:
            self.failed = True
            say(f"the generation broke off: {result.error}; ask again")
        else:
            self.turns.append(result)
            say(summary(result, self.writing.seed))
            if result.answer.strip():
                self.messages = [*turn, {"role": "assistant", "content": result.answer}]
            else:
                say("there is no answer in it, so the question is forgotten")

    def reset(self) -> None:
        """Forgets the turns, not the settings."""
        self.messages, self.turns = [], []
        self._id = uuid.uuid4().hex

    def use(self, **changes: Any) -> None:
        """Changes options of the next answers."""
        self.writing = replace(self.writing, **changes)

    def use_policy(self, name: str) -> None:
        """Changes who writes.

        Raises:
            CueProfileError: the policy needs cues, and there are none.
        """
        policy = PolicyName(name)
        needs_cues = policy in (PolicyName.RELAY, PolicyName.PAPER)
        if needs_cues and self.writing.cues is None and self.writing.profile is None:
            raise CueProfileError("there are no cues to switch at: start the chat with --cues")
        self.use(policy=policy.value)

    def saved(self) -> dict[str, Any]:
        """The chat as plain data."""
        from relaygen import __version__

        return {
            "relaygen": __version__,
            "models": {str(r): m.name for r, m in self._relay.relay.models.items()},
            "policy": self.writing.policy,
            "seed": self.writing.seed,
            "messages": with_system(self.writing.system, self.messages),
            "turns": [result_object(result) for result in self.turns],
        }
