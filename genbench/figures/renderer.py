"""All pictures of a model: by what it is capable of, and by what it returns from `visualizations`.

A figure is a function `(scene, model) -> picture`, or None where it does not apply. `FIGURES` lists
them. What can also be asked of a finished run (`cli.generate`) is computed by one function, as
arrays, and drawn by another.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch

from genbench.figures import latent, reconstructions, samples
from genbench.figures.scene import Scene
from genbench.figures.visualizations import draw_visualization
from genbench.model import Model, loses_information, supports


class Figure(NamedTuple):
    """A figure of every model with these capabilities, on data of these kinds.

    It is drawn at the end of a training; on the kinds in `throughout` also during it. One that
    `shows_loss` between encoder and decoder is not drawn of models that lose nothing.
    """

    name: str
    show: Callable[[Scene, Model], torch.Tensor | None]
    needs: tuple[str, ...]
    kinds: tuple[str, ...]
    throughout: tuple[str, ...] = ()
    shows_loss: bool = False

    def applies(self, kind: str, model: Model) -> bool:
        """Whether there is such a figure of this model, on data of this kind."""
        if self.shows_loss and not loses_information(model):
            return False
        return kind in self.kinds and supports(model, *self.needs)


KINDS_OF_DATA = ("images", "plane", "line", "vectors", "signals")
AUTOENCODER = ("encode", "decode")
FIGURES = (
    Figure(
        "samples",
        samples.show_samples,
        ("sample",),
        KINDS_OF_DATA,
        throughout=("images", "plane", "line", "signals"),
    ),
    Figure("density", samples.show_density, ("log_prob",), ("plane", "line")),
    Figure("score", samples.show_score, ("score",), ("plane",)),
    Figure(
        "reconstructions",
        reconstructions.show_reconstructions,
        AUTOENCODER,
        ("images", "plane", "vectors", "signals"),
        throughout=("images", "plane", "signals"),
        shows_loss=True,
    ),
    Figure("codes", latent.show_codes, ("encode",), KINDS_OF_DATA),
    Figure("interpolation", latent.show_interpolation, AUTOENCODER, ("images", "plane", "signals")),
    Figure("traversal", latent.show_traversal, ("decode",), ("images", "plane", "signals")),
    Figure("manifold", latent.show_manifold, ("decode",), ("images", "plane")),
)


class FigureRenderer(Scene):
    """Draws the pictures of models that were trained on one dataset."""

    @torch.no_grad()
    def watched(self, model: Model, epoch: int) -> Iterator[tuple[str, torch.Tensor]]:
        """The name and the picture of what one watches as this model trains."""
        yield from self._figures(model, epoch, throughout=True)

    @torch.no_grad()
    def finished(self, model: Model, epoch: int) -> Iterator[tuple[str, torch.Tensor]]:
        """The name and the picture of everything else that this model can show."""
        yield from self._figures(model, epoch, throughout=False)
        for name, shown in model.visualizations(self.points(2000), self.rng("views")).items():
            picture = draw_visualization(self, model, shown)
            if picture is not None:
                yield name, picture

    def _figures(
        self, model: Model, epoch: int, throughout: bool
    ) -> Iterator[tuple[str, torch.Tensor]]:
        self.at(epoch)
        for figure in FIGURES:
            is_watched = self.kind in figure.throughout
            if figure.applies(self.kind, model) and is_watched == throughout:
                picture = figure.show(self, model)
                if picture is not None:
                    yield figure.name, picture

    @torch.no_grad()
    def projection(
        self, model: Model, n: int = 1024
    ) -> tuple[torch.Tensor, list[str] | None, torch.Tensor | None] | None:
        """Codes [n, d] of held-out points with their labels and, if they are images, the images;
        None without codes.
        """
        if not supports(model, "encode") or model.latent_dim is None:
            return None
        z, y = latent.encoded(self, model, n)
        labels = None if y is None else [self.data.called(label) for label in y.tolist()]
        return z, labels, self.points(n) if self.kind == "images" else None
