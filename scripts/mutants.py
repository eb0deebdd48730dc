"""Break the code in one place at a time, and see that the tests notice.

    python scripts/mutants.py                 all of them, two at a time
    python scripts/mutants.py checkpoint      those whose name contains a word
    python scripts/mutants.py --list

Each mutant is a change of one file in a copy of the tree, and the tests that must fail then (and pass without it, as the
whole suite shows). The exit status is 1 if a mutant survives, or no longer fits the code.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SAID = ".said"  # the file in which a copy keeps what pytest said


class Mutant(NamedTuple):
    """A change of the code that the tests, as pytest is told of them, must notice."""

    name: str
    file: str
    old: str
    new: str
    tests: str


def of(tests: str, *mutants: tuple[str, str, str, str]) -> list[Mutant]:
    """Mutants that the same tests must notice."""
    return [Mutant(*mutant, tests) for mutant in mutants]


# fmt: off
MUTANTS = [
    *of(
        "tests/test_generate.py tests/test_report.py -k 'fit_the_memory or thousand or can_be_stopped'",
        ("any number of points is drawn", "genbench/cli/generate.py", "    if size > MEMORY:", "    if False:"),
        ("many draws cannot be stopped", "genbench/experiment.py", "                signals.check()\n                block", "                block"),
        ("a report cannot be stopped", "genbench/report/load.py", "            signals.check()\n            try:", "            try:"),
    ),
    *of(
        "tests/test_cli.py -k 'lets_hydra or damaged_configs or many_times or hidden_configs'",
        ("a user's config lets Hydra write", "genbench/config/compose.py", '["output_subdir"] * (hydras.output_subdir is not None)', "[]"),
        ("a user's config sets Hydra", "genbench/config/registry.py", '    if "hydra" in content or', "    if"),
        ("hidden configs are choices", "genbench/config/registry.py", ' if not file.name.startswith(".")', ""),
    ),
    *of(
        "tests/test_sweeps.py -k 'leads_elsewhere or second_name or jobs_are_counted or left_alone'",
        ("Hydra writes through links", "genbench/sweeps/sweep.py", '    require_regular(folder, "hydra.sweep.dir")\n', ""),
        ("absurd sweeps are listed", "genbench/config/compose.py", "    if count > MOST_JOBS:", "    if False:"),
        ("files of others are replaced", "genbench/runs/recorder.py", "        self.record.require_own()\n", ""),
    ),
    *of(
        "tests/test_faults.py tests/test_report.py -k 'frames or only_png or decoders'",
        ("a picture may be in any format", "genbench/figures/canvas.py", '    if not content.startswith(PNG):\n        raise ValueError("is no PNG file")\n', ""),
        ("any decoder is asked", "genbench/figures/canvas.py", ', formats=("PNG",)', ""),
    ),
    *of(
        "tests/test_faults.py -k 'printable_line or steers or output_that or full_disk'",
        ("names of classes are not escaped", "genbench/data/types.py", "tuple(map(plain, getattr(source, name)))", "getattr(source, name)"),
        ("lines are not escaped", "genbench/utils/console.py", "soft_wrap=True).print(plain(text)", "soft_wrap=True).print(text"),
        ("texts steer a terminal", "genbench/utils/console.py", "yield piece if shown else", "yield piece if True else"),
        ("a full disk behind the output fails a run", "genbench/utils/output.py", "        except OSError as error:", "        except BrokenPipeError as error:"),
    ),
    *of(
        "tests/test_faults.py -k 'regular or whose_files or second_name'",
        ("links are followed", "genbench/utils/files.py", "    found = \"\" if links else kind(path)\n    if found:\n        raise NotAFile(path, found)\n    file = os.open(path, flags | os.O_NONBLOCK | (0 if links else os.O_NOFOLLOW)", "    file = os.open(path, flags | os.O_NONBLOCK"),
        ("every name of a file is changed", "genbench/utils/files.py", "    if os.fstat(file).st_nlink > 1:", "    if False:"),
        ("a linked folder is written into", "genbench/utils/files.py", 'if os.path.lexists(path) and kind(path) != "a folder":', "if False:"),
    ),
    *of(
        "tests/test_damage.py",
        ("another run's checkpoint is used", "genbench/runs/checkpoints.py", 'if digest(content["settings"]) != digest(config):', "if False:"),
        ("any weights of a finished run do", "genbench/runs/directory.py", 'return next(iter(named.values()), None) if name is None else named.get(name)', "return next(iter(named.values()), None)"),
        ("content of any form is used", "genbench/runs/checkpoints.py", "    _require(path, fault(content, CONTENT))\n", ""),
        ("the state of an optimiser fits any parameters", "genbench/training/optim.py", "value.dim() and value.shape != p.shape", "False"),
        ("another run's newest checkpoints push out the own", "genbench/runs/checkpoints.py", "for old in named[named.index(path) + 1 :] if", "for old in named if"),
        ("JSON of any form is read", "genbench/utils/files.py", "    what = fault(value, form)\n", '    what = ""\n'),
        ("points of any form are drawn", "genbench/utils/files.py", "        if not fault(value, form):\n", "        if True:\n"),
        ("config.yaml is believed before the record", "genbench/runs/directory.py", "if before and recorded in (None, digest(before)):", "if before:"),
        ("numbers are told beside other settings", "genbench/report/load.py", "    Record(folder, config).require_unchanged()\n", ""),
        ("texts of files are markup", "genbench/utils/console.py", '"markup": False, ', ""),
    ),
    *of(
        "tests/test_faults.py -k 'somebody or folder_is_removed or become'",
        ("changed files go unnoticed", "genbench/utils/files.py", "        return self._identity() == self._seen and not kind(self.path)", "        return True"),
        ("a folder that is gone goes unnoticed", "genbench/runs/recorder.py", "        if not self.lock.held:\n            self._take_again()\n", ""),
        ("another's folder is written into", "genbench/runs/recorder.py", "        if self.lock.moved and any(self.folder.iterdir()):", "        if False:"),
    ),
    *of(
        "tests/test_faults.py -k 'no_program or advised or terminal or nohup'",
        ("values that contain themselves are walked through", "genbench/utils/files.py", "        if depth > DEEPEST or seen > LARGEST:", "        if False:"),
        ("a stranger's class is advised", "genbench/runs/directory.py", "(name in FIXED or name not in b or name not in a)", "False"),
        ("nohup is not heeded", "genbench/utils/signals.py", "        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:", "        if True:"),
    ),
    *of(
        "tests/test_cli.py -k 'elsewhere or wrong_request or torch'",
        ("a GPU's run needs a GPU", "genbench/experiment.py", "pick_device(device or s.device)", "pick_device(s.device)"),
        ("a wrong folder is found out late", "genbench/config/compose.py", "    require_folders(values,", "    _ = (values,"),
        ("synonyms are unknown", "genbench/config/settings.py", 'called = [n for n in names if bare in SYNONYMS.get(n, "").split()]', "called = []"),
    ),
    *of(
        "tests/test_resume.py -k killed_within",
        ("a write that is not atomic", "genbench/utils/files.py", 'os.O_EXCL, 0o666), "wb")', 'os.O_EXCL, 0o666), "wb") as nothing, open(path, "wb")'),
        ("temporaries are never swept", "genbench/runs/recorder.py", "sweep_temporaries(self.folder)", "None"),
        ("done before the pictures", "genbench/experiment.py", "        found = record.measured(", "        record._status('done', epochs=record.config['epochs'])\n        found = record.measured("),
        ("points after the checkpoint stay", "genbench/runs/recorder.py", """if point["epoch"] <= epoch]""", "]"),
    ),
    *of(
        "tests/test_resume.py -k 'stopped_at_any_step and (gan or gmm or vae)'",
        ("the random state is not restored", "genbench/training/gradient.py", 'self.clock = state["clock"]', "pass"),
        ("only one optimiser is restored", "genbench/training/gradient.py", "for name, one in self.optimizers.items():\n            take_back", "for name, one in [*self.optimizers.items()][:1]:\n            take_back"),
        ("means of a pass start over", "genbench/training/loop.py", 'vars(self.meter).update(state["meter"])', "pass"),
        ("a pass starts over with its order", "genbench/training/loop.py", '"skip": at.batches}', '"skip": 0}'),
        ("the best weights are forgotten", "genbench/training/loop.py", 'self.latest, self.best = state["latest"], state["best"]', "pass"),
        ("stopping saves nothing", "genbench/training/loop.py", "    except Interrupted:\n        run.save(at, model, stopping)\n", "    except Interrupted:\n"),
        ("the order does not depend on the epoch", "genbench/data/types.py", 'fold(seed, "order", epoch)', 'torch.seed()'),
    ),
    *of(
        "tests/test_resume.py -k 'stopped_at_any_step and pca'",
        ("loops over data do not look", "genbench/data/types.py", "            signals.check()\n            at = slice", "            at = slice"),
        ("PCA forgets its partial sums", "genbench/models/pca.py", "vars(self).update(state)", "pass"),
        ("an epoch is learnt from twice", "genbench/training/loop.py", "    if at.train is None:\n", "    if True:\n"),
    ),
    *of(
        "tests/test_resume.py -k 'stopped_at_any_step and (kmeans or gmm or bmm)'",
        ("EM forgets its partial sums", "genbench/training/em.py", 'self.sums, self.seen = state["sums"], state["seen"]', "pass"),
    ),
    *of(
        "tests/test_resume.py -k 'amid_its_last and kmeans'",
        ("k-means forgets which centres were nearest", "genbench/models/kmeans.py", 'self.counts, self.distance = state["counts"], state["distance"]', "pass"),
    ),
    *of(
        "tests/test_resume.py -k every_loop",
        ("curves repeat an epoch", "genbench/runs/recorder.py", "mark = self.mark if at.epoch < self.epoch else self.events.mark()", "mark = self.events.mark()"),
        ("drawing does not look", "genbench/figures/canvas.py", "    signals.check()\n    pixels", "    pixels"),
    ),
    *of(
        "tests/test_resume.py tests/test_properties.py -k 'damaged or pickle or flipped or corruption'",
        ("the digest is not checked", "genbench/runs/checkpoints.py", "if hashlib.sha256(data).hexdigest() != named_digest(path) or not", "if not"),
        ("damaged weights are done", "genbench/runs/directory.py", "return last is not None and intact(last)", "return True"),
        ("a damaged checkpoint is deleted", "genbench/utils/files.py", "    os.rename(path, aside)\n", "    path.unlink()\n"),
        ("with all damaged it starts over", "genbench/runs/checkpoints.py", "    if passed:\n", "    if False:\n"),
        ("pickles are run", "genbench/runs/checkpoints.py", "weights_only=True", "weights_only=False"),
        ("one checkpoint is kept", "genbench/runs/checkpoints.py", "KEPT = 2", "KEPT = 1"),
        ("the newest goes by the clock", "genbench/runs/directory.py", "sorted(((int(m[1]), int(m[2]), p.name), p) for m, p in named if m)][::-1]", "sorted((-p.stat().st_mtime_ns, p) for m, p in named if m)][::-1]"),
    ),
    *of(
        "tests/test_resume.py -k 'another or other_data or gpu or more_epochs or may_differ'",
        ("other data are used", "genbench/runs/recorder.py", "    if digest != data.digest:", "    if False:"),
        ("a checkpoint stays on its device", "genbench/runs/checkpoints.py", "map_location=device, ", ""),
        ("any schedule goes on", "genbench/runs/directory.py", 'if now.get("schedule", "constant") not in ("constant", "stages") else ""', 'if False else ""'),
        ("another machine goes unsaid", "genbench/runs/recorder.py", "        if changed:", "        if False:"),
    ),
    *of(
        "tests/test_resume.py tests/test_contract.py tests/test_cli.py -k 'finite'",
        ("weights are saved as they are", "genbench/runs/checkpoints.py", "        if bad is not None:", "        if False:"),
        ("a loss may be NaN", "genbench/training/loop.py", "if self.all_good is not None and not self.all_good:", "if False:"),
        ("the step of a NaN is one off", "genbench/training/loop.py", "step = steps_before + int(self.good) + 1", "step = steps_before + int(self.good)"),
    ),
    *of(
        "tests/test_contract.py -k 'steer or left_alone'",
        ("measuring steers training", "genbench/training/objective.py", 'rng = generator(seed, "evaluate", i, device=batch.x.device)', 'rng = getattr(model, "rng", None) or generator(seed, "evaluate", i); model.clock = getattr(model, "clock", 0) + 1'),
        ("a finished run is run again", "genbench/runs/directory.py", 'finished = self.known and self.status["state"] == "done" and all(self.status.get(n) == self.config.get(n) for n in LENGTH)', "finished = False"),
    ),
    *of(
        "tests/test_resume.py -k 'so_many_steps or made_longer'",
        ("the last epoch is always whole", "genbench/training/loop.py", "return min(self.of, self.total - self.epoch * self.of)", "return self.of"),
        ("a partial epoch can be gone on from", "genbench/runs/directory.py", "    if steps % per_epoch:", "    if False:"),
    ),
    *of(
        "tests/test_training.py -k time_of_a_fit",
        ("time of earlier sessions is lost", "genbench/training/loop.py", 'vars(self.watch).update(state["watch"])', "pass"),
        ("time of a stopped epoch is lost", "genbench/training/loop.py", "        finally:\n            self.seconds +=", "        except ZeroDivisionError:\n            pass\n        else:\n            self.seconds +="),
        ("the start is not timed", "genbench/training/loop.py", "        with at.watch.running():\n            model.initialise", "        if True:\n            model.initialise"),
    ),
    *of(
        "tests/test_faults.py",
        ("a full disk goes unnoticed", "genbench/utils/files.py", "        raise CannotWrite.because(error, path, len(content)) from error\n\n\ndef rename", "\n\ndef rename"),
        ("half a line stays", "genbench/utils/files.py", "        os.ftruncate(file, before)\n", ""),
        ("pictures end the run", "genbench/runs/recorder.py", "        except CannotWrite as error:\n            if what", "        except ZeroDivisionError as error:\n            if what"),
        ("lost curves are not drawn anew", "genbench/runs/recorder.py", 'None if "curves" in self.given_up else mark', "mark"),
        ("a folder is nobody's", "genbench/runs/lock.py", "fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)", "None"),
        ("a folder names no owner", "genbench/runs/lock.py", "self.file.write(str(os.getpid()))", "None"),
        ("memory is no reason", "genbench/utils/errors.py", 'or "allocate memory" in str(error)', ""),
        ("a signal strikes at once", "genbench/utils/signals.py", "    global _asked\n    _asked = signum\n", "    raise KeyboardInterrupt\n"),
        ("a stopped run ends with 0", "genbench/cli/main.py", "128 + stopped.signum", "0"),
        ("tracebacks on the console", "genbench/runs/recorder.py", "            raise told from error", "            raise"),
    ),
    *of(
        "tests/test_edges.py -k 'not_finite or finite_or'",
        ("nothing is left to train on", "genbench/data/types.py", "    if size >= n:\n", "    if size > n:\n"),
        ("NaN are trained on", "genbench/data/types.py", "        if len(bad):\n            raise UserError(f\"dataset={s.name}\"", "        if False:\n            raise UserError(f\"dataset={s.name}\""),
    ),
    *of(
        "tests/test_sweeps.py",
        ("exit 0 after a failed job", "genbench/sweeps/sweep.py", 'return int(any(job.state != "done" for job in self.jobs))', "return 0"),
        ("a failure stops the sweep", "genbench/sweeps/launch.py", "    except (Exception, SystemExit) as error:\n        return unexpected(error)\n", "    except ZeroDivisionError as error:\n        return unexpected(error)\n"),
        ("what is done runs again", "genbench/sweeps/sweep.py", 'return [job for job in self.jobs if job.state != "done" and job.first is None]', "return [job for job in self.jobs if job.first is None]"),
        ("jobs are known by their names", "genbench/sweeps/sweep.py", "            if job.settings in held:", "            if False:"),
        ("a job leaks into the next", "genbench/sweeps/isolation.py", "        for value, put_back in before:\n", "        for value, put_back in []:\n"),
        ("errors keep models alive", "genbench/sweeps/launch.py", "return copy.copy(error)", "return error"),
        ("a sweep is nobody's", "genbench/sweeps/sweep.py", "        lock.take()\n", ""),
        ("somebody's summary is run", "genbench/sweeps/sweep.py", 'if is_hydras(word) or not re.match', "if False and not re.match"),
        ("being stopped goes unrecorded", "genbench/sweeps/sweep.py", 'self.note(job, "interrupted")', "pass"),
    ),
    *of(
        "tests/test_report.py",
        ("the deviation of seeds is too small", "genbench/report/table.py", "numbers.std(ddof=1)", "numbers.std()"),
        ("the worst is the best", "genbench/report/table.py", 'reverse=measure.better == "lower"', 'reverse=measure.better == "higher"'),
        ("something is best where nobody knows", "genbench/report/table.py", "for measure in rows[i].cells if measure.better)", "for measure in rows[i].cells)"),
        ("another number of points is the same", "genbench/report/load.py", '"n", "features", "of"', '"features", "of"'),
        ("weights of a criterion are forgotten", "genbench/report/load.py", '"better": "lower", "of": weights}', '"better": "lower"}'),
        ("what is best is so on any data", "genbench/report/table.py", "return self.kind[1], *(", "return (); ("),
        ("a run is told twice", "genbench/report/load.py", "found.setdefault(path.resolve()", "found.setdefault(path"),
        ("names are markup", "genbench/report/html.py", "autoescape=True", "autoescape=False"),
        (
            "data are known by their name",
            "genbench/report/load.py",
            'return ("digest", self.digest) if self.digest else ("root", self.root)',
            'return ("digest", "")',
        ),
        ("how often one looks never counts", "genbench/report/load.py", 'settings["validate_every"] = ""', "pass"),
        ("the device is forgotten", "genbench/report/load.py", "if device else {}", "if False else {}"),
        ("the least lead is a star", "genbench/report/table.py", " or not apart(best, mine[i])", ""),
        ("seeds hide what test points do", "genbench/report/table.py", "math.hypot(low.high - low.mean, low.within)", "low.high - low.mean"),
        ("real data are a model", "genbench/report/table.py", "return [*self.rows, *self.real]", "return self.rows"),
        ("any picture is opened", "genbench/figures/canvas.py", 'if not content.startswith(PNG):\n        raise ValueError("is no PNG file")\n', 'if not content.startswith(PNG):\n        return Image.open(io.BytesIO(content))\n'),
        ("a cell is a formula", "genbench/report/command.py", "value.lstrip().startswith(FORMULAS)", "False"),
        ("names steer the terminal", "genbench/report/load.py", "c if c.isprintable()", "c if True"),
        ("names are formulas", "genbench/figures/canvas.py", 'text.replace("$", r"\\$")', "text"),
        ("names lead out of the folder", "genbench/report/load.py", 're.sub(r"[^\\w.-]+", "-", text', 're.sub(r"[^\\w./-]+", "-", text'),
        ("rate and distortion in any order", "genbench/report/charts.py", "key=lambda row: [row.settings[name] for name in weights]", "key=lambda row: 0"),
    ),
    *of(
        "tests/test_cli.py -k names_of_their_own",
        ("names of folders collide", "genbench/config/resolvers.py", 'return name if whole and', "return name if"),
    ),
    *of(
        "tests/test_console.py",
        ("more than a screen", "genbench/runs/summary.py", "[:MOST_HEADLINES]", ""),
        ("a long diagnosis fills the screen", "genbench/runs/summary.py", "max_lines=lines, ", ""),
        ("a job tells everything", "genbench/runs/progress.py", '        """Only count the warnings."""\n', "        super().say(text)\n"),
        ("a swept default is in no title", "genbench/config/validation.py", "if name in swept or (", "if ("),
        ("names of jobs collide", "genbench/sweeps/sweep.py", "job.folder in taken or", "False or"),
        ("what jobs differ in is not in their names", "genbench/sweeps/sweep.py", "named=differing([_own(job) for job in jobs])", "named=()"),
    ),
    *of(
        "tests/test_downloads.py tests/test_formats.py",
        ("a download is not verified", "genbench/data/downloads.py", "    if digest.hexdigest() != download.sha256:", "    if False:"),
        ("the cache is not verified", "genbench/data/downloads.py", "return digest.hexdigest() == download.sha256", "return True"),
        ("one attempt", "genbench/data/downloads.py", "for last in (False, True):", "for last in (True,):"),
        ("processes download at once", "genbench/data/downloads.py", "            with _alone(folder):\n", "            with contextmanager(lambda: iter([None]))():\n"),
        ("pickles may name anything", "genbench/data/readers.py", "if (module, name) not in self.known:", "if False:"),
        ("IDX lengths are trusted", "genbench/data/readers.py", "    if len(content) != size:", "    if False:"),
        ("links in archives count", "genbench/data/readers.py", "if match and member.isreg()", "if match"),
        ("labels are trusted", "genbench/data/readers.py", "    if len(wrong):", "    if False:"),
    ),
    *of(
        "tests/test_figures.py -k 'enlarged or names_of_classes or told_by or readable'",
        ("small images are blocks", "genbench/figures/plots.py", '    if upscaling == "nearest":', "    if True:"),
        ("legends are cut", "genbench/figures/plots.py", "max(text_width(name, 8) for name, _ in groups) + 40", "70"),
        ("two classes look alike", "genbench/figures/canvas.py", '"#1fa5b8", "#914d06"', '"#1fa5b8", "#1ca0b4"'),
        ("titles are dark on dark", "genbench/figures/canvas.py", '"color": self.theme.ink, "linespacing"', '"color": INK, "linespacing"'),
    ),
    *of(
        "tests/test_image_folder.py",
        ("bad pictures are skipped unasked", "genbench/data/image_folder.py", "    if not s.skip_bad:", "    if False:"),
        ("16-bit pictures are black", "genbench/data/image_folder.py", "return (low, high) if low < high else DEPTH", "return DEPTH"),
    ),
    *of(
        "tests/test_edges.py -k 'only_test_points or only_some_points'",
        ("classes of test points are not counted", "genbench/data/types.py", "for part in parts.values() if part.y is not None and len(part.y)", 'for part in [parts["train"]] if part.y is not None'),
        ("labels of some points only are taken", "genbench/data/types.py", "    if len(labelled) == 1 < len(parts):", "    if False:"),
    ),
    *of(
        "tests/test_api.py -k 'own_samples or new_at or block'",
        ("samples are the same at each call", "genbench/experiment.py", '("call", next(self._draws))', '("call", 0)'),
        ("a model refuses its own samples", "genbench/experiment.py", "if beyond and (self.model.bounded or bool((x == x.round()).all())):", "if beyond:"),
        ("all points are asked about at once", "genbench/experiment.py", "                block = slice(start, min(start + BLOCK, n))", "                block = slice(start, n)"),
    ),
    *of(
        "tests/test_data.py -k 'binarized or resized'",
        ("published parts are mixed", "genbench/data/types.py", "    if last:\n", "    if False:\n"),
        ("values of text may touch", "genbench/data/readers.py", "    if (digit[1:] & digit[:-1]).any():", "    if False:"),
        ("resized pixels still count dots", "genbench/data/types.py", "scale=scale, trials=None)", "scale=scale)"),
    ),
    *of(
        "tests/test_standardized.py",
        ("densities forget the units of the data", "genbench/models/standardized.py", "y - self.deviation.log().sum().to(y)", "y"),
        ("samples stay standardized", "genbench/models/standardized.py", "return self.restored(y)", "return y"),
    ),
    *of(
        "tests/test_generation.py tests/test_objectives.py tests/test_terms.py",
        ("gradients keep a layout of their own", "genbench/training/gradient.py", "    if gradient.stride() == parameter.stride():\n", "    if True:\n"),
        ("samples ignore the fitted density", "genbench/models/latent_model.py", "self.prior(n, rng) if self.density is None else self.density.sample(n, rng)", "self.prior(n, rng)"),
        ("a kernel density is not normalised", "genbench/models/kde.py", "kernels - math.log(len(self.points))", "kernels"),
        ("kernels see all points at once", "genbench/models/kde.py", "x.flatten(1).split(CHUNK)", "x.flatten(1).split(len(x))"),
        ("points are their own neighbours", "genbench/models/kde.py", "squared[here, place[here]] = math.inf", "pass"),
        ("the score has another size", "genbench/models/dae.py", "- x) / self.s.level**2", "- x) / self.s.level"),
        ("Langevin's noise is too small", "genbench/models/dae.py", "math.sqrt(2 * e)", "math.sqrt(e)"),
        ("walking back does not walk", "genbench/models/dae.py", "x = self.decode(z).detach()", "pass"),
        ("the posterior's log-variance has another sign", "genbench/models/vae.py", "0.5 * (eps**2 + logvar - z**2)", "0.5 * (eps**2 - logvar - z**2)"),
        ("importance weights are a sum", "genbench/models/vae.py", "(total - math.log(k)).to(mu)", "total.to(mu)"),
        ("classes are not as frequent", "genbench/models/cvae.py", "self.frequencies.copy_(torch.bincount(train.y, minlength=self.spec.classes) / len(train))", "self.frequencies.fill_(0).__setitem__(0, 1.0)"),
        ("another class is given", "genbench/models/cvae.py", "other.y = y\n", "other.y = 0 * y\n"),
        ("the bound on the divergence is another", "genbench/models/gan.py", "cross_entropy(fake, 0.0)) / 2}", "cross_entropy(fake, 0.0))}"),
        ("slopes are penalised as they are", "genbench/models/gan.py", "self.slopes(x).square().sum(1).mean()", "self.slopes(x).norm(dim=1).mean()"),
        ("instance noise stays", "genbench/models/gan.py", "max(0.0, 1 - clock / self.steps)", "1.0"),
        ("the critic's slope is not divided by", "genbench/models/wgan.py", 'gap / self.steepness(batch.x, samples, noise["between"]).mean()', "gap"),
        ("half a ring", "genbench/models/swae.py", "angle, radius = 2 * math.pi * place", "angle, radius = math.pi * place"),
        ("labels lead to other classes", "genbench/models/swae.py", "(train.y == c).nonzero()", "(train.y != c).nonzero()"),
        ("hidden labels count", "genbench/models/supervised_ae.py", "known = batch.y >= 0", "known = batch.y >= -1"),
        ("the adversary's sides are the same", "genbench/models/aae.py", "F.softplus(-on_prior).mean() + F.softplus(on_codes)", "F.softplus(on_prior).mean() + F.softplus(on_codes)"),
        ("a cell's width is left out", "genbench/evaluation/measures/likelihood.py", "d * math.log(e.data.spec.cell)", "0"),
        ("judges are asked about what they learnt", "genbench/training/objective.py", "if not learnt:", "if True:"),
        ("Adam starts from zero", "genbench/training/optim.py", "torch.full_like(p, s.adam_start)", "torch.zeros_like(p)"),
    ),
    *of(
        "tests/test_card.py tests/test_agreement.py",
        ("any difference of bins counts", "genbench/evaluation/measures/samples.py", "> z * spread", "> 0 * spread"),
        ("a class needs no samples", "genbench/evaluation/measures/samples.py", ">= 0.1 * data / data.sum()", ">= 0 * data / data.sum()"),
        ("copies of test points are copies", "genbench/evaluation/measures/samples.py", "in e.data.train.batches(1000)", "in e.test.batches(1000)"),
        ("chance is a half whatever the sizes", "genbench/evaluation/measures/samples.py", "expected = test / (test + train)", "expected = 0.5"),
        ("pairs in doubt are left out", "genbench/stats/divergences.py", "limit = torch.minimum(best", "error = 0 * error; limit = torch.minimum(best"),
        ("features are of the run's own part", "genbench/data/types.py", "    reference, moments = _reference(source, s), moments_of(source)\n    source = _of_classes(source, s.get(\"classes\"))\n", "    source = _of_classes(source, s.get(\"classes\"))\n    reference, moments = _reference(source, s), moments_of(source)\n"),
        ("any mode is found", "genbench/evaluation/measures/samples.py", ">= 0.005 * len(near)", ">= 0 * len(near)"),
        ("bits are nats", "genbench/evaluation/measures/likelihood.py", "/ (d * math.log(2))", "/ d"),
        ("nobody asks for more importance samples", "genbench/evaluation/measures/likelihood.py", '{} if k is None else {"k": k}', "{}"),
        ("the window has no weights", "genbench/evaluation/measures/reconstruction.py", "(-(at**2) / (2 * SIGMA**2)).exp()", "torch.ones_like(at)"),
        ("every step is as large as the largest", "genbench/evaluation/measures/latent.py", "steps.amax(1) / steps.mean(1)", "steps.mean(1) / steps.mean(1)"),
        ("few units are active", "genbench/evaluation/measures/representation.py", "> 0.01).sum()", "> 0.02).sum()"),
        ("codes are judged without their spread", "genbench/evaluation/measures/representation.py", "(logvar / 2).exp() * torch.randn", "0 * torch.randn"),
        ("a mean is as sure as one point", "genbench/stats/intervals.py", ".std()) / count**0.5", ".std())"),
        ("shares are any means", "genbench/stats/intervals.py", "values.dtype == torch.bool", "False"),
        ("an interval ends anywhere", "genbench/evaluation/card.py", "min(max(end, m.within[0]), m.within[1])", "end"),
        ("the jackknife is no wider than its parts", "genbench/stats/intervals.py", "(9 if jackknife", "(1 if jackknife"),
        ("sorted points are cut", "genbench/data/types.py", "torch.arange(most) * n // most", "torch.arange(most)"),
        ("what is not finite goes untold", "genbench/evaluation/context.py", "        if bad:\n", "        if False:\n"),
        ("resampled points are the points", "genbench/evaluation/context.py", "points[torch.randint(len(points), (len(points),), generator=rng)]", "points"),
        ("a part is as sure as the whole", "genbench/stats/intervals.py", "if jackknife else 1) / 10**0.5", "if jackknife else 1)"),
        ("a classifier of other weights is taken", "genbench/evaluation/features.py", 'return classifier.digest() == content["digest"]', "return classifier.digest() != 0"),
        ("all starts are parts of the model", "genbench/training/em.py", "t[self.best].numel()", "t.numel()"),
        ("a collapse goes untold", "genbench/evaluation/diagnosis.py", 'units["value"] == 0:', 'units["value"] < 0:'),
        ("idle units are a collapse", "genbench/evaluation/diagnosis.py", 'units["value"] == 0:', 'units["value"] < 0.5 * e.model.latent_dim:'),
        ("few steps go untold", "genbench/evaluation/diagnosis.py", "if steps < FEW_STEPS", "if steps < 0"),
        ("a curve that still falls goes untold", "genbench/evaluation/diagnosis.py", "late > LATE_FALL", "late > 1"),
        ("what rose again is called too short", "genbench/evaluation/diagnosis.py", "late < 0", "late < -9"),
        ("overfitting goes untold", "genbench/evaluation/diagnosis.py", "gap <= OVERFITTED", "gap <= 1e9"),
        ("grey mush is called a copy", "genbench/evaluation/diagnosis.py", "    if _is_one_point(e, card):\n        return None\n    copied, ratio", "    copied, ratio"),
        ("real data are test points", "genbench/evaluation/context.py", "return [drawn(self.data.train.spread(n))]", "return [self.x]"),
        ("kept numbers are of any data", "genbench/evaluation/card.py", "e.data.digest, e.features.name, e.size,", "e.size,"),
    ),
    *of(
        "tests/test_tensorboard.py tests/test_report.py",
        ("columns of HParams do not compare", "genbench/runs/recorder.py", "final/{entry['name']}: {conditions(entry)}", "final/{entry['name']}"),
        ("who is best is praised whatever is wrong", "genbench/report/verdicts.py", 'qualified = f" (but {', 'qualified = "" and f" (but {'),
        ("rivals go unnamed", "genbench/report/verdicts.py", 'return "" if whole else', 'return "" if True else'),
        ("any change is a trend", "genbench/report/verdicts.py", "if not word or not apart(first, last):", "if not word:"),
        ("every measure is a headline", "genbench/report/table.py", "for m in measures().values() if m.headline", "for m in measures().values()"),
        ("a seed stands for all", "genbench/report/table.py", " and not rows[i].cells[measure].lacking", ""),
        ("a sweep's order is lost", "genbench/report/load.py", "asked.get(path, math.inf)", "math.inf"),
    ),
    *of(
        "tests/test_edges.py -k three_points",
        ("auto exceeds what the points allow", "genbench/training/defaults.py", "min(COMPONENTS, most)", "COMPONENTS"),
    ),
    *of(
        "tests/test_standardized.py -k alike",
        ("tables are compared in their units", "genbench/evaluation/features.py", "        if self.moments is None:", "        if True:"),
    ),
    *of(
        "tests/test_cli.py -k elsewhere",
        ("a refused resume spoils a finished run", "genbench/runs/recorder.py", "mine and (self.begun or not self.record.status)", "mine"),
    ),
    *of(
        "tests/test_verify.py",
        ("a recipe leaves a setting to the defaults", "configs/experiment/gan-parzen.yaml", "  network: conv\n", ""),
        ("a missed run is listed as met", "genbench/verification/recipes.py", "'met' if self.excess(*found) <= 0 else 'missed'", "'met'"),
        ("a recipe may name a number of the card", "genbench/verification/recipes.py", "rf\"({'|'.join(PARTS)})\\.\\w+\"", "r\"\\w+\\.\\w+\""),
        ("codes against a ring of another radius", "genbench/verification/references.py", "rng.uniform(0.8, 1, len(codes))", "rng.uniform(0.7, 1, len(codes))"),
        ("a bound of few draws", "genbench/verification/references.py", "run.model.log_prob(batch.x, draws)", "run.model.log_prob(batch.x, 100)"),
    ),
]
# fmt: on


def run(tests: str, folder: Path) -> subprocess.Popen:
    """Run these tests in a copy of the tree."""
    environment = os.environ | {
        "PYTHONPATH": str(folder),
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "--tb=no",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        *shlex.split(tests),
    ]
    with open(folder / SAID, "w") as said:
        return subprocess.Popen(
            words, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT
        )


def copied(folder: Path) -> Path:
    """A copy of the tree as it is, without what git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def begin(mutant: Mutant, folder: Path) -> subprocess.Popen | str:
    """Start the mutant's tests; or why that cannot be."""
    file = copied(folder) / mutant.file
    text = file.read_text()
    if text.count(mutant.old) != 1:
        return f"no longer fits: {mutant.file} holds {mutant.old!r} {text.count(mutant.old)} times"
    file.write_text(text.replace(mutant.old, mutant.new))
    return run(mutant.tests, folder)


