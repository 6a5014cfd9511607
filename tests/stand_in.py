"""A stand-in for anywidget: a widget's module in Chromium, its model as a message, its
traits in ``python``, what it saves in ``saved``; two views, ``#one`` and ``#two``. As
in anywidget each view has a model of its own, and is drawn before it is in the page."""

import base64

# What anywidget gives a widget (https://anywidget.dev/en/afm): get, set, on, off, send.
STAND_IN = """async ({ code, css, state, content, weights }) => {
  const blob = new Blob([code], { type: "text/javascript" });
  const { default: made } = await import(URL.createObjectURL(blob));
  const widget = typeof made === "function" ? await made() : made;
  const listeners = {}, values = { ...state };
  const emit = (event, ...details) =>
    (listeners[event] ?? []).forEach((listen) => listen(...details));
  globalThis.saved = [];
  const update = (changes) => { // all have their values before the first is heard
    const names = Object.keys(changes).filter((name) => values[name] !== changes[name]);
    Object.assign(values, changes);
    for (const name of names) emit(`change:${name}`);
  };
  const set = (name, value) => update({ [name]: value });
  globalThis.python = { values, update, set };
  const bytes = Uint8Array.from(atob(weights), (c) => c.charCodeAt(0));
  globalThis.asked = [];
  const model = () => ({
    get: (name) => values[name],
    set,
    save_changes: () => saved.push({ ...values }),
    on: (event, listen) => (listeners[event] ??= []).push(listen),
    off: (event, gone) => {
      listeners[event] = listeners[event].filter((one) => one !== gone); },
    send: (message) => {
      asked.push(message);
      setTimeout(() =>
        emit("msg:custom", content, [new DataView(bytes.buffer)]));
    },
  });
  globalThis.heard = () => Object.values(listeners).flat().length;
  document.head.append(Object.assign(document.createElement("style"),
    { textContent: css }));
  await widget.initialize?.({ model: model() });
  for (const id of ["one", "two"]) { // two views of one widget
    const el = Object.assign(document.createElement("div"), { id });
    globalThis[`close_${id}`] = await widget.render({ model: model(), el });
    await new Promise((go) => setTimeout(go)); // what was asked for is there
    document.body.append(el);
  }
}"""


def answer(explorer):
    """What a widget sends to a page that asks for its model: a message, its bytes."""
    sent = []
    explorer.send = lambda content, buffers=(b"",): sent.append((content, buffers))
    explorer._handle_custom_msg({"kind": "model"}, [])
    [(content, [weights])] = sent or [({}, [b""])]  # some need no model
    return {"content": content, "weights": base64.b64encode(weights).decode()}


def in_page(context, explorer):
    """A page with two views of a widget, and a list of its errors."""
    page, errors = context().new_page(), []
    page.on("pageerror", lambda error: errors.append(error))
    traits = explorer.traits(sync=True, page=True)
    state = {name: getattr(explorer, name) for name in traits}
    job = {"code": explorer._esm, "css": explorer._css, "state": state}
    page.evaluate(STAND_IN, job | answer(explorer))
    page.locator("#two .mgw").wait_for()
    return page, errors
