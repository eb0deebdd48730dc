"""Which settings class belongs to each model and dataset of the package, whose code need not be
imported to know it.
"""

from genbench.settings import adversarial, autoencoders, classical, datasets, groups
from genbench.settings.datasets import DatasetSettings
from genbench.settings.run import RunSettings

MODELS: dict[str, type[RunSettings]] = {
    "genbench.models.aae.AAE": autoencoders.AAESettings,
    "genbench.models.ae.Autoencoder": groups.AutoencoderSettings,
    "genbench.models.bmm.BMM": classical.BMMSettings,
    "genbench.models.cvae.CVAE": autoencoders.VAESettings,
    "genbench.models.dae.DAE": autoencoders.DAESettings,
    "genbench.models.gan.GAN": adversarial.GANSettings,
    "genbench.models.gmm.GMM": classical.GMMSettings,
    "genbench.models.gmm.GradientGMM": classical.GradientGMMSettings,
    "genbench.models.kde.KDE": classical.KDESettings,
    "genbench.models.kmeans.GradientKMeans": classical.GradientKMeansSettings,
    "genbench.models.kmeans.KMeans": classical.KMeansSettings,
    "genbench.models.pca.PCA": classical.PCASettings,
    "genbench.models.sparse_ae.SparseAE": autoencoders.SparseAESettings,
    "genbench.models.supervised_ae.SupervisedAE": autoencoders.SupervisedAESettings,
    "genbench.models.swae.SWAE": autoencoders.SWAESettings,
    "genbench.models.vae.VAE": autoencoders.VAESettings,
    "genbench.models.wgan.WGAN": adversarial.WGANSettings,
}
DATASETS: dict[str, type[DatasetSettings]] = {
    "genbench.data.datasets.binarized_mnist": datasets.BinarizedMNISTSettings,
    "genbench.data.datasets.cifar10": datasets.PublishedSettings,
    "genbench.data.datasets.digits": datasets.DigitsSettings,
    "genbench.data.datasets.fashion_mnist": datasets.PublishedSettings,
    "genbench.data.datasets.kmnist": datasets.PublishedSettings,
    "genbench.data.datasets.lfw": datasets.LFWSettings,
    "genbench.data.datasets.mnist": datasets.PublishedSettings,
    "genbench.data.densities.gaussians": datasets.GaussiansSettings,
    "genbench.data.densities.grid": datasets.DensitySettings,
    "genbench.data.densities.moons": datasets.MoonsSettings,
    "genbench.data.densities.ring": datasets.DensitySettings,
    "genbench.data.image_folder.image_folder": datasets.ImageFolderSettings,
}
