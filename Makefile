# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint bench mini mini-baselines mini-forgetting clean help

help:
	@echo "make demo   environment, weights, embedded data, the comparison, a report to open"
	@echo "make test   environment, weights, all tests"
	@echo "make lint   ruff and mypy, as pre-commit runs them"
	@echo "make bench  speed, as ratios against references timed in the same run"
	@echo "make mini   the comparison on the real images beside the project"
	@echo "make mini-baselines   the paper's four baselines there, trained and compared"
	@echo "make mini-forgetting  what Cellpose forgets there when it is fine-tuned, and what helps"

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; choose one with: make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[cellpose,kit-ge,omnipose,test,lint]'
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/cellharness weights fetch cyto
	$(BIN)/cellharness run configs/demo.yaml --out runs/demo --resume
	$(BIN)/cellharness forgetting configs/demo-forgetting.yaml --out runs/demo-forgetting --resume

test: $(STAMP)
	-$(BIN)/cellharness weights fetch cyto
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/pre-commit run --all-files

bench: $(STAMP)
	$(BIN)/cellharness weights fetch cyto
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only

mini: $(STAMP)
	$(BIN)/cellharness weights fetch cyto
	$(BIN)/cellharness run configs/mini.yaml --out runs/mini --resume

mini-baselines: $(STAMP)
	$(BIN)/cellharness weights fetch cyto
	$(BIN)/cellharness run configs/mini-baselines.yaml --out runs/mini-baselines --resume

mini-forgetting: $(STAMP)
	$(BIN)/cellharness weights fetch cyto
	$(BIN)/cellharness forgetting configs/mini-forgetting.yaml --out runs/mini-forgetting --resume

clean:
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache
