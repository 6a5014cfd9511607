// A widget under a kernel, as anywidget wants it. What it computes with comes once, as
// a message: it would swell every notebook if it were part of the widget's state.

const WAITING =
  "Waiting for Python. If nothing happens, run this cell: it needs a kernel.";

// `widget({model, el, …})` draws itself into `el` and returns what clears it away. What
// else it is given, `unpack(packed, weights)` makes of Python's message.
export function underKernel(widget, unpack) {
  return () => { // called once for each widget of Python, of which there may be views
    let owner = null, asked = null; // anywidget's model that outlives them; a promise
    return {
      initialize({ model }) { owner = model; },
      render({ model, el }) { // returns at once: what awaits is not shown
        let close = null, closed = false;
        el.textContent = WAITING;
        asked ??= ask(owner, unpack);
        asked.then((sent) => {
          if (!closed) close = widget({ model, el, ...sent });
        });
        return () => {
          closed = true;
          close?.();
        };
      },
    };
  };
}

function ask(model, unpack) {
  return new Promise((resolve) => {
    const listen = ({ kind, packed }, [weights] = []) => {
      if (kind !== "model") return;
      model.off("msg:custom", listen);
      resolve(unpack(packed, weights));
    };
    model.on("msg:custom", listen);
    model.send({ kind: "model" });
  });
}
