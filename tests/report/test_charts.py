"""Charts of a report."""

import itertools

import numpy as np
from helpers.reports import card, drawn

from genbench.config.registry import builtin_registry
from genbench.report import charts
from genbench.report.load import gathered
from genbench.report.rows import averaged


def gathered_runs(folder, registry):
    """The runs below a folder."""
    return gathered([folder], registry)[0]


def test_rate_and_distortion_are_those_of_the_files_in_the_order_of_beta(left):
    truth = {4.0: (2.0, 30.0), 1.0: (9.0, 12.0), 2.0: (5.0, 20.0)}
    for (beta, (kl, nll)), seed in itertools.product(truth.items(), (0, 1)):
        test = {"n": 9, "kl": kl + seed, "nll": nll - seed, "loss": 1.0}
        left(
            "vae",
            {"beta": beta, "seed": seed},
            metrics={"test": test, "cost": {"criterion": "loss", "criterion_contains": ["beta"]}},
        )
    left("gmm", metrics={"test": {"n": 9, "nll": 1.0}})
    (line,) = drawn(left.folder)["rate_against_distortion_on_digits"]
    assert line == ((9.5, 5.5, 2.5), (11.5, 19.5, 29.5))


def test_words_in_a_chart_do_not_lie_on_one_another(left):
    for beta in (1.0, 2.0, 3.0, 4.0):
        test = {"n": 9, "kl": 5 + beta / 100 + 9 * (beta == 1), "nll": 20 - beta / 100, "loss": 1.0}
        left(
            "vae",
            {"beta": beta},
            metrics={"test": test, "cost": {"criterion": "loss", "criterion_contains": ["beta"]}},
        )
    rows = averaged(gathered_runs(left.folder, builtin_registry()))
    ((_, sheet),) = charts.trades(rows)
    boxes = {text.get_text(): text.get_window_extent() for text in sheet.figure.axes[0].texts}
    assert {*boxes} == {f"beta={beta}" for beta in (1, 2, 3, 4)}
    assert not [
        pair for pair in itertools.combinations(boxes, 2) if boxes[pair[0]].overlaps(boxes[pair[1]])
    ]


def test_a_curve_that_only_rounding_moves_is_drawn_level(left):
    """Without an offset, which one would have to add in mind."""
    curve = [{"epoch": e, "validation": {"nll": 37713.36729 + 1e-8 * e}} for e in (1, 2, 3)]
    metrics = card(("fid", 1.0, {})) | {"cost": {"criterion": "nll"}}
    left("gmm", metrics=metrics, curve=curve)
    ((_, sheet),) = charts.learning(averaged(gathered_runs(left.folder, builtin_registry())))
    (axes,) = sheet.figure.axes
    low, high = axes.get_ylim()
    assert high - low > 0.1 and low < 37713.36729 < high
    sheet.figure.canvas.draw()
    assert not axes.yaxis.get_offset_text().get_text()
    assert len({tick.get_text() for tick in axes.get_yticklabels()}) == len(axes.get_yticklabels())


def test_ticks_of_an_axis_over_many_decades_do_not_run_into_one_another(left):
    for k, seconds in ((2, 0.002), (3, 0.1), (4, 90.0)):
        times = {"time": {"fit_seconds": seconds}}
        left(changes={"n_components": k}, metrics=card(("mse", 1.0 / k, {})) | times)
    ((_, sheet),) = charts.cost(averaged(gathered_runs(left.folder, builtin_registry())))
    (axes,) = sheet.figure.axes
    sheet.figure.canvas.draw()
    low, high = axes.get_xlim()
    shown = [tick for tick in axes.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
    boxes = [tick.label1.get_window_extent() for tick in shown]
    assert not [pair for pair in itertools.pairwise(boxes) if pair[0].padded(2).overlaps(pair[1])]


def test_each_chart_is_there_where_it_applies(left):
    for latent_dim, lam in itertools.product((2, 4), (1.0, 10.0)):
        test = {
            "n": 9,
            "reconstruction": latent_dim + lam,
            "sliced_wasserstein": 1 / lam,
            "loss": 1.0,
            "mse": latent_dim * lam,
        }
        curve = [{"epoch": e, "validation": {"loss": lam / e}} for e in (1, 2, 3)]
        cost = {"criterion": "loss", "criterion_contains": ["lambda"]}
        metrics = {
            "validation": {"n": 9, "loss": lam},
            "test": test,
            "cost": cost,
            "time": {"fit_seconds": lam, "seconds": 99.0},
        }
        left("swae", {"latent_dim": latent_dim, "lambda": lam}, metrics=metrics, curve=curve)
    found = drawn(left.folder)
    assert set(found) == {
        "prior_match_against_reconstruction_on_digits",
        *(f"loss_against_{name}_swae_on_digits" for name in ("lambda", "latent_dim")),
        *(f"measures_against_{name}_swae_on_digits" for name in ("lambda", "latent_dim")),
        "reconstruction_over_lambda_and_latent_dim_swae_on_digits",
        "learning_curves",
        "cost_against_reconstruction_on_digits",
    }
    assert set(found["prior_match_against_reconstruction_on_digits"]) == {
        ((1.0, 0.1), (3.0, 12.0)),
        ((1.0, 0.1), (5.0, 14.0)),
    }
    assert ((1, 2, 3), (10.0, 5.0, 10 / 3)) in found["learning_curves"] and len(
        found["learning_curves"]
    ) == 4
    (chart,) = (name for name in found if name.startswith("cost_against"))
    assert sorted(found[chart][0][0]) == [1, 1, 10, 10], (
        "the time to learn, without measuring and drawing"
    )


def test_a_measure_that_only_some_lines_have_is_drawn_for_these(left):
    for likelihood, beta in itertools.product(("bernoulli", "gaussian"), (1.0, 2.0, 4.0)):
        entries = [("fid", beta, {}), ("log_prob", -beta, {"better": "higher", "of": likelihood})]
        left(
            "vae",
            {"likelihood": likelihood, "beta": beta},
            metrics=card(*entries[: 2 - (likelihood == "bernoulli")]),
        )
    assert ((1.0, 2.0, 4.0), (-1.0, -2.0, -4.0)) in drawn(left.folder)[
        "measures_against_beta_vae_on_digits"
    ]


def test_a_heat_map_shows_what_was_measured_where(left):
    values = {(k, s): 10.0 * k + s for k in (2, 3) for s in (1, 2)}
    for (k, n_init), value in values.items():
        left("kmeans", {"n_components": k, "n_init": n_init}, metrics=card(("fid", value, {})))
    rows = averaged(gathered_runs(left.folder, builtin_registry()))
    ((name, sheet),) = charts.heat_maps(rows)
    shades = np.asarray(sheet.figure.axes[0].images[0].get_array())
    axes = sheet.figure.axes[0]
    across, up = (
        [int(t.get_text()) for t in ticks]
        for ticks in (axes.get_xticklabels(), axes.get_yticklabels())
    )
    first = axes.get_xlabel()
    assert {
        (a, b) if first == "n_components" else (b, a): shades[j, i]
        for i, a in enumerate(across)
        for j, b in enumerate(up)
    } == values
