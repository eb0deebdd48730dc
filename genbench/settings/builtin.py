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
    "genbench.data.published.binarized_mnist": datasets.BinarizedMNISTSettings,
    "genbench.data.published.cifar10": datasets.PublishedSettings,
    "genbench.data.published.digits": datasets.DigitsSettings,
    "genbench.data.published.emnist": datasets.EMNISTSettings,
    "genbench.data.published.fashion_mnist": datasets.PublishedSettings,
    "genbench.data.published.kmnist": datasets.PublishedSettings,
    "genbench.data.published.lfw": datasets.LFWSettings,
    "genbench.data.published.mnist": datasets.PublishedSettings,
    "genbench.data.published.svhn": datasets.PublishedSettings,
    "genbench.data.published.usps": datasets.PublishedSettings,
    "genbench.data.synthetic.gaussians": datasets.GaussiansSettings,
    "genbench.data.synthetic.grid": datasets.DensitySettings,
    "genbench.data.synthetic.moons": datasets.MoonsSettings,
    "genbench.data.synthetic.ring": datasets.DensitySettings,
    "genbench.data.image_folder.image_folder": datasets.ImageFolderSettings,
}
