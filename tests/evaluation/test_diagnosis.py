"""The diagnosis: what is said to be wrong with a run, and what is not."""

import json

import torch
from helpers.cards import CPU, entry, made, model_with, normal
from helpers.configs import config_of, settings_with, small_config

from genbench.data.loading import load_data
from genbench.data.types import Data, DataSpec, Split
from genbench.evaluation.card import card, evaluated, real_data
from genbench.evaluation.checks.case import percent_below
from genbench.evaluation.context import Evaluation
from genbench.evaluation.diagnosis import diagnose
from genbench.experiment import run
from genbench.runs.curves import late_fall, lowest_point


def test_what_went_wrong_is_told_with_the_setting_to_paste():
    data = load_data(config_of("vae")["dataset"], CPU)

    def quality(precision, coverage):
        return [entry("precision", precision), entry("coverage", coverage)]

    def diagnosed(found, card=(), real=(), data=data, **settings):
        model = model_with(data, 10)
        model.settings = settings_with(model.settings, **settings)
        findings = diagnose(Evaluation(model, data, found), [*card], [*real])
        return [(finding["kind"], finding["setting"]) for finding in findings]

    assert diagnosed({"train": {"d_real": 0.995, "d_fake": 0.001}}, lr=0.1) == [
        ("saturated discriminator", "lr=0.05")
    ]
    modes = [entry("modes", 3, total=8)]
    assert diagnosed({}, modes, generator="network", ema=0.0) == [("missing modes", "ema=0.999")]
    assert diagnosed({}, modes, ema=0.0, n_components=3) == [("missing modes", "n_components=8")], (
        "an average is advised to games alone"
    )
    assert diagnosed({}, modes, n_components=3) == [("missing modes", "n_components=8")], (
        "as many as there are modes"
    )
    assert diagnosed({}, modes, n_components=8) == [("missing modes", "n_components=16")]
    classes = [entry("classes_covered", 7, total=10)]
    assert diagnosed({}, classes, epochs=3) == [("missing classes", "epochs=6")]
    assert diagnosed({}, classes, [entry("classes_covered", 7, total=10)]) == [], "nor do real data"
    copy, plane = [entry("memorisation", 0.01)], made(normal(300, 2, 0), normal(300, 2, 1))
    for given in (0.01, "silverman"):  # in many dimensions, any likely bandwidth copies
        assert diagnosed({}, copy, bandwidth=given) == [("copies", "model=gmm")]
        assert diagnosed({}, copy, data=plane, bandwidth=given) == [("copies", "bandwidth=loo")]
    assert diagnosed({}, copy, data=plane, bandwidth="loo") == [("copies", "model=gmm")]
    assert diagnosed({}, quality(0.1, 0.1), bandwidth=0.5) == [
        ("samples unlike data", "bandwidth=0.25")
    ]
    assert diagnosed({}, quality(0.1, 0.1), reg_covar=1.0, n_components=3) == [
        ("samples unlike data", "reg_covar=0.01")
    ]
    # Poor samples that lack classes have one cause where one setting helps against both.
    assert diagnosed({}, [*classes, *quality(0.1, 0.1)], sampler="prior") == [
        ("missing classes", "sampler=gmm")
    ]
    blurred = entry("memorisation", 0.4)
    assert (
        diagnosed({}, [blurred]) == diagnosed({}, [blurred, entry("copied", -3.6, low=-7.3)]) == []
    )
    assert diagnosed({}, [blurred, entry("copied", 0.3, low=0.1)]) == [("copies", "")]
    # Of few samples, that classes are missing or that some are near is no evidence.
    few = {"n": {"samples": 24, "test": 24}}
    for one in (*classes, *modes, *quality(0.1, 0.1), entry("memorisation", 0.01)):
        assert diagnosed({}, [one | few]) == []
    # Samples that are near data and reach it, but differ from it in many small ways.
    far, near = (entry("fid", 50.0, low=low) for low in (42.0, 30.0))
    real = [entry("fid", 7.0)]
    assert diagnosed({}, [*quality(0.9, 0.8), far], real, generator="network", ema=0.0) == [
        ("samples unlike data", "ema=0.999")
    ]
    assert (
        diagnosed({}, [*quality(0.9, 0.8), near], real)
        == diagnosed({}, [*quality(0.9, 0.8), far])
        == []
    )
    assert diagnosed({}, quality(0.33, 0.22), sampler="prior") == [
        ("samples unlike data", "sampler=gmm")
    ]
    assert diagnosed({}, quality(0.9, 0.22), sampler="prior") == [("low coverage", "sampler=gmm")]
    assert [kind for kind, _ in diagnosed({}, [*quality(0.9, 0.22), far], real)] == [
        "samples unlike data"
    ]
    assert diagnosed({}, quality(0.9, 0.8), sampler="prior") == []
    assert diagnosed({}, [entry("memorisation", 1.0), entry("active_units", 5)]) == []
    # Nothing explains as much as that there was hardly any training, so it comes first.
    few, short = ({"cost": {"epochs": 4, "steps": steps}} for steps in (40, 800))
    assert diagnosed(few, modes, steps=None)[0] == ("undertrained", "epochs=400")
    for better in (
        {"late_fall": -0.1},
        {"late_fall": 0.3, "kept_epoch": 3},
    ):  # where more steps would be worse
        assert [
            kind for kind, _ in diagnosed({"cost": few["cost"] | better}, modes, steps=None)
        ] == ["missing modes"]
    # Nothing else that changes the training is suggested until it has been long enough.
    wrong = {"train": {"d_real": 0.995, "d_fake": 0.001}}
    assert diagnosed(few | wrong, steps=None, lr=0.1) == [
        ("undertrained", "epochs=400"),
        ("saturated discriminator", "epochs=400"),
    ]
    assert diagnosed(few, copy, steps=None, patience=None)[1] == ("copies", "")
    assert diagnosed({}, modes, steps=None, epochs=4) == [("missing modes", "epochs=8")]
    enough = {"cost": {"epochs": 4, "steps": 4000}}
    assert diagnosed(enough, modes, steps=4000, epochs=4) == [("missing modes", "steps=8000")]
    # The remedies agree on the length, also where the curve says that the training was too short.
    both = [("undertrained", "steps=4000"), ("missing modes", "steps=4000")]
    falling, flat, long = (
        {"cost": {"steps": n, "late_fall": late}}
        for n, late in ((400, 0.1), (400, 0.01), (4000, 0.1))
    )
    assert diagnosed(few, modes, steps=40) == diagnosed(falling, modes, steps=400) == both
    assert diagnosed(few, modes, steps=40, sampler="prior") == both, "rather than another sampler"
    assert diagnosed(short, steps=None) == [("undertrained", "epochs=20")], (
        "no curve says otherwise"
    )
    assert [kind for kind, _ in diagnosed(flat, steps=400) + diagnosed(long, steps=4000)] == []
    assert diagnosed(few, modes, epochs=4) == [
        ("missing modes", "epochs=8")
    ]  # what solves in an epoch makes no steps