def main() -> int:
    """Try what is asked for; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*", help="parts of names; all without")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("-j", type=int, default=2, help="how many at a time")
    asked = parser.parse_args()
    chosen = [m for m in MUTANTS if not asked.words or any(word in m.name for word in asked.words)]
    if asked.list:
        print("\n".join(f"{m.name}: {m.file}" for m in chosen))
        return 0
    bad, waiting, running, started = [], list(chosen), {}, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as top:
        while waiting or running:
            while waiting and len(running) < asked.j:
                mutant = waiting.pop(0)
                folder = Path(tempfile.mkdtemp(dir=top))
                running[mutant] = begin(mutant, folder), folder
            time.sleep(0.1)
            for mutant, (process, folder) in list(running.items()):
                if isinstance(process, str):
                    verdict = process
                elif process.poll() is None:
                    continue
                else:
                    failed = re.findall(
                        r"^(?:FAILED|ERROR) (\S+)", (folder / SAID).read_text(), flags=re.M
                    )
                    caught = process.returncode == 1 and failed
                    verdict = (
                        f"caught by {failed[0]}"
                        if caught
                        else f"SURVIVED (pytest ended with {process.returncode})"
                    )
                del running[mutant]
                shutil.rmtree(folder)
                if not verdict.startswith("caught"):
                    bad.append(mutant)
                print(f"{mutant.name}: {verdict}", flush=True)
    print(
        f"{len(chosen) - len(bad)} of {len(chosen)} mutants caught in {(time.monotonic() - started) / 60:.1f} minutes"
    )
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
