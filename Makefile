# Needs python3 (3.11 or later) and make; everything else goes into $(VENV).
#
#   make test    install what the tests need, run them        make test ARGS="tests/dims -x"
#   make test-emulated   the tests of code for other processors, under Debian's qemu-user
#   make test-twin       the tests once more, without machine code between Python and the kernels
#   make test-long       the tests that take minutes
#   make demo    install what the demo needs, run it
#   make lint    style, types, order of imports
#   make bench   install jitorch's peers, measure it beside them    make bench ARGS="--only W3 --quick"

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
ARGS ?=

RUN := $(VENV)/bin/python
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/jitorch-onnx/pyproject.toml plugins/jitorch-c/pyproject.toml))
PROJECTS := Makefile pyproject.toml $(PLUGINS:%=%/pyproject.toml)
INSTALL := $(RUN) -m pip install --quiet --disable-pip-version-check

.PHONY: test test-twin test-emulated test-long demo lint bench clean
.DELETE_ON_ERROR:

test: $(VENV)/.installed-test
	$(RUN) -m pytest -n $(WORKERS) $(ARGS)

test-twin: $(VENV)/.installed-test
	JITORCH_NATIVE=0 $(RUN) -m pytest -n $(WORKERS) $(ARGS)

test-emulated: $(VENV)/.installed-test
	$(RUN) -m pytest -m emulated $(ARGS)

test-long: $(VENV)/.installed-test
	$(RUN) -m pytest -m long $(ARGS)

demo: $(VENV)/.installed-demo
	$(RUN) examples/digits.py $(ARGS)

lint: $(VENV)/.installed-test $(VENV)/.installed-dev
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m pyright --pythonpath $(RUN)
	$(VENV)/bin/lint-imports

bench: $(VENV)/.installed-bench
	$(RUN) -m benchmarks $(ARGS)

# Each extra is installed once, and again when a pyproject.toml changes.
$(VENV)/.installed-%: $(VENV)/.made $(PROJECTS)
	$(INSTALL) --editable '.[$*]' $(PLUGINS:%=--editable %)
	@touch $@

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "jitorch needs Python 3.11 or later; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade pip
	@touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
