"""The package's own code on the page, as it stands on the day that the page is made."""

import inspect
import re
from importlib import resources
from textwrap import dedent

SCRIPTS = resources.files("minigpt") / "widgets" / "js"
PART = re.compile(  # the comment above it, its name, and what is indented or closes it
    r"^(?://.*\n)*(?:export )?(?:async )?(?:function\*?|class|const|let) +"
    r"(?P<name>\w+).*(?:\n(?:[ })\]].*)?)*",
    re.MULTILINE,
)


class Source:
    """Code, coloured by the page's theme where it is shown as HTML."""

    def __init__(self, code, language="python"):
        self.code, self.language = code, language

    def __repr__(self):
        return self.code

    def _repr_mimebundle_(self, include=None, exclude=None):
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import get_lexer_by_name

        lexer = get_lexer_by_name(self.language)
        html = highlight(self.code, lexer, HtmlFormatter(wrapcode=True))
        return {"text/html": html, "text/plain": self.code}


def show_source(*functions):
    """The source of functions, methods, classes or primitives, one under the other."""
    return Source("\n\n".join(dedent(inspect.getsource(f)) for f in functions))


def show_script(file, *names):
    """The parts of a script of the book's pages that have these names, one under the
    other, each with the comment above it: ``show_script("model.js", "gelu")``.

    Raises ``ValueError`` for a name that is not there, and says which are.
    """
    parts = script_parts((SCRIPTS / file).read_text("utf-8"))
    if missing := [name for name in names if name not in parts]:
        raise ValueError(f"{file} has no {missing[0]!r}, but {', '.join(parts)}")
    return Source("\n\n".join(parts[name] for name in names), "javascript")


def script_parts(text):
    """The functions, classes and constants of a script, by name, in their order."""
    return {found["name"]: found[0].rstrip() for found in PART.finditer(text)}
