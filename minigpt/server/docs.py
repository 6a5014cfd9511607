"""The page `/docs`: the OpenAPI document as a page that loads nothing from anywhere.

FastAPI's own page takes a megabyte of scripts from another machine, and shows nothing
to readers without a network. This one needs no script to be read, and 20 lines of it to
try an address out.
"""

import base64
import hashlib
import json
from html import escape

STYLE = """
:root { color-scheme: light dark; --soft: color-mix(in srgb, currentColor 8%, Canvas);
  --line: color-mix(in srgb, currentColor 22%, Canvas); --link: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --link: #8cc2ff; } }
* { box-sizing: border-box; }
body { font: 1rem/1.55 system-ui, sans-serif; margin: 0 auto; max-width: 52rem;
  padding: 1.5rem 1rem 4rem; }
a { color: var(--link); }
h2 { border-top: 1px solid var(--line); font-size: 1.05rem; margin: 2.5rem 0 0.5rem;
  padding-top: 1.5rem; overflow-wrap: anywhere; }
h3 { font-size: 0.9rem; margin: 1.2rem 0 0.3rem; }
code, pre, textarea, h2 { font-family: ui-monospace, monospace; }
code, pre, textarea { font-size: 0.875rem; }
pre, textarea { background: var(--soft); border: 0; border-radius: 6px; color: inherit;
  margin: 0.4rem 0; padding: 0.75rem; width: 100%; white-space: pre-wrap;
  overflow-wrap: anywhere; max-height: 24rem; overflow-y: auto; }
h2 span { background: CanvasText; color: Canvas; border-radius: 4px; font-size: 0.8rem;
  margin-right: 0.5rem; padding: 0.15rem 0.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
td, th { border-bottom: 1px solid var(--line); padding: 0.4rem 0.8rem 0.4rem 0;
  text-align: left; vertical-align: top; }
button { background: CanvasText; border: 0; border-radius: 6px; color: Canvas;
  cursor: pointer; font: inherit; min-height: 44px; padding: 0.4rem 1.2rem; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
"""
SCRIPT = """
for (const form of document.forms) form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const out = form.querySelector("output"), body = form.querySelector("textarea");
  const type = { "content-type": "application/json" };
  const asked = body ? { method: "POST", headers: type, body: body.value } : {};
  out.innerHTML = "<pre></pre>";
  const say = (text) => { out.firstChild.textContent += text; };
  try {
    const answer = await fetch(form.dataset.path, asked);
    say(`${answer.status} ${answer.statusText}\\n\\n`);
    if (answer.headers.get("content-type").includes("octet-stream"))
      return say(`${(await answer.arrayBuffer()).byteLength} bytes`);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part; !(part = await reader.read()).done;) say(part.value);
  } catch (error) {
    say(error.message);
  }
});
"""


def _hash(text):
    """How a Content-Security-Policy names what stands within a page."""
    return (
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    )


POLICY = (
    f"default-src 'none'; script-src {_hash(SCRIPT)}; style-src {_hash(STYLE)}; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def html(document):
    """The page for an OpenAPI document, to be served with `POLICY`."""
    info, schemas = document["info"], document["components"]["schemas"]
    parts = [
        _operation(method, path, operation, schemas)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    title = f"{info['title']} {info['version']}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><main><h1>{escape(title)}</h1>"
        f"{_prose(info['description'])}<p>The same for programs: "
        '<a href="openapi.json">openapi.json</a>. The explorers: '
        f'<a href="./">the first page</a>.</p>{"".join(parts)}</main>'
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def _operation(method, path, operation, schemas):
    """One address: what it is for, what it takes, what it gives, and a form to try."""
    content = operation.get("requestBody", {}).get("content", {})
    asked = _schema(content.get("application/json", {}), schemas)
    answers = "".join(
        f"<tr><td>{status}</td><td>{_answer(answer, schemas)}</td></tr>"
        for status, answer in sorted(operation["responses"].items())
    )
    example = json.dumps(_example(asked, schemas), indent=2) if asked else ""
    label = f"A body for {path}"
    area = (
        f'<textarea rows="{example.count(chr(10)) + 1}" spellcheck="false" '
        f'aria-label="{escape(label)}">{escape(example)}</textarea>'
    )
    return (
        f"<section><h2><span>{method.upper()}</span>{escape(path)}</h2>"
        f"{_prose(operation.get('description', operation.get('summary', '')))}"
        f"{_table('What it takes', asked, schemas)}"
        f'<h3>What it answers</h3><div class="wide"><table>{answers}</table></div>'
        f'<form data-path="{escape(path[1:])}"><h3>Try it</h3>{area if asked else ""}'
        f'<p><button aria-label="Send to {escape(path)}">Send</button></p>'
        '<output aria-live="polite"></output></form></section>'
    )


def _answer(answer, schemas):
    """What an answer is, and its fields."""
    kinds = answer.get("content", {})
    fields = _schema(kinds.get("application/json", {}), schemas)
    kind = "".join(f" <code>{k}</code>" for k in kinds if k != "application/json")
    headers = "".join(
        f"<br><code>{escape(name)}</code>: {escape(header['description'])}"
        for name, header in answer.get("headers", {}).items()
    )
    names = ", ".join(f"<code>{name}</code>" for name in fields.get("properties", {}))
    said = escape(answer["description"])
    return f"{said}{kind}{headers}{'<br>' + names if names else ''}"


def _table(title, schema, schemas):
    """The fields of a body."""
    rows = "".join(
        f"<tr><td><code>{name}</code></td><td>{_kind(field, schemas)}"
        f"{_default(name, field, schema)}<br>"
        f"{escape(field.get('description', ''))}</td></tr>"
        for name, field in schema.get("properties", {}).items()
    )
    shown = f'<h3>{title}</h3><div class="wide"><table>{rows}</table></div>'
    return shown if rows else ""


def _kind(field, schemas):
    """A field's type and bounds, in words."""
    if "anyOf" in field:
        return " or ".join(_kind(one, schemas) for one in field["anyOf"])
    if "enum" in field:
        return " or ".join(
            f"<code>{escape(json.dumps(v))}</code>" for v in field["enum"]
        )
    if field.get("type") == "array":
        return f"a list of {_kind(field['items'], schemas)}"
    words = {"integer": "whole number", "string": "text"}
    kind = words.get(field.get("type"), field.get("type", ""))
    bounds = {"minimum": "from", "exclusiveMinimum": "over", "maximum": "to"}
    limits = [f"{word} {field[k]:,.0f}" for k, word in bounds.items() if k in field]
    return " ".join([kind, *limits])


def _default(name, field, schema):
    if name in schema.get("required", ()):
        return ", required"
    return f", default <code>{escape(json.dumps(field.get('default')))}</code>"


def _example(schema, schemas):
    """A body that can be sent as it stands."""
    return {
        name: field.get("examples", [field.get("default")])[0]
        for name, field in schema["properties"].items()
    }


def _schema(content, schemas):
    """The schema of a content, found where it is referred to."""
    schema = content.get("schema", {})
    return schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _prose(text):
    """Paragraphs, with `code` in them."""
    parts = escape(text, quote=False).split("`")
    marked = "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts))
    return "".join(f"<p>{paragraph}</p>" for paragraph in marked.split("\n\n"))
