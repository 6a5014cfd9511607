"""`minigpt info` and `minigpt download`: what is inside, and what is fetched."""

import hashlib
import http.server
import threading

import pytest
from cli_runs import finished, run, sentence

import minigpt as mg
from minigpt import checkpoint, data, debug, models
from minigpt.cli import inside

CFG = mg.Config(vocab_size=7, n_ctx=5, n_embd=4, n_layer=3, n_head=2)


def cells(said, start):
    """The cells of the line that begins like this."""
    (line,) = [x for x in said.splitlines() if x.strip("│├└─ ").startswith(start)]
    return line.strip("│├└─ ").removeprefix(start).split()


# ------------------------------------------------------------ info


def test_the_tree_has_every_array_of_the_shipped_model_once():
    said = run("info", "tales").stdout
    flat = mg.tree.flatten(mg.load("tales")[0])
    assert cells(said, "parameters") == ["482,816"]
    for name, a in flat.items():
        if name.startswith("h.0"):
            shape = " × ".join(map(str, a.shape)).split()
            assert cells(said, name.removeprefix("h.0.")) == [*shape, f"{a.size:,}"]
    assert "h.0 to h.1, each" in said and "h.1." not in said
    assert cells(said, "wte.weight") == ["576", "×", "128", "73,728"]


@pytest.mark.parametrize(("name", "size"), [("gpt2", 124_439_808), ("1558M", None)])
def test_the_shapes_of_gpt2_need_no_download(name, size):
    said = run("info", name).stdout
    cfg = mg.Config.preset(name)
    outline = checkpoint.outline(cfg)
    size = size or mg.tree.size(outline)
    assert cells(said, "parameters") == [f"{size:,}"]
    assert f"h.0 to h.{cfg.n_layer - 1}, each" in said
    assert 1_557_000_000 < mg.tree.size(checkpoint.outline(mg.Config.preset("1558M")))


def test_the_outline_is_that_of_init():
    outline = mg.tree.flatten(checkpoint.outline(CFG))
    real = mg.tree.flatten(mg.init(CFG))
    assert {n: a.shape for n, a in outline.items()} == {
        n: a.shape for n, a in real.items()
    }
    assert list(outline) == list(real)


def test_parts_add_up_and_memory_is_counted():
    params = mg.init(CFG) | {"head": {"weight": mg.init(CFG)["wpe"]["weight"]}}
    rows = list(inside.part_rows(params))
    counts = {part: int(count) for part, count, _ in rows}
    assert sum(counts.values()) == mg.tree.size(params)
    C = CFG.n_embd
    assert counts["attention"] == 3 * (4 * C * C + 4 * C)
    assert counts["MLP"] == 3 * (8 * C * C + 5 * C)
    assert counts["layer norms"] == 3 * 4 * C + 2 * C
    assert counts["token embedding and output"] == 7 * C
    assert counts["position embedding"] == counts["labels"] == 5 * C
    assert sum(float(share[:-1]) for *_, share in rows) == pytest.approx(100, abs=0.4)
    untied = inside.part_rows(params | {"lm_head": params["wte"]})
    untied = {part: count for part, count, _ in untied}
    assert untied["output"] == untied["token embedding"] == str(7 * C)

    wide = mg.Config(vocab_size=1000, n_ctx=500, n_embd=64, n_layer=3, n_head=2)
    params = mg.init(wide)
    rows = dict(inside.memory_rows(params, wide, 4))
    size = 4 * mg.tree.size(params)
    assert rows["weights, float32"] == f"{size / 1e6:.2f} MB"
    assert rows["cache of 500 positions"] == f"{2 * 3 * 500 * 64 * 4 / 1e6:.2f} MB"
    training = sum(debug.memory(wide, 4).values())
    assert rows["training all of it, 4 texts at a time, about"] == (
        f"{training / 1e6:.2f} MB"
    )


def test_only_equal_neighbours_are_folded():
    block, other = mg.init(CFG)["h"][0], {"ln_1": mg.init(CFG)["ln_f"]}
    names = [name for name, _ in inside.folded([block, block, other, block])]
    assert names == ["h.0 to h.1, each", "h.2", "h.3"]


def test_a_folder_and_what_is_none(tmp_path):
    mg.save(tmp_path / "m", mg.init(CFG), CFG)
    assert "vocab_size 7" in run("info", tmp_path / "m").stdout
    batch = run("info", tmp_path / "m", "--batch-size", 9).stdout
    assert "9 texts at a time" in batch
    assert "no model 'nowhere'" in sentence("info", "nowhere")


# ------------------------------------------------------------ download


class Missing(http.server.BaseHTTPRequestHandler):
    """A mirror that has nothing, and remembers what it was asked for."""

    asked: list = []

    def do_GET(self):
        self.asked.append(self.path)
        self.send_error(404)

    def log_message(self, *args):
        pass


def test_a_mirror_is_asked_and_its_answer_told(tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Missing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        args = ("download", "124M", "--models-dir", tmp_path)
        assert "404" in sentence(*args, "--mirror", address)
        assert Missing.asked[0].startswith("/openai-community/gpt2/resolve/main/")
        code, out, err = finished(*args, env={"MINIGPT_MIRROR": address})
        assert code == 1 and out == b"" and b"404" in err and b"Traceback" not in err
        assert len(Missing.asked) == 2
        server.shutdown()


def test_models_and_data_by_name(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        models, "download", lambda *a, **k: asked.append((a, k)) or tmp_path / "gpt2"
    )
    said = run("download", "gpt2", "--models-dir", tmp_path, "--mirror", "http://x")
    assert said.stdout == f"{tmp_path / 'gpt2'}\n"
    more = {"mirror": "http://x", "progress": False}
    assert asked == [(("gpt2", str(tmp_path)), more)]
    content = b"to be"
    sum_ = hashlib.sha256(content).hexdigest()
    source = data.Source("http://127.0.0.1:9/x", sum_, "none", "nobody")
    monkeypatch.setitem(data.REGISTRY, "x.txt", source)
    monkeypatch.setenv("MINIGPT_DATA", str(tmp_path))
    (tmp_path / "x.txt").write_bytes(content)
    assert run("download", "x.txt").stdout == f"{tmp_path / 'x.txt'}\n"
    (tmp_path / "x.txt").write_bytes(b"not to be")
    assert "is not the published file" in sentence("download", "x.txt")


def test_names_that_nobody_knows(tmp_path):
    assert "gpt2-medium" in sentence("download", "gpt3")
    assert "comes with the package" in sentence("download", "tales")
