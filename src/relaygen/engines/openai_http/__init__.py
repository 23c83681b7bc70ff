"""Models served elsewhere: vLLM, SGLang, llama-server, anything with OpenAI's completions."""

from relaygen.engines.openai_http.dialects import DIALECTS
from relaygen.engines.openai_http.engine import OpenAIHTTPEngine
from relaygen.engines.openai_http.options import HTTPOptions
from relaygen.engines.openai_http.request_headers import request_headers

__all__ = ["DIALECTS", "HTTPOptions", "OpenAIHTTPEngine", "request_headers"]
