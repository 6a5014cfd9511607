"""A stand-in for anywidget: a widget's module in Chromium, its model as a message, its
traits in ``python``, what it saves in ``saved``; two views, ``#one`` and ``#two``."""

import base64

from minigpt.widgets import bundle

# What anywidget gives a widget (https://anywidget.dev/en/afm): get, set, on, off, send.
STAND_IN = """async ({ code, css, state, packed, weights }) => {
  const blob = new Blob([code], { type: "text/javascript" });
  const { default: widget } = await import(URL.createObjectURL(blob));
  const listeners = {}, values = { ...state };
  const emit = (event, ...details) =>
    (listeners[event] ?? []).forEach((listen) => listen(...details));
  globalThis.saved = [];
  globalThis.python = { values, set: (name, value) => {
    if (values[name] === value) return;
    values[name] = value;
    emit(`change:${name}`);
  } };
  const bytes = Uint8Array.from(atob(weights), (c) => c.charCodeAt(0));
  const model = {
    get: (name) => values[name],
    set: python.set,
    save_changes: () => saved.push({ ...values }),
    on: (event, listen) => (listeners[event] ??= []).push(listen),
    off: (event, gone) => {
      listeners[event] = listeners[event].filter((one) => one !== gone); },
    send: (message) => {
      globalThis.asked = message;
      setTimeout(() =>
        emit("msg:custom", { kind: "model", packed }, [new DataView(bytes.buffer)]));
    },
  };
  globalThis.heard = () => Object.values(listeners).flat().length;
  document.head.append(Object.assign(document.createElement("style"),
    { textContent: css }));
  for (const id of ["one", "two"]) { // two views of one widget
    const el = document.body.appendChild(document.createElement("div"));
    el.id = id;
    globalThis[`close_${id}`] = await widget.render({ model, el });
  }
}"""


def in_page(browser, explorer):
    """A page with two views of a widget that asks a model."""
    packed = bundle.pack(explorer.params, explorer.cfg, explorer.tok)
    page = browser.new_page()
    state = {name: getattr(explorer, name) for name in explorer.traits(page=True)}
    job = {"code": explorer._esm, "css": explorer._css, "state": state}
    job["weights"] = packed.pop("weights")
    assert base64.b64decode(job["weights"])
    page.evaluate(STAND_IN, job | {"packed": packed})
    assert page.evaluate("asked") == {"kind": "model"}
    return page
