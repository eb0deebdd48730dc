"""What settings and values are called elsewhere, and which known name a user probably meant."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

# How alike two names must be, from 0 to 1, to be taken for each other.
ALIKE = 0.75  # below it, `lr_decay` is like `weight_decay`
ALIKE_SYNONYM = 0.85  # stricter, because there are many

# What others call a setting, without regard to case, dashes and underscores.
SYNONYMS = {
    "lr": "learningrate stepsize rate",
    "batch_size": "bs batch batchsize minibatch minibatchsize",
    "epochs": "epoch nepochs numepochs maxepochs nepoch passes",
    "steps": "nsteps numsteps maxsteps iterations iters niter maxiter",
    "latent_dim": (
        "zdim z latent latents latentsize nlatent nlatents codesize codedim bottleneck dim"
    ),
    "draws": "k importancesamples niwae nsamples",
    "n_components": (
        "k clusters nclusters numclusters components numcomponents centers ncenters nmixtures"
    ),
    "network": "decoder encoder architecture arch net backbone",
    "hidden": "hiddendim hiddendims hiddensize hiddensizes hiddenlayers layers units width",
    "channels": "filters nfilters numfilters",
    "beta": "klweight kl kld",
    "objective": "loss bound",
    "reconstruction": "loss recon reconloss reconstructionloss",
    "generator_loss": "loss gloss ganloss",
    "likelihood": "decoderdistribution outputdistribution",
    "annealing": "klannealing betaannealing anneal",
    "seed": "randomseed randomstate rngseed",
    "optimizer": "optim opt optimiser",
    "momentum": "mom",
    "adam_betas": "betas beta1 beta2",
    "adam_eps": "eps epsilon",
    "weight_decay": "wd l2",
    "ema": "emadecay emarate weightaverage weightaveraging polyak",
    "grad_clip": "clipgrad gradientclip gradientclipping clipnorm maxgradnorm gradnorm",
    "activation": "act nonlinearity activationfn",
    "norm": "normalization normalisation batchnorm layernorm",
    "schedule": "scheduler lrscheduler lrschedule lrdecay learningratedecay",
    "patience": "earlystopping earlystop",
    "tol": "tolerance",
    "n_init": "restarts nrestarts",
    "covariance": "covariancetype cov",
    "bandwidth": "bw",
    "discriminator_lr": "dlr lrd",
    "generator_lr": "glr lrg",
    "r1_gamma": "gamma r1",
    "clip": "clipvalue weightclip",
    "n_critic": "ncritics criticsteps criticiters",
    "device": "gpu cuda accelerator",
    "save_every": "checkpointevery saveinterval checkpointinterval",
    "validate_every": "evalevery valinterval validationinterval",
    "evaluation": "evaluate eval",
    "dataset": "data",
    "dataset.root": "datadir datapath datafolder path folder",
    "dataset.path": "datafile filename file filepath csv",
    "dataset.label": "target labelcolumn targetcolumn ycolumn class",
    "dataset.header": "columnnames colnames names noheader hasheader",
    "dataset.drop": "exclude dropcolumns ignore",
    "dataset.columns": "usecols features include",
    "dataset.missing": "impute imputer nan na fillna",
    "dataset.range": "minmax limits scale",
    "dataset.axes": "layout channelorder order shape",
    "dataset.limit": "nsamples numsamples nsample subset",
    "dataset.val_size": "valsplit validationsplit valfraction",
    "dataset.test_size": "testsplit testfraction",
    "dataset.labelled": "labels nlabels numlabels nlabelled",
}

# The same for the words that settings take, and for models and datasets.
VALUE_SYNONYMS = {
    "gaussian": "normal gauss",
    "normal": "gaussian gauss",
    "bernoulli": "bce binary",
    "mse": "gaussian normal l2 squared",
    "bce": "bernoulli crossentropy binarycrossentropy",
    "conv": "cnn convolutional dcgan",
    "mlp": "fc dense fullyconnected feedforward",
    "leaky-relu": "lrelu",
    "silu": "swish",
    "none": "off no false null disabled",
    "layer": "layernorm ln",
    "constant": "none null off fixed",
    "cosine": "cosineannealing cos",
    "stages": "step steps multistep steplr",
    "cyclical": "cyclic cycle",
    "diag": "diagonal",
    "masking": "mask dropout",
    "penalty": "gp gradientpenalty",
    "clipping": "weightclipping clip",
    "loo": "leaveoneout crossvalidation",
    "learned": "learn learnt trainable",
    "auto": "gpu nvidia",  # of a device: a GPU if there is one
    "mps": "metal apple",
    "true": "yes on",
    "false": "no off none",
    "first-row": "yes true infer first",
    "ae": "autoencoder",
    "gmm": "gaussianmixture",
    "bmm": "bernoullimixture",
    "beta-vae": "bvae",
    "wgan": "wgangp",
    "cifar10": "cifar",
    "fashion-mnist": "fmnist fashion",
    "moons": "twomoons makemoons",
    "image-folder": "images folder pictures",
}


def nearest(name: str, names: Iterable[str], synonyms: Mapping[str, str] = SYNONYMS) -> str | None:
    """The one of the names that was probably meant, or None where no name is near.

    It is the same but for case, dashes and what stands before its dot; or what the synonyms say;
    or spelt alike.
    """
    names = list(names)
    for group in sorted({n.rpartition(".")[0] for n in names} - {""}):
        if re.match(rf"{re.escape(group)}[-_.]", name.lower()):  # as in dataset_limit
            names = [n for n in names if n.startswith(f"{group}.")]
            name = name[len(group) + 1 :]
            break
    whole, bare = _bare(name), _bare(_last(name))
    same = [n for n in names if _last(n) == name] or [
        n for n in names if whole == _bare(n) or _bare(_last(n)) in (whole, bare)
    ]
    called = {word: n for n in reversed(names) for word in synonyms.get(n, "").split()}
    if same or bare in called:
        return same[0] if same else called[bare]
    spelt = {_bare(_last(n)): n for n in reversed(names)}
    swapped = [n for form, n in spelt.items() if sorted(form) == sorted(bare)]  # vea for vae
    return (
        _alike(bare, spelt, ALIKE)
        or next(iter(swapped), None)
        or _alike(bare, called, ALIKE_SYNONYM)
    )


def nearest_value(value: str, words: Iterable[str]) -> str | None:
    """The same for a value of a setting, a model or a dataset."""
    return nearest(value, words, VALUE_SYNONYMS)


def _alike(bare: str, forms: Mapping[str, str], cutoff: float) -> str | None:
    """The name whose form is most alike, if one is alike enough."""
    return next((forms[f] for f in get_close_matches(bare, forms, n=1, cutoff=cutoff)), None)


def _last(name: str) -> str:
    """What stands behind the last dot of a name."""
    return name.rpartition(".")[2]


def _bare(name: str) -> str:
    return re.sub(r"[-_. ]", "", name.lower())
