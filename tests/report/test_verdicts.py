"""The sentences of a report: who is best at what, what is wrong, and why a cell is empty."""

import itertools

from helpers.reports import card, drawing, everywhere, fault, only, page, said, sure

from genbench.report import diagnosis, gaps, verdicts
from genbench.report.names import row_name


def warnings(left):
    report = left.report()
    return verdicts.sampler_warnings(only(report), report)


def verdicts_of(report):
    return [
        text
        for s in report.sections
        for text in [*verdicts.winners(s, report), *verdicts.undecided(s, report)]
    ]


def test_a_report_says_who_is_best_at_what_and_why_cells_are_empty(left, capsys):
    mse, log_prob = {"group": "reconstruction"}, ("log_prob", 3.0, {"group": "likelihood"})
    left("gan", metrics=card(("fid", 1.0, sure(1)), log_prob) | drawing("prior"))
    left(
        "pca",
        metrics=card(("fid", 2.0, sure(2)), ("mse", 1.0, mse | sure(1)), log_prob)
        | drawing("prior", "encode", "decode"),
    )
    left(
        "ae",
        metrics=card(("fid", 3.0, sure(3)), ("mse", 2.0, mse | sure(2)))
        | drawing("prior", "encode", "decode"),
    )
    left("vae", {"evaluation": "none"}, metrics={"cost": {}})
    left(
        "kde",
        metrics=card(("fid", 3.0, {"n": {"samples": 7}}), ("mse", 2.0, mse | {"n": {"test": 7}}))
        | drawing("prior", "encode", "decode"),
    )
    report = left.report()
    text = " ".join(said(report))
    assert "gan is best at fid among gan, pca and ae." in text
    assert "pca is best at mse among pca and ae." in text and "of gan: it cannot encode." in text
    assert "of vae: evaluation=none; genbench evaluate" in text
    assert "No mse and fid of kde: they were measured otherwise, which does not compare." in text
    assert "No log_prob of ae and kde: it has no likelihood of these data" in text
    page_words = " ".join(page(left.folder).words.split())
    assert (
        "of gan: it cannot encode." in page_words
        and "it cannot encode" in (left.folder / "report.md").read_text()
    )


def test_a_report_says_why_an_invertible_model_has_no_error_of_reconstructions(left):
    mse = {"group": "reconstruction", "n": {"test": 9}}
    left("ae", metrics=card(("mse", 2.0, mse)) | drawing("prior", "encode", "decode"))
    about = drawing("model", "encode", "decode")
    about["model"]["invertible"] = True
    left("gan", metrics=card(("fid", 1.0, {})) | about)
    assert "of gan: it is invertible" in " ".join(said(left.report()))


def test_a_kind_of_problem_is_told_once_with_its_runs_and_the_setting_to_paste(left):
    for k, seed in itertools.product((2, 3), (0, 1)):
        found = [
            {
                "kind": "missing modes",
                "text": f"samples cover {k + seed} of 9 modes",
                "setting": f"n_components={2 * k}",
            }
        ]
        found += [{"kind": "copies", "text": "samples are copies", "setting": ""}] * (k == seed + 2)
        left(
            changes={"n_components": k, "seed": seed},
            metrics=card(("fid", 1.0, {}), diagnosis=found),
        )
    report = left.report()
    modes, copies = diagnosis.problems(report.rows)
    assert modes.text == "samples cover 2 to 4 of 9 modes" and modes.rows == [
        "n_components=2",
        "n_components=3",
    ]
    assert modes.settings == [
        ("n_components=4", ["n_components=2"]),
        ("n_components=6", ["n_components=3"]),
    ]
    assert (
        copies.rows == ["n_components=2 (1 of 2 seeds)", "n_components=3 (1 of 2 seeds)"]
        and copies.settings == []
    )
    assert "n_components=6" in page(left.folder).words
    assert (
        "- samples cover 2 to 4 of 9 modes: n\\_components=2 and"
        in (left.folder / "report.md").read_text()
    )


