# make help lists the targets. All that is installed goes to .venv, and again only when pyproject.toml changes.

PYTHON ?= python3
STEPS ?= 200000

.PHONY: help train test lint docs dist lecture from-torch parity examples notebook mutants graph plots pictures browser page-assets clean leak
.NOTPARALLEL:

help:
	@echo "make train   train the makemore MLP on names.txt for $(STEPS) steps; results go to out/"
	@echo "             (200,000 are the lecture's full run; STEPS=20000 for a short one)"
	@echo "make test    lint, then all tests"
	@echo "make lint    ruff and mypy"
	@echo "make lecture run the lecture's notebook, all 200,000 steps, and compare what it prints (some 10 minutes)"
	@echo "make docs    build the documentation site into build/docs/ (index.html); it needs no network"
	@echo "make from-torch   write docs/from-torch.md anew from the table of names"
	@echo "make parity  the errors of float32 results beside torch's, and 5,000 random graphs (some minutes)"
	@echo "make examples   run each script of examples/ briefly; pictures go to out/"
	@echo "make notebook   run notebooks/tour.ipynb and store its outputs in it"
	@echo "make mutants make each gradient wrong in simple ways and see that the parity tests notice (some minutes);"
	@echo "             ONLY=\"Norm kept\" for some of them"
	@echo "make kill    kill a training run 50 times, also while it writes, and see that it ends as one that was not"
	@echo "make fuzz    1,000 damaged files for each reader of files, and options that make no sense (some minutes)"
	@echo "make leak    100,000 steps with the garbage collector off: memory must not grow"
	@echo "make bench   beside torch, numpy by hand, JAX and others, on one thread and on two (some 20 minutes; QUICK=1: 2);"
	@echo "             installs those into .venv-bench; results go to out/bench/"
	@echo "make bench-scale    only how time and memory grow with sizes, table and curves into out/bench-scale/"
	@echo "make scaling how a step of several processes scales, measured and modelled, into out/scaling/ (needs mpirun)"
	@echo "make bench-readme   the newest results into docs/performance/, and what README.md and docs/ say of speed"
	@echo "make graph   the graph of the last step of out/ (or of the first, before any training) as SVG and page, into out/"
	@echo "make plots   losses, activations, gradients and updates of the run in out/, into out/plots/"
	@echo "make pictures   draw the README's pictures anew (the plot among them is of a short run)"
	@echo "make browser Debian's chromium, graphviz and Open MPI, for the tests that need them (apt; without, those are skipped)"
	@echo "make page-assets   build the page's script and style from viz/assets/src (needs node and npm)"
	@echo "make dist    build the wheel and the sdist into dist/"
	@echo "make clean   remove .venv, build files and caches; out/ stays"
	@echo "PYTHON=...   the Python (3.11 or newer) that .venv is made with, now $(PYTHON)"

train: .venv/.train
	@.venv/bin/makemore train --steps $(STEPS)
ifneq ($(STEPS),200000)
	@echo "These were $(STEPS) steps. All 200,000 of the lecture: make train STEPS=200000"
else
	@echo "These were all 200,000 steps of the lecture. A shorter run: make train STEPS=20000"
endif

graph: .venv/.train
	@.venv/bin/makemore graph --svg
	@.venv/bin/makemore graph --page

plots: .venv/.train
	@.venv/bin/makemore plot

pictures: .venv/.test
	@.venv/bin/python docs/pictures.py

test: lint
	.venv/bin/python -m pytest -n 2

mutants: .venv/.test
	@.venv/bin/python -m tests.parity.mutants $(ONLY)

dist: .venv/.test
	@rm -rf build dist
	.venv/bin/python -m build --outdir dist .
	@ls -l dist

docs: .venv/.docs
	@.venv/bin/python -m sphinx -b html -E -W --keep-going -q -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

lecture: .venv/.test
	.venv/bin/python tests/lecture/run.py

from-torch: .venv/.test
	.venv/bin/python docs/from_torch.py

lint: .venv/.test
	.venv/bin/python -m ruff check .
	.venv/bin/python -m mypy

# A hundred steps of each; run by itself, each takes its own default number.
NETWORKS = bigram mlp wavenet bow rnn gru transformer micrograd_mlp

examples: .venv/.train
	@mkdir -p out
	@echo "== examples/scalar.py"; cd out && ../.venv/bin/python ../examples/scalar.py
	@for name in $(NETWORKS); do \
	    echo "== examples/$$name.py"; .venv/bin/python examples/$$name.py --steps 100 || exit 1; done

# The long version of tests/parity: the table of float32 errors, then many more random graphs than make test tries.
parity: .venv/.test
	.venv/bin/python -m tests.parity.accuracy
	MINIGRAD_EXAMPLES=5000 .venv/bin/python -m pytest -n 2 tests/parity

