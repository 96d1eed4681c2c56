PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two processes, each test file in one of them, in the order that tests/conftest.py gives; every test uses one
# thread.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: quickstart test test-all test-gpu test-oldest test-newest docs clean

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

# On one CUDA device, in one process and in ten minutes: tests, then figures in build/gpu/gpu.html. Needs
# PyTorch's CUDA build in $(VENV).
test-gpu: $(VENV)/.installed
	$(BIN)/pytest -m gpu
	$(BIN)/python -m benchmarks.gpu

# The lower bounds of pyproject.toml, and the newest releases: what users may have. Not part of CI.
test-oldest: constraints-oldest.txt
	test -x $(VENV)-oldest/bin/python || $(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/pip install --quiet --constraint constraints-oldest.txt torch
	$(VENV)-oldest/bin/pip install --quiet --constraint constraints-oldest.txt --editable ".[dev]"
	$(VENV)-oldest/bin/pytest $(PARALLEL)

test-newest:
	test -x $(VENV)-newest/bin/python || $(PYTHON) -m venv $(VENV)-newest
	$(VENV)-newest/bin/pip install --quiet --upgrade --upgrade-strategy eager torch
	$(VENV)-newest/bin/pip install --quiet --upgrade --upgrade-strategy eager --editable ".[dev]"
	$(VENV)-newest/bin/pytest $(PARALLEL)

# A site of docs/ and the docstrings, in build/site; a warning fails it.
docs: $(VENV)/.installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) $(VENV)-oldest $(VENV)-newest build *.egg-info .mypy_cache .ruff_cache .pytest_cache
