# `make demo` and `make test` do all set-up themselves: they need Python 3.11 or newer, and nothing installed by hand.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint docs bench clean

# The environment is made anew when the project's dependencies change.
$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: $(VENV)/.ready
	$(BIN)/featx demo

# Whole files of tests side by side, one process for each core: what a file prepares is prepared once.
test: $(VENV)/.ready lint
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: $(VENV)/.ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# The pages of docs/ and the reference, as a site in build/site. Warnings are errors; tests/test_site.py does the same.
docs: $(VENV)/.ready
	$(BIN)/mkdocs build

bench: $(VENV)/.ready
	$(BIN)/python benchmarks/throughput.py --write docs/benchmarks.md

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
