"""The report's page."""

from helpers.reports import card, only, page, sure
from PIL import Image


def test_a_page_shades_numbers_by_where_they_stand_and_leaves_out_what_a_model_cannot(left):
    mse = {"group": "reconstruction"}
    left("pca", metrics=card(("fid", 30.0, sure(30)), ("mse", 0.1, mse)))
    left("gan", metrics=card(("fid", 10.0, sure(10))))
    left(
        "ae",
        metrics=card(
            ("fid", 20.0, sure(20)), ("mse", 0.1, mse), ("psnr", 10.0, mse | {"better": None})
        ),
    )
    left(
        "vae",
        metrics=card(
            ("fid", 20.0, sure(20)), ("mse", 0.3, mse), ("psnr", 20.0, mse | {"better": None})
        ),
    )
    report = left.report()
    found = {
        (report.rows[i].model, q.name): standing
        for (i, q), standing in only(report).standings.items()
        if q.name != "parameters"
    }
    assert found == {
        **{("pca", "fid"): 0, ("ae", "fid"): 0.5, ("vae", "fid"): 0.5, ("gan", "fid"): 1},
        **{("pca", "mse"): 1, ("ae", "mse"): 1, ("vae", "mse"): 0},
    }
    groups, heads, _, gan, *_ = page(left.folder).tables[0]
    assert groups == ["", "reconstruction", "samples"] and heads == [
        "model",
        "mse ↓",
        "sampler",
        "fid ↓",
    ]
    assert gan == ["gan", "", "", "10 *"]
    shades = [tag["style"] for name, tag in page(left.folder).tags if "style" in tag]
    assert shades[:7] == [f"--standing: {s:.3f}" for s in (1, 0, 1, 1, 0.5, 0, 0.5)]


def test_hostile_names_are_text_and_the_page_needs_nothing_else(left, capsys):
    evil = (
        "<script>alert(1)</script>\"'><img src=http://x/y onerror=alert(1)>{{ 7*7 }}/../../$\\frac$"
    )
    metrics = [
        card(
            (evil, k, {"group": evil, "on": evil, "unit": evil, "n": {evil: 3}}),
            diagnosis=[evil + "\x1b[2J"],
        )
        for k in (1, 2)
    ]
    for k, found in enumerate(metrics):
        folder = left(
            "kmeans", {"n_components": k + 2}, metrics=found | {"time": {"seconds": 2.0 + k}}
        )
        Image.new("L", (20, 20)).save(folder / "samples.png")
        folder.rename(folder.with_name(f"{k}<b>|`\n"))
    left("kmeans", state="failed", reason=evil)
    report = left.report()
    text = (left.folder / "report.html").read_text()
    found = page(left.folder)
    assert (
        evil in found.words
        and [tag for tag, _ in found.tags].count("script") == 1
        and "<script>alert" not in text
    )
    for tag, attributes in found.tags:
        assert not any(name.startswith("on") for name in attributes) and tag not in (
            "link",
            "iframe",
            "base",
            "form",
        )
        assert all(
            attributes[name].startswith("data:image/")
            for name in ("src", "href")
            if name in attributes
        )
    assert "@import" not in text and "url(" not in text and "default-src 'none'" in text
    assert {len(row) for row in found.tables[0][1:]} == {len(found.tables[0][1])}
    assert "\x1b" not in text + capsys.readouterr().out + (left.folder / "report.csv").read_text()
    rows = [
        line
        for line in (left.folder / "report.md").read_text().splitlines()
        if line.startswith("| kmeans")
    ]
    assert (
        len(rows) == 4 == 2 * len(report.rows)
        and "<script>" not in (left.folder / "report.md").read_text()
    )
    names = {path.name for path in left.folder.iterdir() if path.is_file()}
    assert all(path.isascii() and path.startswith("report") for path in names) and list(
        left.folder.parent.iterdir()
    ) == [left.folder]


def test_the_page_sorts_by_numbers_and_has_a_picture_of_each_setting(left):
    for k in (2, 10):
        folder = left(changes={"n_components": k}, metrics=card(("fid", 1e-7 / k, {})))
        Image.new("RGB", (480, 200)).save(folder / "samples.png")
    left.report()
    found = page(left.folder)
    keys = [
        attributes["data-key"]
        for tag, attributes in found.tags
        if tag == "td" and "data-key" in attributes
    ]
    assert {"2", "10", "5e-08", "1e-08"} <= set(keys)
    pictures = [
        attributes for tag, attributes in found.tags if tag == "img" and "loading" in attributes
    ]
    assert [p["alt"] for p in pictures] == [
        "samples of n_components=2",
        "samples of n_components=10",
    ]