def test_a_remark_on_the_fit_qualifies_a_likelihood_and_an_overfit_samples_too(left):
    remarks = ["10 of 10 covariances are singular"]
    overfitted = [fault("overfitted", "overfitted: nll is -7725 on training points")]
    left("gmm", metrics=card(("fid", 1.0, sure(1)), diagnosis=overfitted, remarks=remarks))
    left("vae", metrics=card(("fid", 9.0, sure(9))))
    assert verdicts_of(left.report()) == [
        "gmm is best at fid (but overfitted: nll is -7725 on training points)."
    ]


def test_a_range_of_numbers_keeps_their_signs(left):
    for k, nll in ((2, "-7725"), (3, "-7733"), (4, "12")):
        found = [fault("overfitted", f"overfitted: nll is {nll} on 9-10 points, lr=1e-3")]
        left(changes={"n_components": k}, metrics=card(("fid", 1.0, {}), diagnosis=found))
    (problem,) = diagnosis.problems(left.report().rows)
    assert problem.text == "overfitted: nll is -7733 to 12 on 9-10 points, lr=1e-3"


def test_what_a_swept_setting_does_is_said_before_what_is_too_close(left, capsys):
    for beta in (1.0, 2.0, 4.0):
        entries = [("fid", beta, sure(beta)), ("mse", 1 + beta / 100, sure(1, 2.0))]
        left("vae", {"beta": beta}, metrics=card(*entries))
    report = left.report()
    texts, _ = everywhere(left.folder, capsys)
    for text in [" ".join(said(report)), *texts]:
        assert 0 < text.index("fid rises from 1 to 4 as beta grows") < text.index("Too close")


def test_who_is_best_is_qualified_by_its_faults_and_remarks_in_the_same_sentence(left, capsys):
    accurate, log_prob = (
        {"group": "representation", "better": "higher"},
        {"group": "likelihood", "better": "higher"},
    )
    collapsed = [
        fault("note", "no fault"),
        fault("posterior collapse", "0 of 2 latents"),
        fault("copies", "copies"),
    ]
    left(
        "vae",
        metrics=card(
            ("knn_accuracy", 1.0, accurate | sure(1)), ("fid", 9.0, sure(9)), diagnosis=collapsed
        ),
    )
    remarks = ["3 of 10 covariances are singular"]
    own = [
        ("knn_accuracy", 0.5, accurate | sure(0.5)),
        ("fid", 1.0, sure(1)),
        ("log_prob", 5.0, log_prob | sure(5)),
    ]
    left("gmm", metrics=card(*own, diagnosis=[fault("nothing to compress")], remarks=remarks))
    left(
        "kde",
        metrics=card(
            ("knn_accuracy", 0.4, accurate | sure(0.4)),
            ("fid", 2.0, sure(2)),
            ("log_prob", 1.0, log_prob | sure(1)),
        ),
    )
    report = left.report()
    assert verdicts_of(report) == [
        "gmm is best at fid, and at log_prob among gmm and kde (but 3 of 10 covariances are singular).",
        "vae is best at knn_accuracy (but 0 of 2 latents).",
    ]
    texts, _ = everywhere(left.folder, capsys)
    assert all(
        "3 of 10 covariances are singular" in text and "0 of 2 latents" in text for text in texts
    )
    assert (
        "diagnosis of vae: 0 of 2 latents" in texts[0]
        and "no fault" not in texts[0]
        and "no fault" in texts[1]
    )
    assert [problem.text for problem in diagnosis.problems(report.rows)][-2:] == [
        "no fault",
        remarks[0],
    ], "the worst are first"