notebook: .venv/.test
	.venv/bin/python notebooks/refresh.py

# Never fails: without them the tests that need one say so and are skipped.
browser:
	@if command -v chromium >/dev/null && command -v dot >/dev/null && command -v mpirun >/dev/null; \
	then echo "chromium, dot and mpirun are there"; \
	elif { [ "$$(id -u)" = 0 ] || command -v sudo >/dev/null; } && command -v apt-get >/dev/null \
	    && as=$$([ "$$(id -u)" = 0 ] || echo "sudo -n") && $$as apt-get update -qq \
	    && DEBIAN_FRONTEND=noninteractive $$as apt-get install -y -qq --no-install-recommends \
	        chromium fonts-liberation graphviz openmpi-bin >/dev/null; \
	then echo "chromium, dot and mpirun are installed"; \
	else echo "chromium, dot and mpirun could not be installed: the tests that need them will be skipped"; fi

page-assets:
	cd viz/assets && npm ci --ignore-scripts --no-audit --no-fund --silent && npm run --silent build

# A few of each are in make test.
.PHONY: kill fuzz
kill: .venv/.test
	MINIGRAD_KILLS=50 .venv/bin/python -m pytest -n 0 tests/models/test_kill.py

fuzz: .venv/.test
	MINIGRAD_FUZZ=1000 .venv/bin/python -m pytest -n 2 tests/fuzz

leak: .venv/.test
	@.venv/bin/python -m tests.test_threads 100000

# The bench has an environment of its own: what it compares with is nothing that the tests need.
.PHONY: bench bench-scale bench-readme
bench: .venv-bench/.made
	@.venv-bench/bin/python -m benchmarks $(if $(QUICK),--quick)

bench-scale: .venv-bench/.made
	@.venv-bench/bin/python -m benchmarks --only scale --only chain --out out/bench-scale $(if $(QUICK),--quick)

.PHONY: scaling
scaling: .venv/.test
	@.venv/bin/python -m benchmarks.processes

bench-readme: .venv/.train
	@.venv/bin/python -m benchmarks.write

.venv-bench/.made: .venv/.made pyproject.toml
	@echo "Installing what the bench compares with into .venv-bench (the first time this takes a few minutes)"
	@.venv-bench/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m venv .venv-bench
	@.venv-bench/bin/python -m benchmarks.install
	@touch $@

clean:
	rm -rf .venv .venv-bench build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis viz/assets/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# .venv/.train, .venv/.docs, .venv/.test: the stamp says that the extra of that name is installed.
.venv/.train .venv/.docs .venv/.test: .venv/.%: .venv/.made pyproject.toml
	@echo "Installing what 'make $*' needs into .venv (the first time this takes a few minutes)"
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

# What can fail is asked before .venv is made, and a half-made one (a full disk, ctrl-C) is removed.
# A .venv that was there before is never removed: one that works is used.
NEW_ENOUGH = import sys; sys.exit(sys.version_info < (3, 11))
AGAIN = make $(firstword $(MAKECMDGOALS)) PYTHON=python3.12

.venv/.made:
	@if .venv/bin/python -c '$(NEW_ENOUGH)' 2>/dev/null && .venv/bin/python -m pip --version >/dev/null 2>&1; \
	then touch $@; exit 0; fi; \
	if [ -e .venv ]; then \
	    echo "error: .venv is there, but no Python 3.11 or newer with pip runs in it." \
	         "Move it away, or remove it with: make clean" >&2; exit 1; fi; \
	if ! $(PYTHON) -c '' 2>/dev/null; then \
	    echo "error: '$(PYTHON)' does not run. Install Python 3.11 or newer, and name it if it has" \
	         "another name: $(AGAIN)" >&2; exit 1; fi; \
	if ! $(PYTHON) -c '$(NEW_ENOUGH)'; then \
	    echo "error: minigrad needs Python 3.11 or newer, and '$(PYTHON)' is" \
	         "$$($(PYTHON) -c 'import platform; print(platform.python_version())')." \
	         "Install a newer one and name it: $(AGAIN)" >&2; exit 1; fi; \
	no_venv="error: '$(PYTHON)' cannot make a virtual environment: its venv or ensurepip module is missing or fails. \
	On Debian or Ubuntu: apt install python3-venv"; \
	if ! $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null; then echo "$$no_venv" >&2; exit 1; fi; \
	trap 'rm -rf .venv; exit 130' INT TERM; \
	echo "Making .venv with $(PYTHON)"; \
	if ! $(PYTHON) -m venv .venv; then rm -rf .venv; echo "$$no_venv" >&2; exit 1; fi; \
	touch $@
