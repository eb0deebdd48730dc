"""The page of the app: a run to choose, what is known of it, and a tab for each capability."""

import html
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import gradio as gr

from genbench.api import load
from genbench.app.explorer import Explorer
from genbench.app.tabs import drawing_tab, latent_tab, samples_tab
from genbench.data.memory import IN_MEMORY_NAME
from genbench.report.listing import listed_runs
from genbench.runs.summary import headline, objective, remarks
from genbench.utils.errors import UserError
from genbench.utils.text import quoted

TABS: list[tuple[str, Callable[[Explorer], bool], Callable[[Explorer], None]]] = [
    ("latent space", lambda explorer: explorer.has_latent_space, latent_tab),
    ("samples", lambda explorer: explorer.can("sample"), samples_tab),
    ("reconstruct a drawing", lambda explorer: explorer.can_reconstruct_drawings, drawing_tab),
]
MOST_LOADED = 4  # runs in memory
MOST_REMARKS = 3  # about a run, at the top


class FinishedRuns:
    """The finished runs in a folder, loaded when they are looked at."""

    def __init__(self, folder: Path, config_dir: str | None = None) -> None:
        self.folder, self.config_dir = folder, config_dir
        self._loaded = lru_cache(MOST_LOADED)(self._load)

    def choices(self) -> list[tuple[str, str]]:
        """What a list of the runs shows of each, and its folder; the newest first.

        Runs on data that were given in Python are left out, as no file holds these data.
        """
        done = [run for run in listed_runs(self.folder) if run.state == "done"]
        runs = [run for run in done if run.data != IN_MEMORY_NAME]
        return [
            (f"{run.model} on {run.data}, {run.measures}: {quoted(run.folder)}", str(run.folder))
            for run in reversed(runs)
        ]

    def explorer(self, run: str) -> Explorer:
        """The run in a folder. UserError for a folder that is not among the choices."""
        if run not in {folder for _, folder in self.choices()}:
            raise UserError(run, "is none of the finished runs", fix="choose one from the list")
        return self._loaded(run)

    def _load(self, run: str) -> Explorer:
        return Explorer(load(run, config_dir=self.config_dir))


def run_page(runs: FinishedRuns) -> gr.Blocks:
    """The page. The components of a run are made when it is chosen, as each has others."""
    choices = runs.choices()
    with gr.Blocks(title="genbench", analytics_enabled=False) as blocks:
        with gr.Row():
            run = gr.Dropdown(
                choices,
                value=choices[0][1],
                label=f"finished runs in {quoted(runs.folder)}",
                elem_id="run",
                scale=8,
            )
            gr.Button("look again", scale=1).click(
                lambda: gr.Dropdown(choices=runs.choices()), None, run
            )

        @gr.render(inputs=run)
        def shown(run: str) -> None:
            try:
                explorer = runs.explorer(run)
            except UserError as error:
                gr.Markdown(html.escape(str(error)))
                return
            gr.HTML(about(explorer), elem_id="about")
            tabs = [(name, fill) for name, fits, fill in TABS if fits(explorer)]
            # A page that is made anew selects no tab by itself.
            with gr.Tabs(selected=tabs[0][0] if tabs else None):
                for name, fill in tabs:
                    with gr.Tab(name, id=name):
                        fill(explorer)

    return blocks


def about(explorer: Explorer) -> str:
    """What a run ended with, in a few lines of HTML."""
    metrics = explorer.trained.metrics
    title = headline(explorer.title, metrics)
    lines = [f"<b>{html.escape(title)}</b>", *map(html.escape, objective(metrics))]
    lines += map(html.escape, remarks(metrics)[:MOST_REMARKS])
    return "<br>".join(lines)
