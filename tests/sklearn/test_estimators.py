"""Models as estimators of scikit-learn."""

import ast
import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.configs import PLAINEST
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import genbench.sklearn as estimators
from genbench.config.registry import builtin_registry
from genbench.sklearn.names import estimator_name

# Of estimators that learn by steps: enough of them for what is checked.
FAST = {"steps": 20, "hidden": [32], "discriminator_hidden": [8], "max_iter": 20, "latent_dim": 2}
FAST |= {"n_components": 2, "n_clusters": 3, "reg_covar": 1e-3}
MORE = {"SupervisedAE": {"steps": 100, "lr": 3e-2, "lambda_": 30.0}}
FAST |= {"width": 8, "depth": 1, "sampling_steps": 2, "likelihood_steps": 2}
CHEAP = ("KMeans", "PCA")  # whose checks every run of the tests does
ONE_OF_A_KIND = ("GaussianMixture", "KernelDensity", "VAE", "GAN", "OTFlow", "MAF")  # those of CI
# Checks of scikit-learn that do not apply to an estimator, by its name, each with the reason.
EXCEPTIONS: dict[str, dict[str, str]] = {}


def quick(name, **chosen):
    """An estimator that is fitted in a fraction of a second."""
    made = getattr(estimators, name)
    known = inspect.signature(made).parameters
    fast = {key: value for key, value in FAST.items() if key in known}
    if name == "LinearAE":
        fast.pop("hidden")
    return made(**(fast | MORE.get(name, {}) | chosen))


def exceptions(estimator):
    return EXCEPTIONS.get(type(estimator).__name__, {})


@parametrize_with_checks([quick(n) for n in CHEAP], expected_failed_checks=exceptions)
def test_estimators_pass_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.extras
@parametrize_with_checks([quick(n) for n in ONE_OF_A_KIND], expected_failed_checks=exceptions)
def test_estimators_of_each_kind_pass_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [quick(n) for n in map(estimator_name, PLAINEST) if n not in (*CHEAP, *ONE_OF_A_KIND)],
    expected_failed_checks=exceptions,
)
def test_all_other_estimators_pass_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def wine():
    return load_wine(return_X_y=True, as_frame=True)


