# Everything a newcomer needs: `make demo` and `make test` set up what they use, and say what they install.
# Settings: PYTHON (the interpreter of the virtual environment), WORKERS (processes of the tests, many of which wait), FOR (how long to soak),
# APT=no (install no Debian packages; tests that need them are skipped and named at the end).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
unexport PYTHONDONTWRITEBYTECODE # containers often set it; the tests start our programs hundreds of times

PYTHON ?= python3
WORKERS ?= 4
CORES := $(shell nproc)
FOR ?= 10m
APT ?= yes
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
FAST := tests/house tests/core tests/golden tests/config tests/telemetry tests/journal

.PHONY: help
help: ## this list
	@echo "make TARGET, one of:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(READY) ## a virtual rack: one host dies, is fenced, announced and comes back (about a minute)
	@$(BIN)/fenced lab --headless

.PHONY: test
test: debian lint types contracts ## everything that must hold: style, types, import contracts, all tests
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --durations 10 --durations-min 2

.PHONY: unit
unit: $(READY) ## the fast tests alone, without programs of others
	@$(BIN)/python -m pytest -n $(WORKERS) -m "not integration" $(wildcard $(FAST))

.PHONY: lint
lint: $(READY) ## style
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

.PHONY: types
types: $(READY) ## types, strictly
	@$(BIN)/mypy

.PHONY: contracts
contracts: $(READY) ## who may import whom
	@$(BIN)/lint-imports

.PHONY: fuzz
fuzz: $(READY) ## rubbish at every border, for a while (FOR=10m); CI does a short run of the same tests
	@$(BIN)/python -m tests.fuzz --for $(FOR)

.PHONY: soak
soak: $(READY) ## state machines, formal model and crash sweep whole (half an hour), then random faults in virtual time (FOR=10m)
	@.ci/soak $(BIN)/python $(CORES) $(FOR)

.PHONY: bench
bench: $(READY) ## measurements, as ratios; a quiet machine gives the better ones
	@$(BIN)/python -m tests.bench

.PHONY: docs-states
docs-states: $(READY) ## write docs/states.md from the code
	@text="$$($(BIN)/python -m tests.house.states)" && printf '%s\n' "$$text" > docs/states.md

.PHONY: venv
venv: $(READY) ## the virtual environment with the pinned packages

$(READY): pyproject.toml constraints.txt .ci/make-venv
	@.ci/make-venv "$(PYTHON)" $(VENV)
	@touch $@

.PHONY: debian
debian: $(READY) ## the Debian packages of the programs that the tests run for real
	@APT=$(APT) .ci/debian-packages $(BIN)/python

.PHONY: clean
clean: ## remove what was made here
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build
	find fenced tests -name __pycache__ -type d -prune -exec rm -rf {} +