def collapsed(encode, decode, card=(), posterior=None, d=5, **settings):
    """What is diagnosed of a model with such codes on points of several dimensions."""
    x = normal(300, d, 0)
    model = model_with(data := made(x, x), d, encode=encode, decode=decode)
    if posterior:
        object.__setattr__(model, "posterior", posterior)
    model.settings = settings_with(model.settings, **settings)
    return [
        (finding["kind"], finding["setting"])
        for finding in diagnose(Evaluation(model, data, {}), [*card])
    ]


def test_collapse_is_judged_by_what_is_lost():
    def one(x):
        return torch.cat([x[:, :1], torch.zeros(len(x), x.shape[1] - 1)], 1)

    active = [entry("active_units", 11)]
    assert collapsed(lambda x: x, lambda z: 0.9 * z, active, lambda x: (x, x), d=128) == []
    assert (
        collapsed(
            one,
            lambda z: z,
            [entry("active_units", 1)],
            lambda x: (x, x),
            d=20,
            beta=4.0,
        )
        == []
    )
    none = [entry("active_units", 0)]
    assert collapsed(lambda x: 0.01 * x, lambda z: z, none, lambda x: (x, x), beta=4.0) == [
        ("posterior collapse", "beta=1")
    ]
    assert collapsed(lambda x: 0.01 * x, lambda z: z, none, lambda x: (x, x), beta=0.5) == [
        ("posterior collapse", "beta=0.05")
    ]
    # What labels alone decode to differs, too: then the latents say so.
    assert collapsed(lambda x: 0.01 * x, lambda z: 90 * z, none, lambda x: (x, x)) == [
        ("posterior collapse", "")
    ]
    iwae = {"beta": 4.0, "objective": "iwae", "lr": 0.001}
    assert collapsed(lambda x: 0 * x, lambda z: z, none, lambda x: (x, x), **iwae) == [
        ("posterior collapse", "lr=0.0003")
    ]
    assert collapsed(lambda x: 0 * x + 3, lambda z: z, lr=0.01) == [("collapse", "lr=0.003")]
    assert collapsed(lambda x: x, lambda z: 0.01 * z, **{"lambda": 10.0}) == [
        ("collapse", "lambda=1")
    ]
    assert collapsed(one, lambda z: z) == [("idle units", "latent_dim=1")]
    assert collapsed(lambda x: x, lambda z: z) == [("nothing to compress", "latent_dim=4")]


