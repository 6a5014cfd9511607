"""The package's own code on the page, as it stands on the day that the page is made."""

import inspect
from textwrap import dedent


class Source:
    """Python code, coloured by the page's theme where it is shown as HTML."""

    def __init__(self, code):
        self.code = code

    def __repr__(self):
        return self.code

    def _repr_mimebundle_(self, include=None, exclude=None):
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import PythonLexer

        html = highlight(self.code, PythonLexer(), HtmlFormatter(wrapcode=True))
        return {"text/html": html, "text/plain": self.code}


def show_source(*functions):
    """The source of functions, methods, classes or primitives, one under the other."""
    return Source("\n\n".join(dedent(inspect.getsource(f)) for f in functions))
