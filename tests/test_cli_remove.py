"""`minigpt remove` deletes a model's folder, and never anything else."""

import contextlib

import pytest
from cli_runs import run, sentence
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import minigpt as mg
from minigpt import checkpoint, models
from minigpt.cli import removal
from minigpt.model import PRESETS

CFG = mg.Config(vocab_size=7, n_ctx=5, n_embd=4, n_layer=3, n_head=2)


def tree_of(folder):
    return sorted(p.relative_to(folder) for p in folder.rglob("*"))


@pytest.fixture
def trained(tmp_path):
    """A folder as a fine-tuning that was broken off and went on leaves it."""
    _, _, tok = mg.load("tales")
    for folder in (tmp_path / "runs/mine", tmp_path / "runs/mine/best"):
        mg.save(folder, mg.init(CFG), CFG, tok)
        (folder / "labels.json").write_text("[]")
    weights = tmp_path / "runs/mine/checkpoint-00000010.safetensors"
    checkpoint.write_tensors(weights, mg.tree.flatten(mg.init(CFG)))
    for name in ("history.jsonl", "loss.png"):
        (tmp_path / "runs/mine" / name).write_bytes(b"x" * 10)
    (tmp_path / "runs/mine/.checkpoint-00000011.safetensors.7.tmp").touch()
    return tmp_path / "runs/mine"


def test_a_trained_model_goes_and_its_neighbours_stay(trained):
    (trained.parent / "other.txt").touch()
    size = sum(p.stat().st_size for p in trained.rglob("*") if p.is_file())
    said = run("remove", trained).stdout
    assert said == f"Removed {trained}: {size / 1e6:,.1f} MB\n"
    assert [p.name for p in trained.parent.iterdir()] == ["other.txt"]


def test_an_unfinished_run_can_go(trained):
    for name in ("model.safetensors", "config.json"):
        (trained / name).unlink()
    run("remove", trained)
    assert not trained.exists()


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        ".git",
        "best/notes.txt",
        "model.py",
        "checkpoint-5.safetensors",
        "data.part",
    ],
)
def test_a_folder_with_anything_else_stays_whole(trained, name):
    path = trained / name
    path.touch() if path.suffix in (".txt", ".py", ".part") else path.mkdir()
    before = tree_of(trained)
    assert repr(name.split("/")[-1]) in sentence("remove", trained)
    assert tree_of(trained) == before


def test_from_inside_of_the_folder_itself(trained, monkeypatch):
    monkeypatch.chdir(trained)
    assert "neither" in sentence("remove", "")
    run("remove", ".")
    assert not trained.exists()


def test_what_is_no_model_is_never_removed(tmp_path, trained, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = tree_of(tmp_path)
    (tmp_path / "link").symlink_to(trained)
    for name in ("", " ", "/", ".", "..", "runs", "runs/..", "no/where", "tales"):
        assert sentence("remove", name), name
    assert "neither the folder" in sentence("remove", "link")
    assert "neither the folder" in sentence("remove", "link/")
    (tmp_path / "link").unlink()
    assert tree_of(tmp_path) == before
    shipped = models.find("tales")
    assert "history.json" in sentence("remove", shipped)
    assert shipped.exists()
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "config.json").write_text('{"model_type": "gpt2"}')
    (theirs / "model.safetensors").touch()
    assert "not the folder of a model" in sentence("remove", theirs)
    (tmp_path / "nothing").mkdir()
    assert "not the folder of a model" in sentence("remove", "nothing")
    assert (tmp_path / "nothing").exists()


THEIRS = {
    "model.safetensors": b"",
    "config.json": b'{"model_type": "gpt2"}',
    "checkpoint-7.safetensors": b"my diary",
}


@pytest.mark.parametrize("left", [THEIRS, ["config.json"], ["model.safetensors"]])
def test_no_file_name_makes_a_model_of_somebody_else_ours(tmp_path, left):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for name in left:
        (theirs / name).write_bytes(THEIRS[name])
    if left is not THEIRS:
        mg.load("tales")[2].save(theirs / "tokenizer.json")
    before = tree_of(theirs)
    assert "not the folder of a model" in sentence("remove", theirs)
    assert tree_of(theirs) == before


def test_what_was_broken_off_before_its_first_checkpoint_can_go(trained):
    for path in (*trained.glob("*.safetensors"), trained / "config.json"):
        path.unlink()
    for path in trained.glob("best/*"):
        path.unlink()
    (trained / "best").rmdir()
    run("remove", trained)
    assert not trained.exists()


PARTS = st.sampled_from(["..", ".", "runs", "mine", "best", "", "~", "*", "tmp"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PARTS, max_size=5).map("/".join))
@example("runs/mine")
@example("runs/mine/best/..")
def test_whatever_is_typed_only_a_models_files_go(trained, name):
    removed = []
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(ValueError):
        patch.chdir(trained.parents[1])
        patch.setattr("pathlib.Path.unlink", lambda path: removed.append(path))
        patch.setattr("pathlib.Path.rmdir", lambda path: removed.append(path))
        removal.remove(name)
    assert {p for p in removed if p != trained and trained not in p.parents} == set()
    if name in ("runs/mine", "runs/mine/best/.."):
        assert len(removed) == 14  # twelve files, two folders


@pytest.mark.parametrize("name", ["gpt2-medium", "355M"])
def test_a_downloaded_model_goes_by_its_name(tmp_path, name):
    place = tmp_path / "gpt2-medium"
    place.mkdir()
    for file in ("config.json", "merges.txt", "vocab.json", "model.safetensors.part"):
        (place / file).write_bytes(b"{}")
    (place / "model.safetensors.part.json").touch()
    (tmp_path / "gpt2").mkdir()
    run("remove", name, "--models-dir", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["gpt2"]
    assert "neither" in sentence("remove", name, "--models-dir", tmp_path)
    place.mkdir()
    for mine in ("mine.txt", "novel.part"):
        (place / mine).touch()
        assert repr(mine) in sentence("remove", name, "--models-dir", tmp_path)
        (place / mine).unlink()


def test_every_preset_is_a_name(tmp_path):
    for name in PRESETS:
        assert "neither" in sentence("remove", name, "--models-dir", tmp_path)
        assert run("info", name).exit_code == 0
