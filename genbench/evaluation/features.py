"""What points are compared by: features of a small classifier that the program trains itself, or
the values they have.

The classifier is a function of all labelled training images of the source, to the bit on one kind
of machine. No setting of a run changes it (limit, labelled, classes, seed, noise), so that numbers
of runs on one dataset compare. It is kept in the cache folder. A digest of its weights stands
beside every number that depends on it.
"""

import contextlib
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from genbench.data.downloads import cache_folder
from genbench.data.splits import order_seed
from genbench.data.types import Data, Reference, Split
from genbench.nn import networks
from genbench.settings.groups import NetworkSettings
from genbench.utils import signals
from genbench.utils.files import CannotWrite, read_bytes, write
from genbench.utils.schema import STANDARDIZED_VALUES

VERSION = 3  # of how a classifier is made; counted up when another one comes out
BATCH, STEPS, PASSES, LR = 128, 500, 30, 5e-3  # at most so many steps, and passes
FEATURES_AT_ONCE = 1000


class Features:
    """The values of points themselves; those of a table standardized, as its columns have units of
    their own.

    `moments` are the mean [*shape] and the standard deviation [*shape] of each value.
    """

    name = "values"
    classes: int = 0  # that `predict` tells apart; 0 where it cannot

    def __init__(self, moments: tuple[torch.Tensor, torch.Tensor] | None = None) -> None:
        self.moments = moments
        if moments is not None:
            self.name = STANDARDIZED_VALUES

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Features [n, d] of points x [n, *shape]."""
        if self.moments is None:
            return x.flatten(1)
        mean, deviation = (moment.to(x.device) for moment in self.moments)
        return ((x - mean) / deviation).to(x.dtype).flatten(1)

    def predict(self, x: torch.Tensor, among: torch.Tensor) -> torch.Tensor:
        """The likeliest class [n] of points x [n, *shape] among these classes [k], in ascending
        order. NotImplementedError where `classes` is 0.
        """
        raise NotImplementedError


class Classifier(Features):
    """The last hidden layer of a classifier; `name` is a digest of its weights."""

    def __init__(self, space_shape: tuple[int, ...], classes: int) -> None:
        self.classes = classes
        self.net = _network(space_shape, classes)
        self.digest()

    def digest(self) -> str:
        """The SHA-256 of the weights, as the features' name in short."""
        found = hashlib.sha256(str(VERSION).encode())
        for name, weights in self.net.state_dict().items():
            found.update(name.encode())
            found.update(weights.contiguous().numpy())
        self.name = f"features of classifier {found.hexdigest()[:12]}"
        return found.hexdigest()

    @torch.no_grad()
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.net[:-1](part) for part in _blocks(x)])

    @torch.no_grad()
    def predict(self, x: torch.Tensor, among: torch.Tensor) -> torch.Tensor:
        return torch.cat([among[self.net(part)[:, among].argmax(1)] for part in _blocks(x)])


def _blocks(x: torch.Tensor) -> Iterator[torch.Tensor]:
    for part in x.split(FEATURES_AT_ONCE):
        signals.check()
        yield part


def _network(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """Convolutions and a hidden layer of 128, rectified; for images below 8x8 the hidden layer
    alone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return networks.encoder(
            shape,
            classes,
            NetworkSettings(network="conv", channels=8, dense=128, activation="relu"),
        )


def features_of(data: Data) -> Features:
    """The features to compare points of this dataset by: a classifier's if they are images with
    classes, else values.
    """
    reference = data.reference
    if reference is None:
        return Features(data.moments)
    found = Classifier(data.spec.shape, reference.classes)
    file = cache_folder() / "features" / f"{_key(reference)}.pt"
    if not _read(file, found):
        _train(found, reference.read())
        _keep(file, found)
    return found


def _key(reference: Reference) -> str:
    """What the classifier is a function of, in short."""
    return hashlib.sha256(
        repr((VERSION, BATCH, STEPS, PASSES, LR, reference.digest)).encode()
    ).hexdigest()


def _read(file: Path, classifier: Classifier) -> bool:
    """Load the classifier's weights from a file; False if it is missing or damaged."""
    try:
        content = torch.load(io.BytesIO(read_bytes(file)), weights_only=True)
        classifier.net.load_state_dict(content["weights"])
        return classifier.digest() == content["digest"]
    except Exception:  # absent, cut short, of another version: torch raises nine kinds
        return False


def _keep(file: Path, classifier: Classifier) -> None:
    out = io.BytesIO()
    torch.save({"weights": classifier.net.state_dict(), "digest": classifier.digest()}, out)
    with contextlib.suppress(
        OSError, CannotWrite
    ):  # without a cache it is trained anew, to the same weights
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, out.getvalue())


@torch.enable_grad()
def _train(classifier: Classifier, part: Split) -> None:
    """Lower the cross-entropy by Adam, with a rate that falls to zero, from weights that are always
    the same.
    """
    classifier.net = net = _network(
        part.shape, classifier.classes
    )  # what a damaged file has left is gone
    of = -(-len(part) // BATCH)
    steps, done = min(STEPS, PASSES * of), 0
    adam = torch.optim.Adam(net.parameters(), lr=LR)
    with _one_thread():
        while done < steps:
            epoch = done // of
            for x, y in part.batches(BATCH, order=order_seed(0, epoch)):
                adam.param_groups[0]["lr"] = LR * max(0.0, 1 - done / steps)
                adam.zero_grad()
                assert y is not None  # these images have labels
                F.cross_entropy(net(x), y).backward()
                adam.step()
                done += 1
    net.requires_grad_(False)
    classifier.digest()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in an order that does not depend on how many cores there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