def test_the_reason_of_an_empty_cell_is_one_and_the_right_one(left, capsys):
    nmi, likely = (
        ("nmi", 0.5, {"group": "representation"}),
        {"group": "likelihood", "better": "higher"},
    )
    able = drawing("prior", "encode", "decode", "log_prob")
    for k, model in enumerate(("gmm", "kmeans")):
        of = "density of test values, in cells; exact"
        left(
            model,
            metrics=card(("fid", k, {}), nmi, ("log_prob", k, likely | {"of": of}), diagnosis=[])
            | able,
        )
    of = "probability of dot counts; at least, by 100 importance samples"
    left(
        "vae",
        metrics=card(("fid", 3.0, {}), ("log_prob", 3.0, likely | {"of": of}), diagnosis=[]) | able,
    )
    left("pca", metrics=card(("fid", 2.0, {}), ("log_prob", 3.0, likely | {"of": of})) | able)
    report = left.report()
    text = " ".join(gaps.gaps(only(report), report))
    assert (
        "No nmi of vae: it is measured only of models whose codes are clusters, on data with labels."
        in text
    )
    assert (
        "No nmi of pca: it was not asked for; genbench evaluate" in text
        and "metrics=nmi measures it" in text
    )
    kinds = "(probability of dot counts) than the others (density of test values, in cells)"
    assert f"No log_prob (1) of vae and pca: it is of another kind {kinds}." in text
    shown = " ".join(capsys.readouterr().out.split())
    assert kinds in shown and "No nmi" not in shown


def test_sentences_name_rows_by_what_differs_in_them(left):
    for beta, latent_dim in itertools.product((1.0, 2.0), (2, 10)):
        left(
            "vae",
            {"beta": beta, "latent_dim": latent_dim},
            under="one",
            metrics=card(("fid", beta * latent_dim, sure(beta * latent_dim))),
        )
    assert verdicts_of(left.report(left.folder.parent / "one")) == [
        "beta=1 latent_dim=2 is best at fid."
    ]
    for dataset, k in itertools.product(("ring", "grid"), (2, 3)):
        left("gmm", {"n_components": k}, dataset=dataset, metrics=card(("fid", k, sure(k))))
    left("kde", dataset="ring", metrics=card(("fid", 9.0, sure(9)), ("mse", 9.0, {})))
    report = left.report(left.folder)
    assert verdicts_of(report) == [
        "On ring: gmm (n_components=2) is best at fid.",
        "On grid: n_components=2 is best at fid.",
    ]
    assert [row_name(row, report.rows) for row in report.rows][:3:2] == [
        "gmm (n_components=2) on ring",
        "kde on ring",
    ]


def test_what_rises_and_falls_with_a_swept_number_is_a_sentence(left, capsys):
    for beta, latent_dim in itertools.product((1.0, 2.0, 4.0, 8.0), (2, 10)):
        values = {
            "mse": beta / 100,
            "fid": 9 - beta if latent_dim == 10 else (beta - 3) ** 2,
            "kid": 1.0,
            "coverage": beta / 1e6,
        }
        found = card(
            *((name, value, sure(value, 1e-3)) for name, value in values.items()),
            ("parameters", beta, {"group": "cost"}),
        )
        left("vae", {"beta": beta, "latent_dim": latent_dim}, metrics=found)
    report = left.report()
    assert verdicts.effects(only(report), report) == [
        "At latent_dim=2, mse rises from 0.01 to 0.08 as beta grows from 1 to 8.",
        "At latent_dim=10, mse rises from 0.01 to 0.08 and fid falls from 8 to 1 as beta grows from 1 to 8.",
    ], (
        "two values show no trend, and what does not always change, or by less than its interval, is none"
    )
    for seed in (0, 1, 2):
        left("kde", {"dataset.seed": seed}, metrics=card(("fid", 1.0 + seed, sure(seed, 1e-3))))
    report = left.report()
    assert len(verdicts.effects(only(report), report)) == 2, (
        "a seed is no quantity that anything could grow with"
    )
    assert "At latent_dim=10, mse rises" in " ".join(capsys.readouterr().out.split())
    assert "At latent_dim=10, mse rises" in page(left.folder).words


def test_a_sweep_over_samplers_is_not_told_to_sweep_them(left):
    for sampler in ("prior", "gmm"):
        left("ae", {"sampler": sampler}, metrics=card(("fid", 3.0, {})) | drawing(sampler))
    assert warnings(left) == [], "of one model the sampler is all that differs"
    left("gmm", metrics=card(("fid", 1.0, {})) | drawing("model"))
    (text,) = warnings(left)
    assert "compare different samplers" in text and "sampler=prior,gmm" not in text
    left("vae", metrics=card(("fid", 3.0, {})) | drawing("prior"))
    (text,) = warnings(left)
    assert "sampler=prior,gmm" in text


