# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Where Python is told to keep no bytecode, as in some containers, each of the many processes of a run
# or a test would compile all that it imports anew: seconds for each.
unexport PYTHONDONTWRITEBYTECODE

EXTRAS := cellpose,kit-ge,omnipose,misic,mediar,annotations,cluster,test,lint,docs

.DEFAULT_GOAL := setup
.PHONY: setup demo test test-slow lint docs bench mini mini-baselines mini-forgetting wheel \
	gpu-wheels gpu gpu-table rehearsal rehearsal-table clean help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## the environment in .venv; every other target does it by itself

# uv installs several times faster than pip, and reads the same index by default; where it is not
# to be had, or does not reach what pip's own settings name, pip does the same, but for the part cpn:
# it asks for an OpenCV with windows, which takes the place of the one without and does not load on
# a machine without OpenGL. uv is told to leave it out.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; choose one with: make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo "Installing about 6 GB into $(VENV)"
	@{ $(BIN)/python -m pip install --quiet --constraint constraints.txt uv && \
		echo "opencv-python; python_version < '3'" > $(VENV)/left-out.txt && \
		$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --constraint constraints.txt \
			--override $(VENV)/left-out.txt --editable '.[$(EXTRAS),cpn]'; } || \
		{ echo "uv cannot install here; pip goes on, which takes longer, without the part cpn"; \
		$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'; }
	@touch $(STAMP)

demo: $(STAMP)  ## weights, embedded data, the comparison, a report to open
	$(BIN)/cellharness weights fetch cyto misic
	$(BIN)/cellharness run configs/demo.yaml --out runs/demo --resume
	$(BIN)/cellharness forgetting configs/demo-forgetting.yaml --out runs/demo-forgetting --resume

# A process a core, but no more than two, each taking up to 6 GB. A file stays in one process, so that
# what its tests share is made once.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 2 --dist loadfile

test: $(STAMP)  ## all tests but the slow ones
	-$(BIN)/cellharness weights fetch cyto misic
	$(PYTEST) -m 'not slow'

test-slow: $(STAMP)  ## the tests that `make test` leaves out
	-$(BIN)/cellharness weights fetch cyto misic
	$(PYTEST) -m slow

lint: $(STAMP)  ## ruff and mypy, as pre-commit runs them
	$(BIN)/pre-commit run --all-files

docs: $(STAMP)  ## docs/ as a site in build/site; a dead link fails
	$(BIN)/mkdocs build --strict

# A bound that is missed stands in the tables too, so they are made whatever pytest says.
bench: $(STAMP)  ## speed against references timed in the same run, into docs/performance.md
	$(BIN)/cellharness weights fetch cyto
	mkdir -p build
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only --benchmark-json build/bench.json; \
	status=$$?; $(BIN)/python tests/bench_table.py build/bench.json && exit $$status

mini: $(STAMP)  ## the comparison on the real images beside the project
	$(BIN)/cellharness weights fetch cyto misic
	$(BIN)/cellharness run configs/mini.yaml --out runs/mini --resume

mini-baselines: $(STAMP)  ## the paper's four baselines there, trained and compared
	$(BIN)/cellharness weights fetch cyto misic
	$(BIN)/cellharness run configs/mini-baselines.yaml --out runs/mini-baselines --resume

mini-forgetting: $(STAMP)  ## what Cellpose forgets there when it is fine-tuned, and what helps
	$(BIN)/cellharness weights fetch cyto
	$(BIN)/cellharness forgetting configs/mini-forgetting.yaml --out runs/mini-forgetting --resume

wheel: $(STAMP)  ## dist/cellharness-*.whl, to install elsewhere
	rm -rf build/lib build/bdist.*  # or the wheel would hold modules that are no more
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

# A machine with a GPU may have no network: there its own Python runs, with what it lacks from wheels/.
WHEELS := wheels
OUT ?= build/gpu
GPU_OPTIONS ?= --minutes 9

gpu-wheels: $(STAMP)  ## wheels/ with what `make gpu` needs on a machine without a network
	.ci/gpu-wheels $(BIN)/python $(WHEELS)

gpu:  ## every GPU test, masks against the CPU's, speed and memory; PYTHON= with torch, OUT= folder
	.ci/gpu $(PYTHON) $(WHEELS) $(OUT) $(GPU_OPTIONS)

gpu-table: $(STAMP)  ## take what `make gpu` measured (OUT=) into docs/performance.md
	$(BIN)/python tests/gpu_table.py $(OUT)/selftest.json

# Beside the project: the images, what is prepared of them and the runs take 20 GB.
REHEARSAL ?= ../rehearsal
REHEARSAL_OPTIONS ?=

rehearsal: $(STAMP)  ## every command on stand-ins for the challenge's data, measured; hours on two cores
	$(BIN)/python tests/rehearsal.py $(REHEARSAL) $(REHEARSAL_OPTIONS)

rehearsal-table: $(STAMP)  ## take what `make rehearsal` measured (REHEARSAL=) into docs/performance.md
	$(BIN)/python tests/rehearsal_table.py $(REHEARSAL)/rehearsal.json

clean:  ## delete the environment, runs and whatever was built
	rm -rf $(VENV) runs build dist $(WHEELS) *.egg-info .pytest_cache .mypy_cache .ruff_cache