def test_a_share_below_a_threshold_does_not_look_like_it():
    assert percent_below(0.009999) == "0.99%" and percent_below(0.0042) == "0.42%"


def test_samples_that_are_one_point_are_no_copies_and_lie_near_nothing():
    x = normal(300, 5, 0)
    near = [entry("memorisation", 0.01), entry("precision", 1.0), entry("coverage", 0.1)]

    def diagnosed(width, **more):
        model = model_with(
            data := made(x, x), 5, sample=lambda n, rng: width * normal(n, 5, 1), **more
        )
        model.settings = settings_with(model.settings, lr=0.1)
        return [
            (finding["kind"], finding["setting"])
            for finding in diagnose(Evaluation(model, data, {}), near)
        ]

    assert diagnosed(0.01) == [("samples alike", "lr=0.03")]
    assert diagnosed(0.01, encode=lambda x: 0 * x + 3) == [("collapse", "lr=0.03")], (
        "which explains the samples, too"
    )
    assert [kind for kind, _ in diagnosed(1.0)] == ["low coverage", "copies"]


def test_a_curve_that_still_falls_in_its_second_half_is_known():
    assert late_fall({3: 6.0, 1: 10.0, 2: 7.0, 4: 5.0, 5: 2.0}) == 0.5
    assert late_fall({epoch: 100 * 0.9**epoch for epoch in range(1, 200)}) < 1e-4
    assert late_fall({1: 3.0, 2: 2.0, 3: 1.0}) is late_fall(dict.fromkeys(range(9), 1.0)) is None
    assert late_fall({epoch: float(epoch) for epoch in range(9)}) == -0.5
    assert late_fall({1: 5.0, 2: 9.0, 3: 9.0, 4: 4.0, 5: 4.0}) == 1, (
        "a loss that rises before it falls"
    )


def with_losses(train, test, **more):
    """What is diagnosed of a model with these losses of single points, in parts of these sizes."""
    points = [torch.tensor(losses).double()[:, None] for losses in (train, test, test)]
    parts = {name: Split(x, None) for name, x in zip(("train", "validation", "test"), points)}
    data = Data("made", parts, DataSpec((1,), False))
    model = model_with(data, evaluate=lambda batch, rng: {model.criterion: batch.x.mean()})
    model.criterion = more.pop("criterion", "nll")
    model.settings = settings_with(model.settings, patience=None, **more.pop("settings", {}))
    findings = diagnose(Evaluation(model, data, {"cost": {"epochs": 500, **more}}), [])
    return [(finding["kind"], finding["setting"]) for finding in findings]


