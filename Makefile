PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One more than there are cores: tests wait for other programs part of their time.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
READY := $(VENV)/.ready

.PHONY: setup test lint types floors counterparts pytest demo bench format clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(READY)

# The types take one core for a minute; the programs that Strom is tested against install meanwhile.
test: lint floors
	$(MAKE) -j 2 types counterparts
	$(MAKE) pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/pyright

floors: $(READY)
	$(BIN)/lint-imports

counterparts: $(READY)
	$(BIN)/python -m tests.counterparts

pytest: $(READY)
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

demo: $(READY)
	$(BIN)/strom demo

bench: $(READY)
	$(BIN)/python -m tests.bench

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build *.egg-info
