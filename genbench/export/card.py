"""The model card: README.md with the metadata that the Hugging Face Hub reads."""

from typing import Any

import yaml

from genbench import __version__
from genbench.config.choice_files import FIXED, GROUPS
from genbench.config.declarations import data_name, local_settings
from genbench.config.values import flatten
from genbench.evaluation.registry import headlines
from genbench.runs.summary import (
    entry_basis,
    entry_cells,
    entry_value,
    newest,
    objective,
    remarks,
)
from genbench.settings.setting import written
from genbench.trained import Trained
from genbench.utils.text import counted, duration

IMAGE_TASK, OTHER_TASK = "unconditional-image-generation", "other"


def model_card(
    trained: Trained,
    config: dict[str, Any],
    title: str,
    license: str,
    programs: dict[str, dict[str, Any]],
    picture: str | None,
) -> str:
    """The text of the card; `programs` are those of config.json, `picture` the name of a file."""
    found = trained.metrics
    parts = [
        f"---\n{header(trained, config, title, license, programs)}---\n",
        f"# {title}\n",
        _about(trained, config),
        f"![samples]({picture})\n" if picture else "",
        _usage(programs),
        _results(found),
        _notes(found),
        _training(found),
        _settings(config),
    ]
    return "\n".join(filter(None, parts))


def header(
    trained: Trained,
    config: dict[str, Any],
    title: str,
    license: str,
    programs: dict[str, dict[str, Any]],
) -> str:
    """The metadata as YAML: license, library, tags, metrics and the results of the report card."""
    model, dataset = config["model"]["name"], data_name(config)
    names = dict.fromkeys([model, config["dataset"]["name"], dataset])
    images = len(trained.data.spec.shape) == 3 and "sampler" in programs
    task = IMAGE_TASK if images else OTHER_TASK
    card = newest(trained.metrics.get("card", []))
    has_onnx = any("onnx" in program["files"] for program in programs.values())
    metadata: dict[str, Any] = {
        "license": license,
        "library_name": "genbench",
        "tags": ["genbench", *names, "pytorch", *(["onnx"] if has_onnx else [])],
        **({"pipeline_tag": task} if images else {}),
    }
    if card:
        metadata["metrics"] = [name for name in headlines() if name in card]
    results = [
        {"type": name, "name": name, "value": entry["value"]}
        for name, entry in card.items()
        if entry["group"] != "cost"
    ]
    if results:
        about = {"type": dataset, "name": dataset}
        result = {"task": {"type": task}, "dataset": about, "metrics": results}
        metadata["model-index"] = [{"name": title, "results": [result]}]
    return str(yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True))


def _about(trained: Trained, config: dict[str, Any]) -> str:
    spec, name = trained.data.spec, data_name(config)
    size = trained.metrics["cost"]["parameters"]
    values = "in [0, 1]" if spec.unit else "in the units of the data"
    classes = f", with labels from 0 to {spec.classes - 1}" if spec.classes else ""
    return (
        f"A `{config['model']['name']}` with {size:,} numbers, trained by "
        f"genbench {__version__} on `{name}`: "
        f"points of the shape {list(spec.shape)}, values {values}{classes}.\n\n"
        f"SHA-256 of the data: `{trained.data.digest}`\n"
    )


def _usage(programs: dict[str, dict[str, Any]]) -> str:
    """How to run the programs, in the words of whoever has neither genbench nor the data."""
    lines = ["## Use\n"]
    for name, program in programs.items():
        takes = ", ".join(_array(one) for one in program["inputs"])
        files = " and ".join(f"`{file}`" for file in program["files"].values())
        lines.append(f"- **{name}** ({files}): {takes} → {_array(program['result'])}")
    shown = next((name for name in ("sampler", "decoder", "encoder") if name in programs), None)
    if shown is not None and "onnx" in programs[shown]["files"]:
        lines += ["", "```python", *_snippet(shown, programs[shown]), "```"]
    if "sampler" in programs:
        lines += [
            "",
            "The sampler draws nothing by itself: the random numbers are its inputs, so that the "
            "same ones give the same points.",
        ]
    if programs:
        lines += ["", "`config.json` describes every input."]
    weights = "`model.safetensors` holds the weights by their names in genbench, if it is there."
    return "\n".join([*lines, "", weights, ""])


