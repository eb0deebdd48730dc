"""Real data in place of samples: what numbers of samples could be at best."""

import torch

from genbench.evaluation.context import Evaluation, drawn_points
from genbench.model import Model
from genbench.settings.run import ModelChoice, RunSettings


class RealData(Evaluation):
    """Real data in place of a model's samples: the yardstick of an evaluation's numbers.

    Samples are training points, as many as test points count; where there are fewer, as many test
    points count. What is compared with training points are test points.
    """

    real = True

    def __init__(self, e: Evaluation) -> None:
        # One seed, so that runs share the numbers.
        own = RunSettings(seed=0, model=ModelChoice(name="real data"))
        super().__init__(Model(e.data.spec, own), e.data, {}, e.size, e.block, e.asked)
        self.features, self.most = e.features, min(e.most, len(e.data.train))
        # What is known of the same test points, and of training points, is taken over.
        if len(self.test) == len(e.test):
            known = ("x", "train", "test_features", "test_radii")
            vars(self).update({name: made for name, made in vars(e).items() if name in known})
            self._of_data = e._of_data

    def draw(self, n: int, *purpose: str) -> list[torch.Tensor]:
        return [drawn_points(self.data.train.spread(n))]

    @property
    def unseen(self) -> torch.Tensor:
        return self.x
