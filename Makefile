# The commands of the book. "make" alone lists them. PYTHON=/path/to/python picks the
# interpreter that .venv is made from (3.11 or newer); everything else follows.
.DEFAULT_GOAL := help
.PHONY: help book test test-all notebooks lab generate serve train download \
	clean-model bench retrain lint clean

NEWER = import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python python3.14 python3.13 python3.12 python3.11; \
	do "$$p" -c "$(NEWER)" 2>/dev/null && echo "$$p" && exit; done; echo python3)
UV ?= $(shell command -v uv 2>/dev/null)
BIN := .venv/bin
READY := .venv/.ready
BUILD := book/_build
# The tests among processors, file by file, in order: the long notebooks come first.
SHARED := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# A virtual environment knows the folder that it was made in: after a move, make anew.
ifneq ($(wildcard $(READY)),)
ifneq ($(shell cat $(READY)),$(CURDIR))
$(shell rm -rf .venv)
else ifneq ($(shell $(BIN)/python -c "print(1)" 2>/dev/null),1)
$(shell rm -rf .venv)
endif
endif

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' Makefile

book: $(READY) ## Build the book and say which page to open
	@if [ -n "$$(find book/tools minigpt/widgets/js $(READY) -newer $(BUILD)/.built -print -quit 2>&1)" ]; \
	then rm -rf $(BUILD)/html $(BUILD)/.doctrees; fi
	@$(BIN)/jupyter-book build book -W -n --keep-going || { \
	rm -rf $(BUILD)/.doctrees; echo "make book: the warnings above are errors"; exit 1; }
	@touch $(BUILD)/.built
	@echo "The book is built. Open  file://$(CURDIR)/$(BUILD)/html/index.html"

test: $(READY) ## Run the tests and every notebook, comparing outputs
	$(BIN)/python -m pytest --nbval $(SHARED)

test-all: $(READY) ## The same with the slow tests
	$(BIN)/python -m pytest --nbval $(SHARED) -m ""

notebooks: $(READY) ## Execute changed chapters, store outputs (CHAPTER=03, FORCE=1)
	$(BIN)/python book/tools/notebooks.py $(CHAPTER) $(if $(FORCE),--force)

lab: $(READY) ## Open the chapters in JupyterLab (installed at the first use)
	@$(BIN)/python -c "import jupyterlab" 2>/dev/null || \
	$(BIN)/python -m pip install "jupyterlab>=4.2"
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m jupyter lab book

# What is typed reaches the program through the environment, in one piece.
generate: $(READY) ## Let a model write (PROMPT="One day", MODEL=tales)
	@$(BIN)/python -m minigpt generate "$${PROMPT-Once there was a girl}" \
	--model "$${MODEL:-tales}" $(OPTIONS)

serve: $(READY) ## Serve a model by HTTP, with a page to explore it (PORT=3000, MODEL=tales)
	@$(BIN)/python -c "import fastapi, uvicorn, sse_starlette" 2>/dev/null || \
	$(BIN)/python -m pip install -e ".[serve]"
	@$(BIN)/python -m minigpt serve --model "$${MODEL:-tales}" \
	--port "$${PORT:-3000}" $(OPTIONS)

train: $(READY) ## Train a model on a text (FILE=tinyshakespeare.txt, OPTIONS="--steps 500")
	@$(BIN)/python -m minigpt train "$${FILE:-tales}" $(OPTIONS)

download: $(READY) ## Fetch a model or data (MODEL=gpt2-medium)
	@$(BIN)/python -m minigpt download \
	"$${MODEL:?is empty: name a model, as in make download MODEL=gpt2-medium}"

clean-model: $(READY) ## Remove a downloaded or trained model (MODEL=gpt2-medium)
	@$(BIN)/python -m minigpt remove \
	"$${MODEL:?is empty: name a model, as in make clean-model MODEL=gpt2-medium}"

bench: $(READY) ## Measure beside other libraries (PART=training, QUICK=1)
	$(BIN)/python benchmarks $(PART) $(if $(QUICK),--quick) $(OPTIONS)

retrain: $(READY) ## Train the shipped model again, about ten minutes
	$(BIN)/python -m minigpt.assets.retrain

lint: $(READY) ## Check the style of the code
	$(BIN)/python -m ruff check .

clean: ## Remove what was built (the environment .venv stays)
	rm -rf $(BUILD) .pytest_cache .ruff_cache .hypothesis
	find book minigpt tests -name __pycache__ -prune -exec rm -rf {} +

$(READY): requirements.txt pyproject.toml
	@"$(PYTHON)" -c "$(NEWER)" || { echo "The book needs Python 3.11 or newer, and" \
	"$(PYTHON) is not: install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	@if [ -n "$(UV)" ]; then \
	echo "Making .venv with uv"; \
	"$(UV)" venv --quiet --allow-existing --seed --python "$(PYTHON)" .venv && \
	"$(UV)" pip install --python $(BIN)/python -r requirements.txt; \
	else \
	echo "Making .venv with $(PYTHON) -m venv"; \
	"$(PYTHON)" -m venv .venv && [ -x $(BIN)/python ] || { echo "Python's venv module is missing (Debian and" \
	"Ubuntu keep it in the package python3-venv): install it, or install uv"; exit 1; }; \
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt; \
	fi || { echo "Setting up .venv failed, see above. This first step needs the" \
	"network or a local package index; nothing after it does."; exit 1; }
	@printf '%s' "$(CURDIR)" > $(READY)
