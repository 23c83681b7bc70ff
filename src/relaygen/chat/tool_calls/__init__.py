"""Tool calls in the text of a model: each family's format is one small file here."""

from relaygen.chat.tool_calls.deepseek import DEEPSEEK, DEEPSEEK_BARE
from relaygen.chat.tool_calls.format import CallParts, Offered, ToolCall, ToolCallFormat
from relaygen.chat.tool_calls.glm import GLM
from relaygen.chat.tool_calls.hermes import HERMES
from relaygen.chat.tool_calls.history import CallHistory
from relaygen.chat.tool_calls.mistral import MISTRAL
from relaygen.chat.tool_calls.parser import ToolCallParser
from relaygen.chat.tool_calls.qwen_xml import QWEN_XML, SEED_XML

__all__ = [
    "DEEPSEEK",
    "DEEPSEEK_BARE",
    "FORMATS",
    "HERMES",
    "CallHistory",
    "CallParts",
    "Offered",
    "ToolCall",
    "ToolCallFormat",
    "ToolCallParser",
    "detect_tool_calls",
]

FORMATS: tuple[ToolCallFormat, ...] = (
    HERMES,
    DEEPSEEK,
    DEEPSEEK_BARE,
    QWEN_XML,
    SEED_XML,
    GLM,
    MISTRAL,
)


def detect_tool_calls(template: str) -> ToolCallFormat | None:
    """The format that a chat template teaches its model; None if it is not one of `FORMATS`.

    Args:
        template: source of the chat template.
    """
    for known in FORMATS:
        if all(mark in template for mark in known.marks) and not any(
            mark in template for mark in known.foreign_marks
        ):
            return known
    return None