def test_one_measure_without_an_interval_is_one(left):
    for k in (2, 3):
        left(changes={"n_components": k}, metrics=card(("fid", k, {})))
    assert verdicts_of(left.report()) == [
        "Nobody is called best at fid: no interval is known for n_components=2 and n_components=3; seed=0,1,2 may give one."
    ]


def test_a_remedy_names_its_runs_unless_it_is_for_all_that_have_the_problem(left):
    def worst(**remedies):
        for model, setting in remedies.items():
            left(
                model,
                metrics=card(
                    ("fid", 1.0, {}), diagnosis=[fault("missing modes", "3 of 8 modes", setting)]
                ),
            )
        return diagnosis.worst(left.report().rows)

    assert worst(swae="sampler=gmm") == ["diagnosis of swae: 3 of 8 modes; try sampler=gmm"]
    assert worst(vae="") == ["diagnosis of swae and vae: 3 of 8 modes; try sampler=gmm (swae)"]
    assert worst(gan="ema=0.9") == [
        "diagnosis of swae, vae and gan: 3 of 8 modes; try sampler=gmm (swae); or ema=0.9 (gan)"
    ]


def test_a_likelihood_of_the_prior_is_one_measure_with_any_sampler(left):
    of = "density of test values; lower bound, 100 importance samples"
    for sampler, more in (("prior", ""), ("gmm", ", with the prior for its codes")):
        likely = {"group": "likelihood", "better": "higher", "of": of + more}
        left("vae", {"sampler": sampler}, metrics=card(("log_prob", -9.0, likely)))
    report = left.report()
    assert [column.name for column in only(report).columns] == ["log_prob"]
    assert {quantity.of for quantity in report.quantities} == {"", of}


def test_ties_are_qualified_as_those_who_are_best(left):
    for fid, (model, shared) in enumerate((("gmm", None), ("kde", 100), ("gan", 96))):
        found = [fault("copies", f"{shared}% are copies")] if shared else []
        left(model, metrics=card(("fid", fid, sure(fid, 9.0)), diagnosis=found))
    (text,) = verdicts_of(left.report())
    assert text.startswith("Too close to call: fid between ")
    assert text.endswith(" (but kde and gan: 96 to 100% are copies).")


def test_seeds_of_one_setting_get_one_remedy_with_the_largest_number(left):
    for seed, setting in enumerate(("epochs=120", "epochs=1000", "lr=1")):
        found = [fault("undertrained", f"undertrained: {seed + 2} steps are few", setting)]
        left("vae", {"seed": seed}, metrics=card(("fid", 1.0, {}), diagnosis=found))
    (problem,) = diagnosis.problems(left.report().rows)
    assert problem.settings == [("epochs=1000", ["vae"])]


def test_a_merged_diagnosis_says_which_run_each_part_is_about(left):
    few = "500 gradient steps are few"
    late = "the second half of 900 steps still brought 30% of the fall"
    for k, text in ((2, few), (3, few.replace("500", "100")), (4, late)):
        found = [fault("undertrained", f"undertrained: {text}")]
        left(changes={"n_components": k}, metrics=card(("fid", 1.0, {}), diagnosis=found))
    report = left.report()
    (problem,) = diagnosis.problems(report.rows)
    whose = "(n_components=2 and n_components=3)"
    assert problem.text.startswith(f"undertrained: 100 to 500 gradient steps are few {whose}; or ")
    assert problem.text.endswith("(n_components=4)") and problem.whose(2) == "all 3 settings"
    assert problem.each[1] == ("n_components=3", "undertrained: 100 gradient steps are few")
    assert "n_components=3: undertrained: 100 gradient steps" in page(left.folder).words
    assert "n\\_components=3: undertrained: 100 gradient" in (left.folder / "report.md").read_text()
