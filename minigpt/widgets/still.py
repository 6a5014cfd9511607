"""What a page shows of a widget: how it stood, as HTML that needs no kernel."""

STILL = (
    "This is a still picture. Open the chapter as a notebook, and the sliders move: "
    "each change asks the model again."
)


def still(explorer):
    """A `SamplingExplorer` as it stands now, its controls switched off."""
    k = explorer.settings["top_k"]
    V = explorer.cfg.vocab_size
    sliders = [
        (explorer.temperature, f"{explorer.temperature.value:.2f}"),
        (explorer.top_k, f"all {V:,}" if k is None else f"{k}"),
    ]
    controls = "".join(_slider(control, value) for control, value in sliders)
    return (
        f'<div class="mg-still"><p style="margin:.4em 0">{controls}</p>'
        f"{explorer.message.value}{explorer.picture.value}{explorer.text.value}"
        f'<p style="margin:.4em 0"><i>{STILL}</i></p></div>'
    )


def _slider(control, value):
    return (
        f'<label style="display:inline-block;margin:0 1.5em .3em 0">'
        f"{control.description} "
        f'<input type="range" disabled min="{control.min:g}" max="{control.max:g}" '
        f'step="any" value="{control.value:g}" style="vertical-align:middle"> '
        f"{value}</label>"
    )
