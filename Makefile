# Start with `make demo` and `make test`: they set up what they use, and print what they install.
# Settings: PYTHON (interpreter for the virtual environment), WORKERS (test processes; many tests only wait),
# FOR (duration of fuzz and soak), APT=no (install no Debian packages; tests that need them are skipped and listed).

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
help: ## show this list
	@echo "make TARGET, one of:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(READY) ## a virtual rack: one host dies, is fenced, announced and restored (about a minute)
	@$(BIN)/fenced lab --headless

.PHONY: test
test: debian lint contracts ## everything: style, types, import contracts, all tests
	@$(BIN)/mypy > $(VENV)/types.txt & types=$$!; failed=0; \
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder --durations 10 --durations-min 2 \
	  || failed=$$?; \
	wait $$types || failed=$$?; cat $(VENV)/types.txt; exit $$failed

.PHONY: unit
unit: $(READY) ## only the fast tests, without external programs
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope -m "not integration" $(wildcard $(FAST))

.PHONY: lint
lint: $(READY) ## style
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

.PHONY: types
types: $(READY) ## types (mypy, strict)
	@$(BIN)/mypy

.PHONY: contracts
contracts: $(READY) ## import contracts between the packages
	@$(BIN)/lint-imports

.PHONY: fuzz
fuzz: $(READY) ## random input at every border (FOR=10m); CI runs the same tests briefly
	@$(BIN)/python -m tests.fuzz --for $(FOR)

.PHONY: soak
soak: $(READY) ## state machines, formal model, crash sweep (half an hour), then real and random faults (FOR=10m each)
	@.ci/soak $(BIN)/python $(CORES) $(FOR)

.PHONY: bench
bench: $(READY) ## measurements, as ratios; best on a quiet machine
	@$(BIN)/python -m tests.bench

.PHONY: docs
docs: $(READY) ## the documentation as a site, in build/site (needs npm for the diagrams)
	@$(BIN)/python -m tests.site build

.PHONY: docs-serve
docs-serve: $(READY) ## the same, on http://127.0.0.1:8000 until Ctrl-C
	@$(BIN)/python -m tests.site serve

.PHONY: docs-screenshots
docs-screenshots: $(READY) ## run the lab and take the terminal pictures of docs/pictures again, and those of the page
	@$(BIN)/python -m tests.site screens
	@$(BIN)/python -m tests.page.screenshots

.PHONY: docs-asyncapi
docs-asyncapi: $(READY) ## write docs/asyncapi.json from the tables of docs/interface.md and the code
	@text="$$($(BIN)/python -m tests.house.asyncapi)" && printf '%s\n' "$$text" > docs/asyncapi.json

.PHONY: docs-states
docs-states: $(READY) ## write docs/states.md from the code
	@text="$$($(BIN)/python -m tests.house.states)" && printf '%s\n' "$$text" > docs/states.md

.PHONY: docs-gates
docs-gates: $(READY) ## write the table of docs/gates.md from the code
	@$(BIN)/python -m tests.house.gates

.PHONY: venv
venv: $(READY) ## make the virtual environment with the pinned packages

$(READY): pyproject.toml constraints.txt .ci/make-venv
	@.ci/make-venv "$(PYTHON)" $(VENV)
	@touch $@

.PHONY: packages
packages: debian ## build wheel, source archive, .deb, .rpm and SBOM in dist/ (on Debian 12; tests the .deb with lintian)
	@$(BIN)/python .ci/packages --lintian

.PHONY: debian
debian: $(READY) ## install the Debian packages of the programs that the tests run
	@APT=$(APT) .ci/debian-packages $(BIN)/python

.PHONY: clean
clean: ## remove the virtual environment, caches and builds
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build
	find fenced tests -name __pycache__ -type d -prune -exec rm -rf {} +