@pytest.mark.extras
@pytest.mark.parametrize("name", dir(estimators))
def test_every_model_fits_a_table_in_silence_and_survives_pickling(
    name, wine, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    x, y = wine
    fitted = quick(name).fit(x, y)
    again = pickle.loads(pickle.dumps(fitted))
    for method in ("transform", "predict", "score_samples", "predict_proba"):
        if hasattr(fitted, method):
            result = getattr(fitted, method)(x)
            assert len(result) == len(x) and (result == getattr(again, method)(x)).all()
    assert (fitted.sample(3, random_state=1) == again.sample(3, random_state=1)).all()
    assert fitted.sample(3).shape == (3, 13) and fitted.n_iter_ >= 1
    assert [*fitted.feature_names_in_] == [*x.columns]
    assert repr(clone(fitted)) == repr(quick(name))
    assert capsys.readouterr() == ("", "") and not any(tmp_path.iterdir())


def test_there_is_an_estimator_for_each_model():
    models = builtin_registry().names("model")
    assert sorted(getattr(estimators, name).model_name for name in dir(estimators)) == models
    with pytest.raises(AttributeError, match="'Kmeans'; did you mean KMeans"):
        estimators.Kmeans  # noqa: B018
    assert not hasattr(estimators, "__path_of_nothing__")


@pytest.mark.parametrize("name", dir(estimators))
def test_the_signature_and_the_docstring_have_every_parameter(name):
    made = getattr(estimators, name)
    parameters = inspect.signature(made).parameters
    assert {*parameters} == {*made().get_params()}
    text = made.__doc__
    for parameter in parameters.values():
        assert f"\n{parameter.name} : " in text
        assert f"default={parameter.default!r}" in text.partition(f"\n{parameter.name} : ")[2]
    assert "null" not in text and text.index("Parameters\n----") < text.index("Attributes\n----")
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("name", dir(estimators))
def test_the_docstring_of_a_method_has_every_parameter(name):
    made = getattr(estimators, name)
    for method in ("fit", "predict", "transform", "inverse_transform", "score", "sample"):
        if hasattr(made, method):
            function = inspect.unwrap(getattr(made, method))
            text = inspect.getdoc(function)
            for parameter in [*inspect.signature(function).parameters][1:]:
                assert f"\n{parameter} : " in text, (method, parameter)
            assert text.index("Parameters\n----------\n") < text.index("Returns\n-------\n")
            assert max(map(len, text.splitlines())) <= 100


def test_a_misspelt_parameter_is_named_with_the_nearest():
    with pytest.raises(TypeError, match=r"VAE\(\) got an unexpected .* 'bta'; did you mean 'beta'"):
        estimators.VAE(bta=1)
    with pytest.raises(TypeError, match="did you mean 'random_state'"):
        estimators.PCA(random_stat=1)


@pytest.mark.parametrize(
    ("name", "chosen", "match"),
    [
        ("VAE", {"beta": -1}, r"^beta: must be float >= 0 \(got -1\)"),
        ("PCA", {"n_components": 50}, "^n_components: must be at most 13 with 178 training points"),
        ("KMeans", {"n_clusters": 500}, r"^n_clusters: .*; fix: n_clusters=178"),
        ("GaussianMixture", {"covariance_type": "all"}, "^covariance_type: must be full"),
        ("VAE", {"image_shape": (1, 3, 4)}, "^image_shape: channels, height and width make 13"),
        ("BernoulliMixture", {"binarize": None}, "^binarize: X holds other values than 0 and 1"),
        ("WGAN", {"constraint": "clipping", "lambda_": 2.0}, "^lambda_: has no effect with"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_the_parameter(name, chosen, match, wine):
    with pytest.raises(ValueError, match=match):
        getattr(estimators, name)(**chosen).fit(wine[0])


def test_what_scikit_learn_has_too_gives_the_same(wine):
    x = StandardScaler().fit_transform(wine[0])
    ours, theirs = estimators.PCA(n_components=3).fit(x), PCA(3).fit(x)
    assert np.allclose(abs(ours.components_), abs(theirs.components_), atol=1e-5)
    assert np.allclose(abs(ours.transform(x)), abs(theirs.transform(x)), atol=1e-4)
    for name in ("explained_variance_", "explained_variance_ratio_", "noise_variance_", "mean_"):
        assert np.allclose(getattr(ours, name), getattr(theirs, name), atol=1e-5)
    start = x[:3]
    centres = KMeans(3, n_init=50, random_state=0).fit(x)
    ours = estimators.KMeans(n_clusters=3, n_init=50).fit(x)
    assert ours.inertia_ == pytest.approx(centres.inertia_, rel=1e-4)
    assert np.allclose(ours.transform(start).min(1), centres.transform(start).min(1), atol=1e-4)
    assert ours.score(x) == pytest.approx(-ours.inertia_)
    mixture = estimators.GaussianMixture(n_components=2, tol=1e-8).fit(x)
    theirs = GaussianMixture(2, tol=1e-8, n_init=10, random_state=0).fit(x)
    assert mixture.score(x) == pytest.approx(theirs.score(x), abs=0.3)
    assert mixture.weights_.sum() == pytest.approx(1) and mixture.means_.shape == (2, 13)


def test_densities_and_points_are_in_the_units_of_the_data(wine):
    x = wine[0]
    for name in ("PCA", "VAE", "GaussianMixture"):
        fitted = quick(name, standardize=True).fit(x)
        scaled = quick(name, standardize=True).fit(x * 1000)
        jacobian = x.shape[1] * np.log(1000)
        assert scaled.score(x * 1000) == pytest.approx(fitted.score(x) - jacobian, abs=0.02)
        assert np.allclose(scaled.sample(4, 0), 1000 * fitted.sample(4, 0), rtol=1e-3)
        again = fitted.inverse_transform(fitted.transform(x))
        assert abs(again.mean(0) / x.mean() - 1).max() < 0.3


def test_a_pipeline_is_searched_and_kept(wine, tmp_path):
    x, y = wine
    pipeline = make_pipeline(StandardScaler(), quick("VAE")).set_output(transform="pandas")
    search = GridSearchCV(pipeline, {"vae__beta": [0.5, 4.0], "vae__latent_dim": [2]}, cv=2)
    best = search.fit(x).best_estimator_
    codes = best.transform(x)
    assert isinstance(codes, pd.DataFrame) and [*codes.columns] == ["vae0", "vae1"]
    assert [*codes.index] == [*x.index]
    kept = pickle.loads(pickle.dumps(best))
    pd.testing.assert_frame_equal(kept.transform(x), codes)
    assert best.inverse_transform(codes).shape == x.shape


def test_labels_of_any_kind_are_learnt_and_drawn(wine):
    x, y = wine[0], np.array(["a", "b", "c"])[wine[1]]
    model = quick("CVAE", steps=100, lr=2e-2).fit(x, y)
    assert [*model.classes_] == ["a", "b", "c"] and (model.predict(x) == y).mean() > 0.8
    assert model.sample(4, y="b").shape == (4, 13)
    assert model.inverse_transform(model.transform(x, y), y).shape == x.shape
    with pytest.raises(ValueError, match="'d' is no class of the data"):
        model.sample(1, y="d")
    with pytest.raises(ValueError, match="needs the classes"):
        model.inverse_transform(model.transform(x))
    classifier = quick("SupervisedAE").fit(x, y)
    assert classifier.score(x, y) > 0.8 and classifier.predict_proba(x).shape == (len(x), 3)
    with pytest.raises(ValueError, match="requires y to be passed"):
        quick("SupervisedAE").fit(x)


def test_pictures_are_rows_of_known_shape():
    x = load_digits().data[:200] / 16
    model = quick("VAE", image_shape=(1, 8, 8), hidden=(400,)).fit(x)
    assert model.model_.settings.network == "conv" and model.model_.spec.unit
    assert model.sample(2).min() >= 0 and model.transform(x).shape == (200, 2)


def test_early_stopping_sets_points_aside_and_progress_is_shown_on_demand(wine, capsys):
    x = wine[0]
    model = quick("VAE", steps=None, epochs=60, lr=0.1, patience=2, verbose=True).fit(x)
    assert model.n_iter_ < 60 and "validation loss" in capsys.readouterr().out


def test_randomness_is_as_in_scikit_learn(wine):
    x = wine[0]
    first, again = (quick("AE", random_state=3).fit(x) for _ in range(2))
    assert (first.transform(x) == again.transform(x)).all()
    state = np.random.RandomState(0)
    drawn = [quick("AE", random_state=state).fit(x).transform(x) for _ in range(2)]
    assert not np.allclose(*drawn)
    assert not np.allclose(first.sample(3), first.sample(3))


def test_what_is_wrong_with_a_fit_is_a_warning():
    x = np.repeat([[0.0, 1.0], [2.0, 3.0]], 10, axis=0)
    with pytest.warns(ConvergenceWarning, match="lower n_clusters"):
        estimators.KMeans(n_clusters=4).fit(x)
    with pytest.raises(NotFittedError):
        estimators.KMeans().predict(x)
    with pytest.raises(ValueError, match="too large for single precision"):
        estimators.PCA().fit(x * 1e300)


def test_names_are_listed_without_torch():
    code = "import sys, genbench.sklearn as s; print(len(dir(s)), 'torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert out.split() == [str(len(dir(estimators))), "False"]


def test_editors_are_told_what_is_made_on_demand():
    stub = Path(estimators.__file__).with_suffix(".pyi").read_text()
    told = {
        node.name: tuple(base.id for base in node.bases)
        for node in ast.parse(stub).body
        if isinstance(node, ast.ClassDef)
    }
    for name, bases in told.items():
        assert tuple(base.__name__ for base in getattr(estimators, name).__bases__) == bases


def test_a_model_that_was_fitted_elsewhere_keeps_no_optimizer():
    x = load_breast_cancer().data
    fitted = quick("AE").fit(x)
    size = sum(p.nbytes for p in fitted.model_.parameters())
    assert len(pickle.dumps(fitted)) < size + 30_000


@pytest.mark.parametrize("share", [0, 1, -0.2])
def test_a_part_to_validate_on_is_neither_nothing_nor_all(share):
    with pytest.raises(ValueError, match="validation_fraction"):
        estimators.AE(validation_fraction=share).fit(np.eye(9))
