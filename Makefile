PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two processes, each test file in one of them; every test uses one thread.
PARALLEL := -n 2 --dist loadfile

.PHONY: quickstart test test-all clean

# The stamp is older than the files that decide what is installed only when something has to be installed.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

quickstart: $(VENV)/.installed
	$(BIN)/movinas search

test: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest $(PARALLEL)

test-all: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -m "" $(PARALLEL)

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
