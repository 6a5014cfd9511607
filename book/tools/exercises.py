"""Exercises with a level and a time, and solutions that fold, code cells and all.

    :::{exercise} Title            numbered within its chapter: "Exercise 3.2"
    :label: attention-scale        also the target of {ref}`attention-scale`
    :level: easy                   easy, medium or hard
    :minutes: 10
    Text, and a hint as a nested {dropdown}.
    :::
    :::{solution-start} attention-scale
    :::
    ... text and executed code cells ...
    :::{solution-end}
    :::

The solution is a plain ``<details>`` element: it folds without any script, opens by
keyboard, and its code cells stay ordinary cells that the tests run and compare.
"""

import re

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator

LOG = logging.getLogger(__name__)
LEVELS = ("easy", "medium", "hard")


class solution(nodes.General, nodes.Element):
    """A folded solution: `summary` is the line that opens it."""


class solution_mark(nodes.Invisible, nodes.Element):
    """Where a solution starts or ends, until `FoldSolutions` has run."""


class Exercise(SphinxDirective):
    """A numbered exercise: title, `:label:`, `:level:` and `:minutes:`."""

    has_content = True
    required_arguments = 1
    final_argument_whitespace = True
    option_spec = {
        "label": directives.unchanged_required,
        "level": lambda text: directives.choice(text, LEVELS),
        "minutes": directives.positive_int,
    }

    def run(self) -> list[nodes.Node]:
        missing = [name for name in self.option_spec if name not in self.options]
        if missing:
            raise self.error(f"an exercise needs :{':, :'.join(missing)}:")
        label, level = self.options["label"], self.options["level"]
        number = exercise_number(self.env)
        title = f"Exercise {number}: {self.arguments[0]}"
        box = nodes.admonition(
            classes=["exercise", f"exercise-{level}"], ids=[nodes.make_id(label)]
        )
        self.set_source_info(box)
        inline, messages = self.state.inline_text(title, self.lineno)
        box += nodes.title(title, "", *inline, *messages)
        effort = f"{level}, about {self.options['minutes']} minutes"
        box += nodes.paragraph("", effort, classes=["exercise-effort"])
        self.state.nested_parse(self.content, self.content_offset, box)
        register(self, label, box["ids"][0], number)
        return [box]


def exercise_number(env) -> str:
    """Return "3.2" for the second exercise of ``03-attention``."""
    count = env.temp_data["exercises"] = env.temp_data.get("exercises", 0) + 1
    chapter = re.match(r"(?:.*/)?(\d+)-", env.docname)
    return f"{int(chapter[1])}.{count}" if chapter else str(count)


def register(directive: Exercise, label: str, anchor: str, number: str) -> None:
    """Make `label` a target that {ref} can name, shown as "Exercise 3.2"."""
    env, name = directive.env, f"Exercise {number}"
    labels = env.get_domain("std")
    known = labels.labels.get(label)
    if known and known[0] != env.docname:
        raise directive.error(f"the label {label!r} is taken, in {known[0]}")
    if label in env.temp_data.setdefault("exercise_labels", {}):
        raise directive.error(f"the label {label!r} is taken in this chapter")
    env.temp_data["exercise_labels"][label] = name
    labels.labels[label] = (env.docname, anchor, name)
    labels.anonlabels[label] = (env.docname, anchor)


class SolutionStart(SphinxDirective):
    """Where the solution of the exercise with this label starts."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        label = self.arguments[0]
        name = self.env.temp_data.get("exercise_labels", {}).get(label)
        if name is None:
            raise self.error(
                f"no exercise of this chapter before this line has the label {label!r}"
            )
        mark = solution_mark(start=True, summary=f"Solution of {name}", label=label)
        self.set_source_info(mark)
        return [mark]


class SolutionEnd(SphinxDirective):
    """Where the last started solution ends."""

    def run(self) -> list[nodes.Node]:
        mark = solution_mark(start=False)
        self.set_source_info(mark)
        return [mark]


class FoldSolutions(SphinxTransform):
    """Put everything between a start and an end mark into one folded element."""

    default_priority = 300

    def apply(self) -> None:
        for mark in list(self.document.findall(solution_mark)):
            if mark.parent is not None and mark["start"]:
                fold(mark)
        for mark in list(self.document.findall(solution_mark)):
            LOG.warning("a {solution-end} without a start before it", location=mark)
            mark.parent.remove(mark)


def fold(start: solution_mark) -> None:
    """Move the siblings of `start` up to the next end mark into a `solution`."""
    parent = start.parent
    first = parent.index(start)
    inside = []
    for node in parent[first + 1 :]:
        if isinstance(node, solution_mark):
            break
        inside.append(node)
    else:
        node = None
    if node is None or node["start"]:
        LOG.warning(
            "the solution of %r has no {solution-end} before the section ends: put "
            "one there, and no heading inside a solution",
            start["label"],
            location=start,
        )
        parent.remove(start)
        return
    box = solution("", summary=start["summary"])
    box.source, box.line = start.source, start.line
    for child in (start, *inside, node):
        parent.remove(child)
    box.extend(inside)
    parent.insert(first, box)


def visit_solution(self: HTML5Translator, node: solution) -> None:
    summary = self.encode(node["summary"])
    self.body.append(f'<details class="solution"><summary>{summary}</summary>\n')


def depart_solution(self: HTML5Translator, node: solution) -> None:
    self.body.append("</details>\n")


def setup(app: Sphinx) -> dict:
    """Register the three directives with Sphinx."""
    app.add_node(solution, html=(visit_solution, depart_solution))
    app.add_node(solution_mark)
    app.add_directive("exercise", Exercise)
    app.add_directive("solution-start", SolutionStart)
    app.add_directive("solution-end", SolutionEnd)
    app.add_transform(FoldSolutions)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
