# Thin names over the real commands. `make demo` and `make test` do all set-up on a fresh machine.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo demo-packages check test test-slow test-faults coverage docs dev down lint format bench clean

VENV := .venv
TOOLS := .tools
# uv from the PATH, else one of our own in .tools (needs python3 with venv only).
UV := $(shell command -v uv 2>/dev/null || echo $(TOOLS)/bin/uv)
# The project's environment is always .venv, whatever environment the shell has activated.
export UV_PROJECT_ENVIRONMENT := $(VENV)
unexport VIRTUAL_ENV
# Tests start many processes; without stored bytecode each compiles every module again.
unexport PYTHONDONTWRITEBYTECODE
RUN := $(VENV)/bin/

# What to show: a log instead of the simulated cohort, the cohort's size, how many weeks, where the page is.
DATA ?=
STUDENTS ?= 300
WEEKS ?=
PORT ?= 3000
# The image's name.
IMAGE ?= seedtest-analytics
# How many materialisations the fault suite kills something in.
KILLS ?= 50
# One worker a core; tests of a module stay together because they share servers and compiled programs.
PYTEST_ARGS ?= -n 2 --dist loadscope --no-loadscope-reorder

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(TOOLS)/bin/uv:
	@python3 -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check uv

.PHONY: install install-dev system-packages
install: $(if $(findstring $(TOOLS),$(UV)),$(TOOLS)/bin/uv) ## the platform into .venv, from the lock file
	@echo "installing the locked packages into $(VENV)"
	@$(UV) sync --frozen --quiet --no-default-groups --inexact

install-dev: $(if $(findstring $(TOOLS),$(UV)),$(TOOLS)/bin/uv) ## the same with the development tools
	$(UV) sync --frozen --quiet

system-packages: ## Debian packages: R, its packages, a C++ compiler
	scripts/install-system-packages

demo-packages: # R, where it may be installed
	@scripts/install-system-packages --demo

demo: ## install, load data, materialise the whole graph, open the UI on 127.0.0.1
	@$(MAKE) --no-print-directory --jobs 2 install demo-packages
	@$(RUN)seedtest demo $(if $(DATA),--data "$(DATA)",--students $(STUDENTS)) $(if $(WEEKS),--weeks $(WEEKS)) --port $(PORT)

dev: install-dev ## the UI over what is there
	$(RUN)seedtest up --port $(PORT)

down: ## stop the UI, the daemon and the embedded PostgreSQL
	$(RUN)seedtest down

lint: install-dev ## format, rules, types, layers, SQL, prose
	$(RUN)ruff format --check .
	$(RUN)ruff check .
	$(RUN)mypy
	$(RUN)lint-imports
	$(RUN)sqlfluff lint --disable-progress-bar sql
	$(RUN)python scripts/prose.py

docs: install-dev ## the documentation site, in .site/site
	$(RUN)python scripts/site.py

format: install-dev ## write the format
	$(RUN)ruff format .
	$(RUN)ruff check --fix .

check: lint docs ## lint, types and the quick tests: no R, no database
	$(RUN)pytest -q -m "not (slow or faults or long or database or stan or r or browser)" $(PYTEST_ARGS)

test: system-packages lint docs ## everything that CI runs
	$(RUN)pytest -m "not (slow or faults)" $(PYTEST_ARGS)

coverage: system-packages install-dev ## the same tests with measured coverage; fails below the floor in pyproject.toml
	$(RUN)pytest -m "not (slow or faults)" --cov --cov-report=term $(PYTEST_ARGS)

test-slow: system-packages install-dev ## the long statistical studies
	$(RUN)pytest -m slow $(PYTEST_ARGS)

.PHONY: image try-image
image: ## builds the image $(IMAGE) by docker or podman
	deploy/build-image $(IMAGE)

try-image: ## runs the image as a cluster does: a small cohort and its reports
	deploy/try-image $(IMAGE)

test-faults: install-dev ## kills at random instants and other faults, docs/faults.md; KILLS=50
	$(RUN)pytest -v -s tests/faults --kills $(KILLS)

.PHONY: test-month
test-month: system-packages install-dev ## four weeks of operation with a simulated clock, docs/operations.md
	$(RUN)pytest -v -s tests/month

bench: install-dev ## the benchmarks, each prints its table
	for name in pipeline load sync transfer irt item_bank growth risk; do $(RUN)python -m benchmarks.$$name --quick || exit 1; done

clean: ## remove environments and caches (not DAGSTER_HOME)
	rm -rf $(VENV) $(TOOLS) .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .site .coverage*
