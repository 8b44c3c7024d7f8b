# One way to run things; CI calls the same targets as a person does.
PYTHON ?= python3.11
PYTHON := $(shell command -v $(PYTHON) || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup fix check test test-long schemathesis fuzz up bench compose-up compose-down compose-check

# What running needs, and what developing needs: each installed once, and again when the pins change.
$(VENV)/.runtime: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'installing into $(VENV), once; this takes a minute or so'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded]'
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@echo 'installing what developing needs into $(VENV)'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded,dev]'
	@touch $@

setup: $(VENV)/.dev  ## install everything that developing needs

fix: $(VENV)/.dev  ## format and mend what can be mended (writes)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: $(VENV)/.dev  ## format, lint, types, pure unit tests (never writes)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -m unit

test: $(VENV)/.dev  ## everything
	$(BIN)/python -m pytest

test-long: $(VENV)/.dev  ## the tests of failures in full: half a million events, 20 s without Kafka
	TALLY_TEST_FULL=1 $(BIN)/python -m pytest tests/kafka tests/consumer/test_interleaving.py tests/pipeline

schemathesis: $(VENV)/.dev  ## five minutes of requests made out of our own OpenAPI document
	TALLY_TEST_SCHEMATHESIS_S=300 $(BIN)/python -m pytest tests/pipeline/test_openapi.py

N ?= 100000
fuzz: $(VENV)/.dev  ## requests that are wrong in every way: N of them, of a SEED (a failure tells its own)
	@$(BIN)/python -m tests.fuzz --requests $(N) $(if $(SEED),--seed $(SEED))

up: $(VENV)/.runtime  ## run the whole pipeline on this machine, in the foreground
	@exec $(BIN)/tally up

bench: $(VENV)/.dev  ## what the pipeline does here, as ratios to a baseline of the same run
	$(BIN)/python -m tests.bench

COMPOSE := docker compose -f deploy/compose/compose.yaml

compose-up:  ## run it in Docker, with Kafka and a ClickHouse server, in the background
	@deploy/compose/up.sh

compose-down:  ## stop what compose-up started; what it holds stays (down --volumes deletes it)
	@$(COMPOSE) --profile tools down

compose-check:  ## have Docker's own parser read compose.yaml
	@$(COMPOSE) --profile tools config --quiet && echo 'compose.yaml is good'
