# tpainn_lite: `make lab` opens the course; `make` alone lists what else there is.
PYTHON      ?= python3
TORCH       ?= cpu
CONSTRAINTS ?= constraints.txt
JOBS        ?= 2

py    := .venv/bin/python
ready := .venv/.ready
pins  := $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
torch := torch$(if $(CONSTRAINTS),==$(shell sed -n 's/^torch==//p' $(CONSTRAINTS) /dev/null))

# On Linux pip's plain torch brings several GB of CUDA packages, so the CPU build is looked for first: where pip looks
# anyway, then with uv, which knows where PyTorch keeps it. TORCH=any takes whatever pip takes.
define torch_for_cpu
$(py) -m pip install $(pins) "$(torch)+cpu" 2>/dev/null || { \
  echo "pip finds no CPU build of $(torch); trying uv ..."; \
  $(py) -m pip install --quiet uv && \
  $(py) -m uv pip install --python $(py) --torch-backend=cpu $(pins) "$(torch)"; \
} || { \
  printf '%s\n' "No CPU build of $(torch) was found. Two ways on:" \
    "  make $(goal) TORCH=any            whatever pip takes: on Linux with CUDA, several GB" \
    "  make $(goal) TORCH='<pip args>'   for example a wheel you have: TORCH=./torch-2.13.0-....whl"; \
  exit 1; }
endef
goal := $(or $(firstword $(MAKECMDGOALS)),lab)

ifeq ($(TORCH)$(shell uname -s),cpuLinux)
install_torch = $(torch_for_cpu)
else ifneq ($(filter cpu any,$(TORCH)),)
install_torch = $(py) -m pip install $(pins) "$(torch)"
else
install_torch = $(py) -m pip install $(pins) $(TORCH)
endif

# Jupyter wants a flag when it runs as root, as in a container.
as_root := $(if $(filter 0,$(shell id -u)),--allow-root)

.DEFAULT_GOAL := help
.PHONY: help lab live tour data-page site site-students check-site slides quiz handout bench engine test test-slow test-browser lint format dist env clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile
	@echo "Options: PYTHON=python3.12 (any >= 3.11)   TORCH=any (also CUDA builds)   CONSTRAINTS= (newest versions)   JOBS=2 (tests at a time)"
	@echo "To leave .venv as it is, though pyproject.toml is newer: make -o .venv/.ready slides"

lab: $(ready)  ## install what is missing, then open the course in JupyterLab
	PATH="$(CURDIR)/.venv/bin:$$PATH" $(py) -m jupyterlab $(as_root) --LabApp.default_url=/lab/tree/notebooks/00_tour.ipynb

live: $(ready)  ## build/live.html: a molecule that moves in any browser, with the number of DFT labels on a slider
	$(py) docs/live_page.py

tour: $(ready)  ## run the tour without a browser: build/tour.html and its table of results
	$(py) docs/build_page.py notebooks/00_tour.ipynb build/tour.html

data-page: $(ready)  ## build/data.html: interactive figures of what is in the shipped DFT sets
	$(py) docs/data_page.py build/data.html

site: $(ready)  ## build/site/: the course as a web site that needs no network (minutes the first time, then seconds)
	@command -v chromium >/dev/null || { echo "No chromium here, for pictures of the figures. On Debian: apt-get install chromium"; \
	  echo "Without it: $(py) docs/build_site.py $(students) --no-pictures"; exit 1; }
	@$(py) -c "import playwright" 2>/dev/null || $(py) -m pip install $(pins) playwright
	$(py) docs/build_site.py $(students)

site-students: students = --students
site-students: site  ## build/site-students/: the same without the pages for teachers, which have the answers of the quizzes

check-site: site  ## open every page of it in a headless Chromium: figures, links, phone, accessibility (npm fetches axe)
	$(py) tests/browser/check_site.py

