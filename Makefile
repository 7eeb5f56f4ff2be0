# Every target sets up what it needs in ${XDG_CACHE_HOME:-~/.cache}/wan27-video.
# COMFYUI_DIR=/path/to/ComfyUI make …   uses your own installation instead, and installs nothing into it.
PYTHON ?= python3
IN_HOST = $(PYTHON) -m tests.host
PYTEST_ARGS ?=
COMPAT ?=
WINDOWS ?=
WORKERS ?= 2

.PHONY: help demo start test lint format soak bench compat windows windows-comfyui setup clean distclean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 24

demo:  ## run the example workflow in a real ComfyUI, offline, and print what came out
	@$(IN_HOST) python -m tests.demo

start:  ## a ComfyUI with the pack on 127.0.0.1:8188 (PORT=… for another port) to try by hand; keeps its files
	@$(IN_HOST) python -m tests.host.start

test: lint  ## lint, types and every test but soak (PYTEST_ARGS='-k …' to choose; WORKERS=0: one after the other)
	@$(IN_HOST) --browser python -m pytest -m "not soak" -n $(WORKERS) $(PYTEST_ARGS)

lint:  ## ruff, mypy, and the structure of nodes/
	@$(IN_HOST) python -m ruff check .
	@$(IN_HOST) python -m ruff format --check .
	@$(IN_HOST) python -m mypy
	@$(PYTHON) -m tests.house

format:  ## sort the imports and format the code with ruff
	@$(IN_HOST) python -m ruff check --fix .
	@$(IN_HOST) python -m ruff format .

soak:  ## the long fault, kill and fuzz tests
	@$(IN_HOST) python -m pytest -m soak $(PYTEST_ARGS)

bench:  ## measure decoding, encoding and the ledger
	@$(IN_HOST) python -m tests.bench

compat:  ## the unit tests on each installed Python, with the lowest and newest packages (COMPAT='3.10 --lowest' for a part of it)
	@$(PYTHON) -m tests.compat $(COMPAT)

windows:  ## the unit tests on a Windows Python, under wine (WINDOWS=--smoke: without torch; WINDOWS='-- -k lock': chosen ones)
	@$(PYTHON) -m tests.windows $(WINDOWS)

windows-comfyui:  ## the ComfyUI tests against a ComfyUI on a Windows Python, under wine
	@$(PYTHON) -m tests.windows --comfyui $(WINDOWS)

setup:  ## only set up ComfyUI, its packages, the tools and Chromium, and print where they are
	@$(IN_HOST) --browser

clean:  ## remove what the tools and tests left in this checkout
	rm -rf out build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## also remove what was set up in the cache; the next run sets it up again
	@$(PYTHON) -m tests.host.forget
