"""The estimators, for editors and type checkers."""

from typing import Any

from genbench.sklearn.components import CentresMixin, ComponentsMixin, PrincipalMixin
from genbench.sklearn.labels import ClassesMixin, ConditionalMixin
from genbench.sklearn.methods import (
    CoderMixin,
    DecoderMixin,
    KernelDensityMixin,
    LikelihoodMixin,
    ReconstructionMixin,
    SamplerMixin,
)

class AAE(CoderMixin, ReconstructionMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class AE(CoderMixin, ReconstructionMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class BernoulliMixture(ComponentsMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class BetaTCVAE(CoderMixin, LikelihoodMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class BetaVAE(CoderMixin, LikelihoodMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class CVAE(ConditionalMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class DAE(CoderMixin, ReconstructionMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class GAN(DecoderMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class GaussianMixture(ComponentsMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class GaussianMixtureSGD(ComponentsMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class IWAE(CoderMixin, LikelihoodMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class KMeans(CentresMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class KMeansSGD(CentresMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class KernelDensity(KernelDensityMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class LinearAE(CoderMixin, ReconstructionMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class MADE(LikelihoodMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class MAF(CoderMixin, LikelihoodMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class MiniBatchKMeans(CentresMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class PCA(PrincipalMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class PixelCNN(LikelihoodMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class RealNVP(CoderMixin, LikelihoodMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class SWAE(CoderMixin, ReconstructionMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class SparseAE(CoderMixin, ReconstructionMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class SupervisedAE(ClassesMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class VAE(CoderMixin, LikelihoodMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class VampVAE(CoderMixin, LikelihoodMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class WAE(CoderMixin, ReconstructionMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...

class WGAN(DecoderMixin, SamplerMixin):
    def __init__(self, *args: Any, **parameters: Any) -> None: ...
