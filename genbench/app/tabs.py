"""The tabs of the app for one run, each for a capability of its model."""

from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from genbench.app.explorer import LARGEST_SAMPLE, SIDE, Explorer, Latent
from genbench.utils.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.Image import Image as Picture

IN_A_ROW = 2  # sliders
STARTS = {"the mean of the codes": "mean", "a code at random": "random", "a test point": "point"}


def reported(function: "Callable") -> "Callable":
    """The function, whose errors for the user become messages on the page."""

    def called(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return called


def frame(label: str, name: str, shown: "Picture | None" = None) -> gr.Image:
    """A place for a picture, which has this name in the page."""
    return gr.Image(
        shown,
        label=label,
        elem_id=name,
        format="png",
        buttons=["download", "fullscreen"],
        interactive=False,
    )


def number_field(label: str, name: str) -> gr.Number:
    """A field for a whole number, which has this name in the page."""
    return gr.Number(0, precision=0, minimum=0, label=label, elem_id=name, interactive=True)


def class_choice(explorer: Explorer, optional: bool) -> gr.Dropdown:
    """The class of a conditional model; not visible for others. The value is a label or None."""
    names = {
        label: name
        for label, name in enumerate(explorer.classes)
        if label not in explorer.data.spec.absent
    }
    choices = [(name, label) for label, name in names.items()]
    value = None if optional or not names else next(iter(names))
    info = "all, if none is chosen" if optional else None
    return gr.Dropdown(
        choices, value=value, label="class", info=info, visible=bool(names), interactive=True
    )


def slider(latent: Latent, value: float) -> gr.Slider:
    """The slider of a latent, at this value."""
    name = f"z{latent.place + 1}"
    return gr.Slider(
        latent.low,
        latent.high,
        value=latent.rounded(value),
        step=latent.step,
        label=name,
        elem_id=name,
        buttons=[],
        interactive=True,
    )


def latent_tab(explorer: Explorer) -> None:
    """Sliders for the latents that vary most, and the point that is decoded from them."""
    latents = explorer.latents()
    starts = [name for name, kind in STARTS.items() if kind != "point" or explorer.can("encode")]
    first = explorer.start("mean", 0)
    code = gr.State(first)
    with gr.Row():
        with gr.Column(scale=1):
            with gr.Row():
                where = gr.Dropdown(
                    starts, value=starts[0], label="start from", interactive=True, elem_id="start"
                )
                place = number_field("its number", "number")
            label = class_choice(explorer, optional=False)
            sliders = []
            for start in range(0, len(latents), IN_A_ROW):
                with gr.Row():
                    some = latents[start : start + IN_A_ROW]
                    sliders += [slider(latent, first[latent.place]) for latent in some]
            if len(latents) < len(first):
                gr.Markdown(f"The {len(latents)} latents of {len(first)} that vary most.")
        with gr.Column(scale=1):
            shown = frame("decoded", "decoded", explorer.decoded(first, label.value))
    places = [latent.place for latent in latents]

    def move(code: list[float], label: int | None, *values: float) -> "tuple[list, Picture]":
        moved = [*code]
        for place, value in zip(places, values, strict=True):
            moved[place] = value
        return moved, explorer.decoded(moved, label)

    def begin(where: str, place: float, label: int | None) -> list:
        start = explorer.start(STARTS[where], int(place or 0))
        values = (latent.rounded(start[latent.place]) for latent in latents)
        return [start, explorer.decoded(start, label), *values]

    for moved in sliders:
        moved.input(
            reported(move),
            [code, label, *sliders],
            [code, shown],
            trigger_mode="always_last",
            show_progress="hidden",
        )
    label.input(reported(move), [code, label, *sliders], [code, shown])
    for chosen in (where, place):
        chosen.input(reported(begin), [where, place, label], [code, shown, *sliders])


def samples_tab(explorer: Explorer) -> None:
    """Samples of a seed and, for a conditional model, of a class."""
    with gr.Row():
        n = gr.Slider(
            1,
            LARGEST_SAMPLE,
            64,
            step=1,
            label="samples",
            visible=explorer.is_of_images,
            interactive=True,
        )
        seed = number_field("seed", "seed")
        label = class_choice(explorer, optional=True)
        draw = gr.Button("draw", variant="primary")
    shown = frame("samples", "samples", explorer.sampled(64, 0))

    def drawn(n: int, seed: float, label: int | None) -> "Picture":
        return explorer.sampled(int(n), int(seed or 0), label)

    draw.click(reported(drawn), [n, seed, label], shown)
    for chosen in (seed, label):
        chosen.change(reported(drawn), [n, seed, label], shown)


def drawing_tab(explorer: Explorer) -> None:
    """A drawing or a test image, with noise if one likes, and its reconstruction."""
    _, height, width = explorer.data.spec.shape
    zoom = SIDE / max(height, width)
    size = round(width * zoom), round(height * zoom)
    ground, ink = explorer.canvas()
    with gr.Row():
        with gr.Column():
            pad = gr.Sketchpad(
                _empty(size, ground),
                label="draw here",
                elem_id="pad",
                interactive=True,
                type="pil",
                canvas_size=size,
                fixed_canvas=True,
                layers=False,
                transforms=(),
                brush=gr.Brush(default_size=max(6, SIDE // 14), default_color=ink, colors=[ink]),
                format="png",
            )
            with gr.Row():
                place = number_field("test image", "place")
                take = gr.Button("take this test image")
        with gr.Column():
            noise = gr.Slider(
                0,
                1,
                0,
                step=0.05,
                label="noise",
                info="as a share of black to white",
                interactive=True,
            )
            label = class_choice(explorer, optional=False)
            run = gr.Button("reconstruct", variant="primary")
            with gr.Row():
                seen = frame("input", "seen")
                again = frame("reconstruction", "again")

    def reconstruct(drawing: dict, noise: float, label: int | None) -> "tuple[Picture, Picture]":
        point = explorer.drawing_as_point(_flat(drawing, ground))
        return explorer.reconstructed(point, noise, label)

    def taken(place: float) -> "Picture":
        point = explorer.test_point(int(place or 0))
        return explorer.picture(point, "nearest").resize(size, 0)

    run.click(reported(reconstruct), [pad, noise, label], [seen, again])
    noise.release(reported(reconstruct), [pad, noise, label], [seen, again])
    take.click(reported(taken), place, pad)


def _empty(size: tuple[int, int], ground: str) -> "Picture":
    from PIL import Image

    return Image.new("RGB", size, ground)


def _flat(drawing: dict, ground: str) -> np.ndarray:
    """What the pad shows, as bytes [height, width, 3]."""
    from PIL import Image

    drawn = drawing["composite"].convert("RGBA")
    below = Image.new("RGBA", drawn.size, ground)
    return np.asarray(Image.alpha_composite(below, drawn).convert("RGB"))
