"""The package's code as the pages show it: whole parts, by name, and coloured."""

import re
from pathlib import Path

import nbformat
import pytest

from minigpt import layers
from minigpt.plots import show_script, show_source
from minigpt.plots.source import SCRIPTS, script_parts

PAGE = Path(__file__).parents[1] / "book" / "engine.ipynb"

SCRIPT = """// The file.

import { a } from "./a.js";

// One line.
export function one(x) {
  return [
    x,

  ];
}
const two = 2; // two
let three = {
  a: 1,
};

// A class.
// With methods.
class Four {
  // Comment.
  go() {}
}

(async () => {})();
"""


def test_the_parts_of_a_script():
    assert script_parts(SCRIPT) == {
        "one": "// One line.\nexport function one(x) {\n  return [\n    x,\n\n  ];\n}",
        "two": "const two = 2; // two",
        "three": "let three = {\n  a: 1,\n};",
        "Four": SCRIPT.partition("};\n\n")[2].partition("\n\n(async")[0],
    }


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.js")), ids=lambda p: p.stem)
def test_nothing_of_a_script_is_lost(path):
    text = path.read_text("utf-8")
    parts = script_parts(text)
    for part in parts.values():
        assert text.count(part) == 1
        assert part.count("{") == part.count("}")
        text = text.replace(part, "")
    declared = r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+)"
    assert not re.findall(declared, text, re.MULTILINE)
    assert re.findall(declared, "\n".join(parts.values()), re.MULTILINE) == list(parts)


def test_a_script_is_coloured_as_what_it_is():
    shown = show_script("model.js", "gelu", "softmax")
    data = shown._repr_mimebundle_()
    assert data["text/plain"].startswith("export function gelu(x) {")
    assert "\n\nexport function softmax(scores) {" in data["text/plain"]
    assert '<div class="highlight">' in data["text/html"]
    assert '<span class="k">export</span>' in data["text/html"]  # a keyword
    python = show_source(layers.mlp)._repr_mimebundle_()
    assert '<span class="k">def</span>' in python["text/html"]


def test_a_name_that_is_not_there_names_those_that_are():
    with pytest.raises(ValueError, match=r"model\.js has no 'relu', but linear, layer"):
        show_script("model.js", "gelu", "relu")


def test_the_page_shows_the_model_whole():
    notebook = nbformat.read(PAGE, 4)
    shown = {
        output["data"]["text/plain"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "data" in output
    }
    page = "\n\n".join(shown)
    for part in script_parts((SCRIPTS / "model.js").read_text("utf-8")).values():
        assert part in page