slides: $(ready)  ## build/slides/: four lectures as slides that need no network (wants Chromium, for their figures)
	@$(py) -c "import sys; from importlib.util import find_spec; sys.exit(not find_spec('sphinx_revealjs'))" || $(py) -m pip install --no-deps sphinx-revealjs  # carries reveal.js
	@$(py) -c "import playwright" 2>/dev/null || $(py) -m pip install $(pins) playwright
	$(py) docs/build_slides.py

quiz: $(ready)  ## build/quiz.md: the quizzes of the module on a sheet without answers; build/quiz.gift: for Moodle, with them
	$(py) docs/quiz.py

handout: $(ready)  ## build/handout.zip: the course for a class, without solutions, tests and the pages for teachers
	$(py) docs/handout.py

bench: $(ready)  ## speed compared with SchNetPack and graph-pes (seven minutes; the first time it fetches both)
	$(py) benchmarks/speed.py
	$(py) docs/speed_picture.py
	$(py) docs/readme_numbers.py

test: lint  ## lint, unit and physics tests, and every notebook from top to bottom
	OMP_NUM_THREADS=1 $(py) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --nbmake --nbmake-timeout=300 notebooks tests

test-slow: $(ready)  ## all generated attacks, kills at random moments, and DFT labels made again (half an hour)
	$(py) -m pytest -m slow tests

test-browser: $(ready)  ## run every notebook in JupyterLab in a headless Chromium, and look at the pictures
	@command -v chromium >/dev/null || { echo "No chromium here. On Debian: apt-get install chromium"; exit 1; }
	@$(py) -c "import playwright" 2>/dev/null || $(py) -m pip install $(pins) playwright
	$(py) tests/browser/check_notebooks.py
	$(py) tests/browser/check_live.py
	$(py) tests/browser/check_explain.py

engine: $(ready)  ## tpainn_lite/page/engine.wasm from its C source, the same bytes on every machine
	$(py) -m tpainn_lite.page.build

lint: $(ready)  ## ruff, notebooks too; type hints by mypy
	$(py) -m ruff check .
	$(py) -m ruff format --check .
	$(py) -m mypy

format: $(ready)  ## ruff's fixes and layout; outputs of notebooks stripped
	$(py) -m ruff check --fix .
	$(py) -m ruff format .
	$(py) -m jupyter nbconvert --log-level=WARN --clear-output --inplace notebooks/*.ipynb

dist: $(ready)  ## wheel and sdist in dist/, with the data inside; checked, and the wheel tried
	@$(py) -c "import build, twine" 2>/dev/null || $(py) -m pip install $(pins) build twine
	rm -rf dist build/wheel
	$(py) -m build
	$(py) -m twine check --strict dist/*
	$(py) -m pip install --quiet --no-deps --target build/wheel dist/*.whl
	cd build/wheel && ../../$(py) -c "import tpainn_lite as tp; print(tp.__file__, len(tp.load_water('valid')), \
	  len([getattr(tp, name) for name in tp.__all__]), 'public names')" && ../../$(py) -m tpainn_lite.cli --help | head -3

env: $(ready)  ## the environment in .venv and nothing else (`rm -r .venv` to start afresh)

clean:  ## remove what was built, keep .venv
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -r {} +

$(ready): pyproject.toml $(CONSTRAINTS)
	@$(py) -m pip --version >/dev/null 2>&1 || { \
	  $(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { \
	    echo "tpainn_lite needs Python 3.11 or newer; PYTHON=$(PYTHON) is: `$(PYTHON) --version 2>&1`"; \
	    echo "Name another one, for example: make $(goal) PYTHON=python3.12"; exit 1; }; \
	  echo "Making .venv: once, some minutes, about 2.7 GB on disk."; \
	  $(PYTHON) -m venv .venv || { \
	    echo "No environment could be made. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }; }
	@echo "PyTorch first ..."
	@$(install_torch)
	$(py) -m pip install $(pins) -e ".[batched,dev,dft,docs,engines,gfnff,notebooks,test,xtb]"
	$(py) binder/warm.py
	@touch $@