def _snippet(name: str, program: dict[str, Any]) -> list[str]:
    """Lines of Python that run a program in the folder of the export."""
    has_labels = any("probabilities" in one for one in program["inputs"])
    lines = ["import json", ""] if has_labels else []
    lines += ["import numpy as np", "import onnxruntime", ""]
    lines += ["rng, n = np.random.default_rng(0), 16"]
    if has_labels:
        lines += ['with open("config.json", encoding="utf-8") as file:']
        lines += [f'    inputs = json.load(file)["programs"]["{name}"]["inputs"]']
    names = []
    for i, one in enumerate(program["inputs"]):
        shape = (
            "(n,)" if len(one["shape"]) == 1 else f"(n, {', '.join(map(str, one['shape'][1:]))})"
        )
        kind, dtype = one["name"].partition("_")[0], one["dtype"]
        if kind == "label":
            # Probabilities of single precision do not sum to 1 as closely as NumPy asks for.
            lines.append(f'shares = np.array(inputs[{i}]["probabilities"])')
            value = f"rng.choice(len(shares), {shape}, p=shares / shares.sum())"
        elif dtype == "int64":
            value = f"rng.integers({one.get('below', 1)}, size={shape})"
        else:
            value = f"rng.random({shape})" if kind == "uniform" else f"rng.standard_normal({shape})"
        cast = "" if dtype == "int64" else f'.astype("{dtype}")'
        lines.append(f"{one['name']} = {value}{cast}")
        names.append(f'"{one["name"]}": {one["name"]}')
    lines.append(f'session = onnxruntime.InferenceSession("{program["files"]["onnx"]}")')
    result = program["result"]["name"]
    return [*lines, f"({result},) = session.run(None, {{{', '.join(names)}}})"]


def _array(one: dict[str, Any]) -> str:
    return f"`{one['name']}` {one['dtype']} [{', '.join(map(str, one['shape']))}], {one['meaning']}"


def _results(found: dict[str, Any]) -> str:
    """The objective and the report card as a table."""
    lines = ["## Results\n", *(f"{line}\n" for line in objective(found))]
    entries, real = found.get("card", []), newest(found.get("real_data", []))
    if entries:
        heads = ["measure", "value", "95 %", "real data", "measured on"]
        rows = [
            [
                *entry_cells(entry),
                entry_value(real[entry["name"]]) if entry["name"] in real else "",
                entry_basis(entry),
            ]
            for entry in entries
        ]
        lines += [_row(heads), _row(["---"] * len(heads)), *map(_row, rows)]
        lines.append("\n↑ higher is better, ↓ lower; `genbench evaluate --list` has the meanings.")
    return "\n".join([*lines, ""])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _notes(found: dict[str, Any]) -> str:
    """What seems to be wrong with the model."""
    lines = remarks(found)
    return "\n".join(["## Limits\n", *(f"- {line}" for line in lines), ""]) if lines else ""


def _training(found: dict[str, Any]) -> str:
    cost, machine = found["cost"], found.get("machine", {})
    took = f" in {duration(found['time']['seconds'])}" if "seconds" in found["time"] else ""
    on = f" on {machine['device']}, with torch {machine['torch']}" if "torch" in machine else ""
    epochs, steps = counted(cost["epochs"], "epoch"), counted(cost["steps"], "step")
    return f"## Training\n\n{epochs}, {steps}{took}{on}.\n"


def _settings(config: dict[str, Any]) -> str:
    """Every setting, as it is typed on the command line."""
    hidden = FIXED | local_settings(config)
    known = {group: config[group]["name"] for group in GROUPS} | flatten(config)
    values = [f"{name}={written(value)}" for name, value in known.items() if name not in hidden]
    return "\n".join(["## Settings\n", "```", *values, "```", ""])
