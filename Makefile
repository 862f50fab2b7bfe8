PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-all check bench docs findings examples published constraints wheel-check lowest gpu gpu-quick

demo: .venv/installed
	$(BIN)/lab study run star-quick
	$(BIN)/lab report star-quick

test: .venv/installed
	$(BIN)/pytest -n 2

test-all: .venv/installed
	$(BIN)/pytest -n 2 -m "not gpu"

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

wheel-check: .venv/installed
	$(BIN)/python -u tests/wheel/check_wheel.py

# Runs the fast tests with every dependency at the lowest version that pyproject.toml allows.
lowest: .venv/installed
	$(BIN)/python -m tests.slow.lowest_versions

bench: .venv/installed
	$(BIN)/lab bench data
	$(BIN)/lab bench loss

# Tests the lab on this machine's CUDA device and measures it, in at most nine minutes.
gpu: .venv/installed
	$(BIN)/python -m benchmarks.gpu --out build/gpu

# Runs every part of it with tiny sizes on the CPU, which checks the script and measures nothing.
gpu-quick: .venv/installed
	$(BIN)/python -m benchmarks.gpu --out build/gpu-quick --device cpu --quick

docs: .venv/installed
	$(BIN)/python -m lab.objectives.wiring > docs/heads.md
	$(BIN)/python -m studies.declared.reference.page > docs/settings.md
	$(BIN)/python -m tests.api_reference > docs/api.md

# Writes FINDINGS.md from its template and the archives in reports/published.
findings: .venv/installed
	mkdir -p build
	$(BIN)/python -m benchmarks.findings > build/FINDINGS.md && mv build/FINDINGS.md FINDINGS.md

# Executes the notebooks in examples/ again and stores their outputs.
examples: .venv/installed
	$(BIN)/python -m tests.notebooks

# The pages of the results in reports/published, written to build/published; those of the controls and the matrix in folders of their own.
published: .venv/installed
	rm -rf build/published
	$(BIN)/lab study unpack reports/published/*.tar.xz reports/published/*/*.tar.xz --home build/published/home
	$(BIN)/lab report paper --scale cpu --home build/published/home --out build/published
	$(BIN)/lab report controls --scale cpu --home build/published/home --out build/published/controls
	$(BIN)/lab report matrix --scale cpu --home build/published/home --out build/published/matrix

# Needs uv; without the +cpu suffix GPU users get CUDA from the same file.
constraints:
	echo torch==2.13.0 | uv pip compile pyproject.toml --all-extras -c - --no-header --no-annotate --python-version 3.11 -o constraints.txt

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
