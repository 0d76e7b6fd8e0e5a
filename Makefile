PYTHON ?= python

.PHONY: check test test-long bench docs

check:  ## style and types
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy

test:  ## the quick suite
	$(PYTHON) -m pytest -q -n auto

test-long:  ## everything, minutes
	$(PYTHON) -m pytest -q -n auto -m "long or not long"

bench:  ## rewrites the tables of benchmarks/README.md
	$(PYTHON) -m benchmarks.cold_start
	$(PYTHON) -m benchmarks.maskbench

docs:  ## the table of keywords; the examples in docstrings and README files
	$(PYTHON) -m tests.grammars.test_keyword_table --write
	$(PYTHON) -m pytest -q --doctest-modules structgen
