# The two commands: `make demo` shows the example project, `make test` runs everything that needs no server.
# Both need Python 3.10 to 3.13 and make, and install into .venv alone.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
LOG ?=
SEED ?=
BENCHMARKS ?= routed planning scatter merging grouped streaming sinks

.DEFAULT_GOAL := help
.PHONY: help demo stack venv bench test tests test-servers server-tests test-mysql reliability lint format types layers wheel clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 14

# ---- the virtual environment -----------------------------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' \
		|| { echo "Python 3.10 to 3.13 is needed, $(PYTHON) is $$($(PYTHON) -V 2>&1): make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.test-installed: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,dev,example]'
	@touch $@

# ---- the example project ---------------------------------------------------------------------------------------

venv: $(VENV)/.demo-installed  ## the virtual environment with the package and what the example needs

$(VENV)/.demo-installed: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[example]'
	@touch $@

demo: venv  ## the example on 4 SQLite shards, on 127.0.0.1:8000 until Ctrl-C; LOG=path, ARGS=--no-serve
	$(BIN)/python example_project/demo.py $(if $(LOG),--log '$(LOG)') $(ARGS)

# ---- tests and checks ------------------------------------------------------------------------------------------

test: tests lint types layers  ## everything that needs no server, then lint, types and layers

# The example has settings of its own, and so a run of its own.
tests: $(VENV)/.test-installed  ## the tests alone; ARGS go to pytest, SEED repeats a placement of keys
	$(BIN)/python -m pytest $(if $(SEED),--shards-seed=$(SEED)) $(ARGS)
	$(BIN)/python -m pytest $(if $(SEED),--shards-seed=$(SEED)) tests/example

$(VENV)/.servers-installed: $(VENV)/.test-installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,mysql,aws]' 'moto>=5'
	@touch $@

$(VENV)/.stack-installed: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[example,stack,screenshot]'
	@touch $@

# mysqlclient compiles against libmariadb-dev (Debian: with pkg-config and gcc).
stack: $(VENV)/.stack-installed  ## the example on MariaDB clusters, PostgreSQL, memcached and MiniStack until Ctrl-C
	$(BIN)/python -m tests.servers stack $(ARGS)

# Starts the servers itself, in a temporary folder, and ends them; `python -m tests.servers up` keeps them.
test-servers: $(VENV)/.servers-installed  ## the tests on MariaDB clusters that fail over; needs mariadbd
	$(BIN)/python -m tests.servers run $(BIN)/python -m pytest tests/clusters $(ARGS)

# What says something else on each kind of server; .ci/run asks for it.
SERVER_TESTS = tests/sharded tests/test_directory.py tests/test_ids.py tests/test_mapping_bucket.py tests/test_mapping_directory.py \
	tests/test_commands_django.py tests/test_queue_claims.py tests/test_checks_databases.py tests/test_checks_models.py \
	tests/test_checks_keys.py tests/test_rollout_servers.py
server-tests:
	@echo $(SERVER_TESTS)

# Debian's releases have no MySQL: it is fetched from sid into a folder of its own, and not installed.
test-mysql: $(VENV)/.servers-installed  ## the tests of shards and the oracle on a real MySQL, which is fetched; needs apt
	$(BIN)/python -m tests.servers mysql run $(BIN)/python -m pytest -m "not sqlite_only" $(SERVER_TESTS) $(ARGS)
	SHARDS_TRANSACTIONS=two_phase $(BIN)/python -m tests.servers mysql run $(BIN)/python -m pytest -m "not sqlite_only" \
		tests/sharded/test_transactions.py tests/sharded/test_atomic_requests.py $(ARGS)
	SHARDS_DEFAULT=server $(BIN)/python -m tests.servers mysql run $(BIN)/python -m pytest \
		tests/properties/test_oracle.py tests/properties/test_judge.py $(ARGS)

# 100 failovers of three clusters, then 1,000 kills of clients on each kind of servers: for a machine with nothing else to do.
reliability: $(VENV)/.servers-installed  ## count failovers and kills anew into docs/reliability.md; needs mariadbd and postgres
	$(BIN)/python -m tests.servers run --clusters 3 \
		$(BIN)/python -m tests.clusters.reliability --failovers 100 --page docs/reliability.md
	$(BIN)/python -m tests.clusters.kills --kills 1000 --page docs/reliability.md

lint: $(VENV)/.test-installed  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.test-installed  ## let ruff mend and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.test-installed  ## mypy --strict over the package
	$(BIN)/mypy

layers: $(VENV)/.test-installed  ## imports go down the floors only
	$(BIN)/lint-imports

bench: $(VENV)/.test-installed  ## what the logical database costs; BENCHMARKS=routed for one, ARGS=--json
	@for name in $(BENCHMARKS); do \
		printf '\n%s\n' "$$name"; $(BIN)/python -m benchmarks.$$name $(ARGS) || exit 1; \
	done

wheel: $(VENV)/.test-installed  ## build the wheel, look into it, and test what it installs
	.ci/wheel $(BIN)/python

clean:  ## remove what was built
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis htmlcov
