# The two commands are `make lab` and `make test`; the rest is what they are made of.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
ROOT := $(shell if [ "$$(id -u)" = 0 ]; then echo yes; elif sudo -n true 2>/dev/null; then echo sudo; else echo no; fi)
SUDO := $(if $(filter sudo,$(ROOT)),sudo,)
PACKAGES := python3-venv
ifneq ($(ROOT),no)
PACKAGES += postgresql faketime mtools dosfstools ntfs-3g
endif

.PHONY: help lab lab-down venv packages test test-long lint types imports check bench breakouts clean

help:
	@echo "make lab        a server and ten PCs on this machine, paired and converged"
	@echo "make lab-down   take them down; nothing is left"
	@echo "make test       set up and run every test (make test-long: the long ones too)"
	@echo "make check      lint, types, import rules"
	@echo "make breakouts  try every way out of a locked PC, each with its control (root; CLASSES=\"'print dialogs' keys\": some)"
	@echo "make bench      measure side by side with the peers (docs/performance.md)"

ifeq ($(ROOT),no)
lab: venv
	$(VENV)/bin/python -m tests.lab.loopback up

lab-down: venv
	$(VENV)/bin/python -m tests.lab.loopback down
else
lab:
	$(SUDO) $(PYTHON) -m tests.lab.demo up

lab-down:
	$(SUDO) $(PYTHON) -m tests.lab.demo down
endif

venv: $(VENV)/ready

$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) packages
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[agent,controller,dev]'
	touch $@

# Only what is missing is installed, and only where we may.
packages:
	@for package in $(PACKAGES); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' && continue; \
	  if [ "$(ROOT)" = no ]; then echo "please install $$package (sudo apt-get install $$package)"; continue; fi; \
	  echo "installing $$package"; \
	  $(SUDO) sh -c "(test -d /var/lib/apt/lists/partial && ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1) || apt-get -qq update"; \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$package >/dev/null || exit 1; \
	done

test: venv packages
	$(VENV)/bin/pytest -m "not long"

test-long: venv packages
	$(VENV)/bin/pytest

lint: venv
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: venv
	$(VENV)/bin/mypy

imports: venv
	$(VENV)/bin/lint-imports

check: lint types imports

breakouts: venv packages
	$(SUDO) $(VENV)/bin/python -m tests.lab.breakouts $(CLASSES)

bench: venv packages
	$(VENV)/bin/python -m benchmarks

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache
