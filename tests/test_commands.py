"""The Makefile's commands and the script of continuous integration."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text("utf8")
pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not here")


def make(folder: Path, *arguments: str, path: str = "") -> subprocess.CompletedProcess:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    environment = {**kept, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def project(tmp_path) -> Path:
    """A folder with the Makefile and what it depends on, and nothing installed."""
    for name in ("Makefile", "pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def script(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_help_is_the_default_and_names_every_command(project):
    said = make(project).stdout
    phony = re.search(r"\.PHONY:((?:.*\\\n)*.*)", MAKEFILE)[1]
    goals = phony.replace("\\\n", " ").split()
    assert len(goals) == 15
    for goal in goals:
        assert re.search(rf"^  make {goal}\s+\S.{{10,}}$", said, re.M), goal
    assert not (project / ".venv").exists()


@pytest.mark.parametrize("goal", ["book", "test", "notebooks", "lab", "retrain"])
def test_an_old_python_gets_a_sentence(project, goal):
    old = script(project / "bin", "python-old", "exit 1")
    result = make(project, goal, f"PYTHON={old}")
    assert result.returncode != 0
    assert "needs Python 3.11 or newer" in result.stdout
    assert f"{old} is not" in result.stdout


def test_a_missing_venv_module_gets_a_sentence(project):
    only_checks = script(project / "bin", "python3.99", '[ "$1" = -c ]')
    result = make(project, "book", f"PYTHON={only_checks}", "UV=")
    assert result.returncode != 0
    assert "venv module is missing" in result.stdout


def test_a_failed_installation_names_the_network(project):
    venv = (
        'if [ "$1" = -c ]; then exit 0; fi\n'
        'mkdir -p .venv/bin; printf "#!/bin/sh\\nexit 1\\n" > .venv/bin/python\n'
        "chmod +x .venv/bin/python"
    )
    python = script(project / "bin", "python3.99", venv)
    result = make(project, "book", f"PYTHON={python}", "UV=")
    assert result.returncode != 0
    assert "needs the network" in result.stdout
    assert not (project / ".venv" / ".ready").exists()


def test_uv_is_used_where_it_is(project):
    record = 'echo "uv $*" >> uv.log; [ "$1" = venv ]'
    script(project / "bin", "uv", record)
    make(project, "book", path=str(project / "bin"))
    said = (project / "uv.log").read_text()
    assert said.startswith("uv venv ")
    assert "uv pip install --python .venv/bin/python -r requirements.txt" in said


@pytest.fixture
def installed(project) -> Path:
    """A project that is ready, whose Python writes down what it is called with."""
    (project / ".venv").mkdir()
    checks = '[ "$1" = -c ] && { echo 1; exit; }'
    told = f'printf "%s\\n" "$@" > "{project}/called"'
    script(project / ".venv" / "bin", "python", f"{checks}\n{told}")
    (project / ".venv" / ".ready").write_text(str(project))
    return project


def called(folder: Path, *arguments: str) -> list[str]:
    """What a command of the Makefile hands to Python, word by word."""
    result = make(folder, *arguments)
    assert result.returncode == 0, result.stderr
    return (folder / "called").read_text().splitlines()


NASTY = 'it\'s "one" $HOME `id` $(id); rm -rf * #'


def test_the_models_commands_hand_on_what_is_typed_in_one_piece(installed):
    write = ["-m", "minigpt", "generate"]
    said = called(installed, "generate")
    assert said == [*write, "Once there was a girl", "--model", "tales"]
    # make itself reads $, so that a dollar is typed twice
    typed = f"PROMPT={NASTY.replace('$', '$$')}"
    said = called(installed, "generate", typed, "MODEL=gpt2", "OPTIONS=--seed 1")
    assert said == [*write, NASTY, "--model", "gpt2", "--seed", "1"]
    said = called(installed, "train", "FILE=my text.txt", "OPTIONS=--steps 5")
    assert said == ["-m", "minigpt", "train", "my text.txt", "--steps", "5"]
    assert called(installed, "train")[2:] == ["train", "tales"]
    said = called(installed, "download", "MODEL=gpt2-medium")
    assert said == ["-m", "minigpt", "download", "gpt2-medium"]
    said = called(installed, "clean-model", "MODEL=runs/my model")
    assert said == ["-m", "minigpt", "remove", "runs/my model"]


@pytest.mark.parametrize("goal", ["download", "clean-model"])
@pytest.mark.parametrize("more", [(), ("MODEL=",)])
def test_a_model_that_is_not_named_gets_a_sentence(installed, goal, more):
    result = make(installed, goal, *more)
    assert result.returncode != 0
    assert f"name a model, as in make {goal} MODEL=gpt2-medium" in result.stderr
    assert not (installed / "called").exists()


def test_clean_model_removes_only_by_the_command_that_looks_first():
    recipe = MAKEFILE.split("clean-model: ")[1].split("\n\n")[0]
    assert "minigpt remove" in recipe and not re.search(
        r"\brm\b|rmtree|-delete", recipe
    )


def test_an_environment_from_another_folder_is_made_anew(project):
    ready = project / ".venv" / ".ready"
    ready.parent.mkdir()
    ready.write_text("/where/it/was/before")
    make(project, "help")
    assert not ready.exists()


def test_the_script_of_continuous_integration_is_sound():
    path = ROOT / ".ci" / "run"
    assert os.access(path, os.X_OK)
    subprocess.run(["bash", "-n", path], check=True)
    text = path.read_text("utf8")
    assert "set -euo pipefail" in text
    for command in ("make book", "make test", "make lint", "requirements-parity.txt"):
        assert command in text


def test_readme_names_the_two_commands():
    text = (ROOT / "README.md").read_text("utf8")
    assert "make book" in text
    assert "make test" in text
