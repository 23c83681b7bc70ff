"""Chat templates, their encoding to tokens, and reasoning tags."""

from relaygen.chat.encoding import ChatEncoder, PromptTokens, encode_chat
from relaygen.chat.messages import ROLES, Message
from relaygen.chat.reasoning import KNOWN_TAGS, FirstStage, ReasoningFormat
from relaygen.chat.template import ChatTemplate
from relaygen.chat.understood import TemplateReport, understood

__all__ = [
    "KNOWN_TAGS",
    "ROLES",
    "ChatEncoder",
    "ChatTemplate",
    "FirstStage",
    "Message",
    "PromptTokens",
    "ReasoningFormat",
    "TemplateReport",
    "encode_chat",
    "understood",
]
