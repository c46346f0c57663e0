# make demo    set everything up, train on the sample images, open the window on the result
# make test    set everything up, run the whole test suite
# make check   linters and import rules
# make run     open the window
# make install-test   install into a fresh virtual environment and use it from another folder
# make bench   the benchmarks; writes docs/measurements.md

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK = 1
unexport PYTHONDONTWRITEBYTECODE  # each of the hundred processes that the tests start would compile Studio again

.PHONY: demo test check run bench install-test setup system clean

demo: setup
	bash packaging/demo.sh $(BIN)

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: setup
	$(BIN)/ruff format --check studio tests benchmarks resources packaging
	$(BIN)/ruff check studio tests benchmarks resources packaging
	$(BIN)/lint-imports

run: setup
	$(BIN)/studio

install-test: system
	bash packaging/clean_install.sh $(PYTHON)

bench: setup
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python -m benchmarks

setup: $(STAMP)

system:
	bash packaging/install-system-libraries.sh

$(STAMP): pyproject.toml packaging/install-system-libraries.sh
	bash packaging/install-system-libraries.sh
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) build demo-output *.egg-info
