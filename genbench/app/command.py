"""`genbench app`: serve the page to a browser on this machine until it is stopped."""

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from genbench.config.registry import Registry
from genbench.settings.commands import AppOptions
from genbench.utils import signals
from genbench.utils.console import echo
from genbench.utils.errors import UserError

if TYPE_CHECKING:
    from gradio import Blocks

# Gradio and the libraries below it send nothing, and fetch nothing, unless the user says so.
NOTHING_SENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
}
FONTS = ["system-ui", "sans-serif"]  # those of the machine, as a theme's own come from the network
CHECK_EVERY = 0.2  # seconds between two looks at whether to stop


def app_command(folder: Path, options: AppOptions, registry: Registry) -> int:
    """Serve the runs in a folder; returns the exit status when the user stops it.

    UserError where Gradio is not installed, where there is no finished run, and for a port in use.
    """
    for name, value in NOTHING_SENT.items():
        os.environ.setdefault(name, value)
    try:
        import gradio  # noqa: F401  takes seconds
    except ImportError as error:
        what, fix = "needs Gradio, which is not installed", "pip install 'genbench[app]'"
        raise UserError("app", what, fix=fix) from error
    from genbench.app.page import FinishedRuns, run_page

    registry.let_import()
    runs = FinishedRuns(folder, next((str(own) for own in registry.folders[:-1]), None))
    if not runs.choices():
        what = "holds no finished run on data that files hold"
        raise UserError(str(folder), what, fix="genbench model=vae beta=4 makes one")
    with tempfile.TemporaryDirectory(prefix="genbench-app-") as pictures:
        os.environ["GRADIO_TEMP_DIR"] = pictures
        serve_page(run_page(runs), options)
    return 0


def serve_page(blocks: "Blocks", options: AppOptions) -> None:
    """Serve a page until the program is asked to stop."""
    import gradio as gr

    try:
        _, url, _ = blocks.launch(
            server_name=options.host,
            server_port=options.port,
            inbrowser=options.browser,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            footer_links=[],
            ssr_mode=False,
            theme=gr.themes.Default(font=FONTS, font_mono=["monospace"]),
        )
    except OSError as error:
        fix = "another port=N, or leave it out"
        raise UserError("port", "cannot be listened on", options.port, fix) from error
    echo(f"app: {url}")
    echo("stop with Ctrl-C")
    try:
        while True:
            signals.check()
            time.sleep(CHECK_EVERY)
    finally:
        blocks.close(verbose=False)
