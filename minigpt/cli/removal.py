"""Deleting a model's folder, and never anything else."""

import fnmatch
from pathlib import Path

TRAINED = (  # what a training run, fine-tuning and save() write
    *("model.safetensors", "config.json", "tokenizer.json", "labels.json"),
    *("history.jsonl", "loss.png", "checkpoint-[0-9]*.safetensors", ".*.tmp"),
)
DOWNLOADED = (
    *("model.safetensors", "model-*-of-*.safetensors", "*.safetensors.index.json"),
    *("config.json", "tokenizer.json", "vocab.json", "merges.txt"),
    *("vocab.bpe", "encoder.json", "hparams.json", "checkpoint", "model.ckpt.*"),
    *("model.safetensors.part*", "config.json.part*", ".*.tmp"),
    *("vocab.json.part*", "merges.txt.part*"),
)


def remove(name, models_dir=None):
    """Delete a model that was downloaded, by name, or trained, by its folder.

    Returns ``(folder, bytes freed)``. Raises ``ValueError``, and deletes nothing, when
    it is no such folder or holds anything else.
    """
    from minigpt import models

    preset = models.ALIASES.get(name, name)
    downloaded = preset in models.PUBLISHED
    folder = models.folder(models_dir) / preset if downloaded else Path(name)
    if not name.strip() or folder.is_symlink() or not folder.is_dir():
        raise ValueError(
            f"{name!r} is neither the folder of a trained model nor the name of one "
            f"that lies in {models.folder(models_dir)}"
        )
    folder = folder.resolve()
    folders, patterns = [folder], DOWNLOADED if downloaded else TRAINED
    best = folder / "best"
    if best.is_dir() and not best.is_symlink() and not downloaded:
        folders = [best, folder]
    found = [path for one in folders for path in contents(one, patterns, folders)]
    if not downloaded and not are_ours(found):
        raise ValueError(f"{folder} is not the folder of a model: nothing removed")
    freed = sum(path.stat().st_size for path in found)
    for path in found:
        path.unlink()
    for emptied in folders:
        emptied.rmdir()  # which refuses when there is more in it after all
    return folder, freed


def contents(folder, patterns, folders):
    """The files of a folder, all of which must be expected, but for other ``folders``.

    Raises ``ValueError`` that names what is not.
    """
    found = [path for path in sorted(folder.iterdir()) if path not in folders]
    for path in found:
        known = any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns)
        if not (path.is_file() and known):
            raise ValueError(
                f"{folder} holds more than a model, {path.name!r}: nothing removed"
            )
    return found


def are_ours(found):
    """Whether files are of this package: one of them says so, and of a model's weights
    and configuration none says anything else."""
    from minigpt import checkpoint, vocabulary

    formats = {path: checkpoint.format_of(path) for path in found}
    model = ("model.safetensors", "config.json")
    said = {format for path, format in formats.items() if path.name in model}
    ours = {checkpoint.FORMAT, vocabulary.FORMAT}
    return said <= {checkpoint.FORMAT} and not ours.isdisjoint(formats.values())
