"""Compare experiments on one page."""

import argparse
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import dvc.api

from potstill.core import files, params, paths
from potstill.core.errors import PotstillError
from potstill.evaluate.metrics import measures
from potstill.evaluate.predictions import Predictions
from potstill.report.changes import Run, changes
from potstill.report.experiments import Experiment, compare, differing, flatten, hashes, recommend
from potstill.report.page import render
from potstill.report.pictures import experiments as draw
from potstill.terminal import Parser

METRICS = paths.METRICS / "compare"
WORKSPACE = "workspace"
SCORES = paths.METRICS / "evaluate" / "metrics.json"
LOCK = Path("dvc.lock")
PREDICTIONS, TIMING = paths.EVALUATE / "test.parquet", paths.EVALUATE / "timing.json"
DATASET = paths.PREPARED / "dataset.json"


def arguments(parser: Parser) -> None:
    """Add the options."""
    names = "experiments, branches, tags or commits; workspace for the last `dvc repro` (default: workspace, and the "
    names += (
        "experiments of the current commit). Of two, the page also says what has changed by class from the first to "
    )
    names += "the second"
    parser.add_argument("names", nargs="*", help=names)


def run(args: argparse.Namespace) -> None:
    """Write `metrics/compare`."""
    names = args.names or [WORKSPACE, *experiments_of_head()]
    content = page_content([read(name) for name in dict.fromkeys(names)])
    text = render("compare.md", content)
    files.write_text(METRICS / "index.html", render("compare.html", content))
    files.write_text(METRICS / "compare.md", text)
    print(f"{text}\nSee {METRICS / 'index.html'} for the charts.")


def page_content(experiments: list[Experiment]) -> dict[str, Any]:
    """Return what the templates of the page show; the teachers are those of the first experiment."""
    rows = compare(experiments)
    teachers = [row for row in experiments[0].models.items() if row[1]["kind"] == "teacher"]
    score = " or ".join(dict.fromkeys(row["score"] for row in rows))
    chosen, ships, why = recommend(rows, len({tuple(one.labels) for one in experiments if one.labels}) < 2)
    changed = changes(*runs) if len(runs := with_predictions(experiments)) == len(rows) == 2 else None
    return {
        "title": f"{len(rows)} experiments" if len(rows) > 1 else "One experiment",
        "chosen": chosen,
        "ships": ships,
        "why": why,
        "rows": rows,
        "score": score,
        "differing": differing(experiments),
        "changes": changed,
        "charts": draw([*({**values, "name": name, "differs": {}} for name, values in teachers), *rows], score),
    }


def with_predictions(experiments: list[Experiment]) -> list[Run]:
    """Return what is compared by class, of the experiments whose predictions and names of classes are available."""
    return [Run(one.name, one.labels, one.test) for one in experiments if one.test and one.labels]


def experiments_of_head() -> list[str]:
    """Return the names of the experiments that were run on the current commit.

    Raises:
        PotstillError: there is no commit.
    """
    try:
        head = git("rev-parse", "HEAD")
    except subprocess.CalledProcessError:
        raise PotstillError("not a Git repository with a commit. Run this in the root of the repository.") from None
    refs = git("for-each-ref", "--format=%(refname)", f"refs/exps/{head[:2]}/{head[2:]}").split()
    return [ref.rsplit("/", 1)[1] for ref in refs]


def read(name: str) -> Experiment:
    """Return an experiment from the workspace (the last `dvc repro`), or from Git and DVC's cache.

    Raises:
        PotstillError: there is no such experiment, or it has no evaluation.
    """
    if name != WORKSPACE:
        return read_commit(name)
    test = Predictions.load(PREDICTIONS) if PREDICTIONS.is_file() else None
    lock = LOCK.read_text("utf-8") if LOCK.is_file() else ""
    settings = made_with(params.read(paths.PARAMS), lock, str(LOCK))
    timing = files.read_json(TIMING) if TIMING.is_file() else {}
    labels = files.read_names(DATASET, "labels") if DATASET.is_file() else None
    return checked(name, settings, files.read_json(SCORES), timing, test, labels)


def read_commit(name: str) -> Experiment:
    """Return the experiment of a commit, which may have a name.

    Raises:
        PotstillError: there is none, or its files cannot be read.
    """
    revision = resolve(name)
    try:
        scores = json.loads(git("show", f"{revision}:{SCORES}"))
        timing = json.loads(cached(revision, TIMING) or "{}")
        given = params.parse(git("show", f"{revision}:{paths.PARAMS}"), f"{name}:{paths.PARAMS}")
        settings = made_with(given, git("show", f"{revision}:{LOCK}"), f"{name}:{LOCK}")
    except subprocess.CalledProcessError:
        raise PotstillError(f"{name}: no {SCORES}, so `evaluate` has not run there. Leave it out.") from None
    except (RecursionError, ValueError) as error:
        raise PotstillError(f"{name}: {SCORES} or {TIMING} is not valid JSON ({error}). Leave it out.") from None
    test = cached(revision, PREDICTIONS)
    predictions = None if test is None else Predictions.load(Path(f"{revision[:7]}:{PREDICTIONS}"), io.BytesIO(test))
    dataset = cached(revision, DATASET)
    labels = None if dataset is None else json.loads(dataset)["labels"]
    return checked(name, settings, scores, timing, predictions, labels)


def made_with(params_given: dict[str, Any], lock: str, lock_name: str) -> dict[str, Any]:
    """Return the settings of an experiment: its parameters, and the hashes of its data and code.

    Raises:
        PotstillError: its dvc.lock cannot be read.
    """
    try:
        return flatten(params_given) | hashes(params.parse(lock, lock_name) if lock else {})
    except (AttributeError, KeyError, TypeError):
        raise PotstillError(f"{lock_name}: not written by DVC 3. Run `dvc repro` there, or leave it out.") from None


def checked(
    name: str, settings: dict[str, Any], scores: Any, timing: Any, test: Predictions | None, labels: list[str] | None
) -> Experiment:
    """Return an experiment of these contents of its files.

    Raises:
        PotstillError: the metrics do not contain what the page shows.
    """
    try:
        models = measures.check(dict[str, measures.Sized], measures.with_accuracy(scores["models"]))
        measures.check(measures.Sized, models["student"])
        measures.check(measures.Decision, scores["student"]["decision"])
        measures.check(measures.Share | None, scores.get("teacher", {}).get("accuracy"))
        measures.check(measures.Timings, timing)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise PotstillError(
            f"{name}: {SCORES} or {TIMING} is from another version of potstill. Leave it out."
        ) from None
    return Experiment(name, settings, scores, timing, test, labels)


def resolve(name: str) -> str:
    """Return the commit of an experiment, branch, tag or commit.

    Raises:
        PotstillError: there is none of that name.
    """
    refs = git("for-each-ref", "--format=%(objectname)", f"refs/exps/**/{name}").split()
    if refs:
        return refs[-1]
    try:
        return git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except subprocess.CalledProcessError:
        known = ", ".join(experiments_of_head()) or "none"
        raise PotstillError(f"no experiment {name!r} (of this commit: {known}). See `dvc exp list`.") from None


def cached(revision: str, path: Path) -> bytes | None:
    """Return a file of a commit if DVC has it in its cache, or in a remote that can be reached."""
    try:
        content: Any = dvc.api.read(str(path), rev=revision, mode="rb")
    except Exception:  # DVC and each kind of remote raise their own
        return None
    return bytes(content)


def git(*command: str) -> str:
    """Return the output of a Git command."""
    return subprocess.run(["git", *command], capture_output=True, text=True, check=True).stdout.strip()
