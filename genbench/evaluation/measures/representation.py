"""What codes know of the classes, and how they lie: measures of encoders."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

from genbench.evaluation.context import FEW, Evaluation, K
from genbench.evaluation.measures.samples import sliced
from genbench.evaluation.registry import POSITIVE, SHARE, measure
from genbench.model import supports
from genbench.stats.intervals import Measured


class CodeClassifier(Protocol):
    """A classifier as scikit-learn has them, of codes [n, d] and labels [n]."""

    def fit(self, codes: np.ndarray, y: np.ndarray) -> object:
        """Learn from labelled codes."""

    def predict(self, codes: np.ndarray) -> np.ndarray:
        """The labels of codes."""


def correct(e: Evaluation, classifier: CodeClassifier) -> Measured | None:
    """The accuracy on test codes of a scikit-learn classifier of training codes.

    Codes that were made from the labels say nothing of them.
    """
    if not (e.vectors and e.labelled) or e.model.conditional:
        return None
    codes, y = e.train_codes
    classifier.fit(codes.numpy(), y.numpy())
    predicted = torch.as_tensor(classifier.predict(e.codes.numpy()))
    return e.mean(predicted == e.test_labels, n={"test": len(predicted), "train": len(codes)})


@measure(
    "encode",
    group="representation",
    unit="share of test points",
    better="higher",
    source="Cover & Hart 1967",
    headline=True,
    only="of models whose codes are vectors made without labels, on data with labels",
)
def knn_accuracy(e: Evaluation) -> Measured | None:
    """Accuracy of the majority of the 5 nearest training codes: whether codes of a class are
    neighbours.
    """
    from sklearn.neighbors import KNeighborsClassifier

    return correct(e, KNeighborsClassifier(K))


@measure(
    "encode",
    group="representation",
    unit="share of test points",
    better="higher",
    source="Alain & Bengio 2016, arXiv:1610.01644",
    only="of models whose codes are vectors made without labels, on data with labels, "
    "by evaluation=full",
)
def linear_probe(e: Evaluation) -> Measured | None:
    """Accuracy of a logistic regression on standardised codes: whether planes tell the codes of
    classes apart.
    """
    if e.size == "quick":
        return None
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return correct(e, make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, tol=1e-3)))


def clusters(e: Evaluation) -> torch.Tensor:
    """The cluster [n] of each test point, of models whose codes are clusters or shares of them."""
    e.need(not e.vectors and e.labelled and e.test.y is not None and len(e.test) > 1)
    return e.codes if e.codes.dim() == 1 else e.codes.argmax(1)


@measure(
    "encode",
    group="representation",
    unit="share of the mean entropy",
    better="higher",
    source="Vinh et al. 2010, JMLR 11:2837",
    headline=True,
    within=SHARE,
    only="of models whose codes are clusters, on data with labels",
)
def nmi(e: Evaluation) -> Measured:
    """Mutual information of clusters and classes over the mean of their entropies: 0 for none, 1
    where each tells the other.
    """
    from sklearn.metrics import normalized_mutual_info_score

    return agreement(e, normalized_mutual_info_score)


@measure(
    "encode",
    group="representation",
    unit="index",
    better="higher",
    source="Hubert & Arabie 1985, doi:10.1007/BF01908075",
    within=(-0.5, 1.0),
    only="of models whose codes are clusters, on data with labels",
)
def ari(e: Evaluation) -> Measured:
    """Adjusted Rand index of clusters and classes: 0 by chance, 1 where they are the same."""
    from sklearn.metrics import adjusted_rand_score

    return agreement(e, adjusted_rand_score)


def agreement(e: Evaluation, score: Callable[[np.ndarray, np.ndarray], float]) -> Measured:
    """The score of the classes and the clusters of test points."""
    found = clusters(e)
    pairs = torch.stack([e.test_labels, found], 1)
    return e.resampled(lambda of: score(*of(pairs).T.numpy()), {"test": len(pairs)}, FEW)


def posteriors(e: Evaluation) -> tuple[torch.Tensor, torch.Tensor]:
    """Means and log variances [n, d] of q(z|x) of the test points."""
    found = [e.model.conditioned_on(y).posterior(x) for x, y in e.test.batches(e.block)]
    means, logvar = (torch.cat([pair[i].cpu().double() for pair in found]) for i in (0, 1))
    return means, logvar


@measure(
    "posterior",
    group="representation",
    unit="dimensions",
    source="Burda et al. 2016, arXiv:1509.00519",
)
def active_units(e: Evaluation) -> Measured:
    """Number of dimensions of the code whose mean under q(z|x) varies by more than .01 over the
    test points.
    """
    means, _ = e.once(posteriors)
    return Measured(
        int((means.var(0, correction=0) > 0.01).sum()),
        {"test": len(means)},
        total=e.model.latent_dim,
    )


@measure(
    "encode",
    "codes",
    group="representation",
    unit="units of the codes",
    better="lower",
    source="Tolstikhin et al. 2018",
    within=POSITIVE,
    only="of models whose codes are vectors",
)
def code_mismatch(e: Evaluation) -> Measured | None:
    """Sliced 2-Wasserstein distance between the codes of test points (drawn, where they are
    distributions) and those that the model generates from.
    """
    if not e.vectors or len(e.test) < 2:
        return None
    codes = e.codes
    if supports(e.model, "posterior"):
        rng, (means, logvar) = e.rng("posterior"), e.once(posteriors)
        codes = (
            means
            + (logvar / 2).exp() * torch.randn(means.shape, generator=rng, device=rng.device).cpu()
        )
    drawn = e.model.codes(len(codes), e.rng("prior")).cpu()
    n = {"test": len(codes), "draws": len(drawn)}
    return sliced(
        e,
        codes,
        drawn,
        n,
        of=f"codes of {e.model.settings.model.name}, draws from {e.model.source_of_codes}",
    )