def test_overfitting_is_judged_by_how_losses_scatter():
    losses = normal(200, 1, 0)[:, 0]
    train, test = (losses[:100] - 2).tolist(), losses[100:].tolist()
    half = {"settings": {"n_components": 8}}
    for unit in (1, 100):
        found = with_losses([unit * x for x in train], [unit * x for x in test], **half)
        assert found == [("overfitted", "n_components=4")]
    # More than the usual variance makes Gaussians too wide: then smaller mixtures help.
    for given, components, setting in (
        ("auto", 8, "reg_covar=0.1"),
        (1e-3, 8, "reg_covar=0.1"),
        (0.1, 8, "n_components=4"),
        (0.1, 1, "covariance=diag"),
    ):
        of = {"n_components": components, "reg_covar": given, "covariance": "full"}
        assert with_losses(train, test, settings=of) == [("overfitted", setting)]
    assert with_losses((losses[:100] - 0.3).tolist(), test) == []
    assert [kind for kind, _ in with_losses(train[:5], test[:2])] == ["few points"]
    # A smaller gap counts, too, where the loss rose after its minimum.
    some = (losses[:100] - 0.7).tolist()
    assert with_losses(some, test) == []
    flat = {"late_fall": 0.1}
    assert with_losses(some, test, **flat) == []
    assert with_losses(train, test, criterion="loss", **flat) == [], "nothing is lost yet"
    assert with_losses(train, test, **flat) != [], "a likelihood of training points alone"
    rose = flat | {"late_rise": 0.2, "lowest_epoch": 78}
    assert with_losses(some, test, **rose) == [("overfitted", "patience=20")]
    slightly = flat | {"late_rise": 0.02, "lowest_epoch": 78}
    assert with_losses(some, test, **slightly) == with_losses(test, test, **rose) == []


def test_few_pictures_are_judged_from_enough_samples():
    train, test = normal(20, 3, 0), normal(2, 3, 1)
    parts = {"train": Split(train, None), "test": Split(test, None)}
    data = Data("made", parts, DataSpec((3,), False))

    def kinds(samples):
        able = {"encode": lambda x: x, "decode": lambda z: 0.9 * z}
        e = Evaluation(model_with(data, 2, sample=lambda n, rng: samples[:n], **able), data, {})
        return [finding["kind"] for finding in diagnose(e, card(e))]

    new = normal(64, 3, 2)
    new[:2] = new[0]  # the two that a card would look at
    able = {"encode": lambda x: x, "sample": lambda n, rng: new[:n]}
    e = Evaluation(model_with(data, 2, **able), data, {})
    names = {entry["name"] for entry in card(e)}
    assert not names & {"fid", "copied", "memorisation", "mmd"} and real_data(e) == []
    assert kinds(new) == ["few points"]
    assert kinds(new[:1].repeat(64, 1)) == ["few points", "samples alike"]
    assert kinds(train.repeat(4, 1)[:64] + 0.01 * new) == ["few points", "copies"]
    assert kinds(train.mean(0) + 0.2 * new) == ["few points"], "blur is near to all, not to one"


def test_the_minimum_of_a_curve_before_its_end_is_known():
    assert lowest_point({1: 3.0, 2: 1.0, 3: 1.5, 4: 2.0}) == (2, 1.0)
    assert lowest_point({1: 4.0, 2: 3.0, 3: 2.0, 4: 1.0}) is lowest_point({1: 1.0, 2: 2.0}) is None
    noisy = {k: abs(k - 100) / 50 + (-1) ** k for k in range(1, 401)}
    epoch, rise = lowest_point(noisy)
    assert abs(epoch - 100) < 20 and 5 < rise < 6


def test_what_a_model_says_of_its_fit_is_kept_with_its_numbers(tmp_path, genbench):
    done = run(small_config("gmm", "n_components=2"), tmp_path / "run")
    (remark,) = json.loads((tmp_path / "run" / "metrics.json").read_text())["remarks"]
    assert [remark] == done.model.warnings() and "singular or nearly so" in remark
    assert remark in " ".join(genbench("show", "run").stdout.split())


def test_cross_entropy_on_grey_values_is_told_after_what_matters_more(tmp_path):
    done = run(small_config("vae", "likelihood=bernoulli", "beta=8"), tmp_path)
    found = {
        entry["kind"]: entry
        for entry in evaluated(done.model, done.data, done.metrics, "quick")["diagnosis"]
    }
    assert "likelihood=bernoulli" in found["no likelihood"]["text"]
    assert next(iter(found)) == "undertrained" and [*found][-1] == "no likelihood"
