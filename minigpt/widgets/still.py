"""What a page shows of a widget where no script runs: how it stands, as HTML."""

LIVE = "This is a still picture. With JavaScript switched on, or in a notebook, "
STILL = f"{LIVE}the sliders move, and each change asks the model again."


def still(story, sliders, picture, said=STILL):
    """A story (HTML), sliders (name, place from 0 to 1, words), and a picture below."""
    controls = "".join(_slider(*slider) for slider in sliders)
    return (
        '<div class="mg-still">'
        '<p style="line-height:1.6;max-width:40em;white-space:pre-wrap">'
        f'{story}</p><p style="margin:.4em 0">{controls}</p>{picture}'
        f'<p style="margin:.4em 0"><i>{said}</i></p></div>'
    )


def _slider(name, place, words):
    return (
        f'<label style="display:inline-block;margin:0 1.5em .3em 0">{name} '
        f'<input type="range" disabled min="0" max="1" step="any" value="{place:.4g}" '
        f'style="vertical-align:middle"> {words}</label>'
    )
