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
from potstill.report.experiments import Experiment, compare, flatten, recommend
from potstill.report.page import render
from potstill.report.pictures import sizes
from potstill.terminal import Parser

METRICS = paths.METRICS / "compare"
WORKSPACE = "workspace"
SCORES, TIMING = paths.METRICS / "evaluate" / "metrics.json", paths.METRICS / "evaluate" / "timing.json"
PREDICTIONS = paths.EVALUATE / "test.parquet"


def arguments(parser: Parser) -> None:
    """Add the options."""
    names = "experiments, branches, tags or commits; workspace for the last `dvc repro` (default: workspace, and the "
    names += "experiments of the current commit)"
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
    teachers = [row for row in experiments[0].scores["models"].items() if row[1]["kind"] == "teacher"]
    points = [{**values, "name": name} for name, values in teachers] + rows
    reference = teachers[0][0] if teachers else rows[0]["name"]
    chosen, ships, why = recommend(rows)
    return {
        "title": f"{len(rows)} experiments" if len(rows) > 1 else "One experiment",
        "chosen": chosen,
        "ships": ships,
        "why": why,
        "rows": rows,
        "reference": reference,
        "charts": sizes(points, reference),
    }


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
    return checked(name, params.read(paths.PARAMS), files.read_json(SCORES), files.read_json(TIMING), test)


def read_commit(name: str) -> Experiment:
    """Return the experiment of a commit, which may have a name.

    Raises:
        PotstillError: there is none, or its files cannot be read.
    """
    revision = resolve(name)
    try:
        scores, timing = (json.loads(git("show", f"{revision}:{path}")) for path in (SCORES, TIMING))
        settings = params.parse(git("show", f"{revision}:{paths.PARAMS}"), f"{name}:{paths.PARAMS}")
    except subprocess.CalledProcessError:
        raise PotstillError(f"{name}: no {SCORES}, so `evaluate` has not run there. Leave it out.") from None
    except (RecursionError, ValueError) as error:
        raise PotstillError(f"{name}: {SCORES} or {TIMING} is not valid JSON ({error}). Leave it out.") from None
    return checked(name, settings, scores, timing, predictions(revision))


def checked(name: str, params: dict[str, Any], scores: Any, timing: Any, test: Predictions | None) -> Experiment:
    """Return an experiment of these contents of its files.

    Raises:
        PotstillError: the metrics do not contain what the page shows.
    """
    try:
        models = measures.check(dict[str, measures.Sized], scores["models"])
        measures.check(measures.Sized, models["student"])
        measures.check(measures.Decision, scores["student"]["decision"])
        measures.check(measures.Share | None, scores.get("teacher", {}).get("accuracy"))
        measures.check(measures.Timings, timing["timing"])
    except (AttributeError, KeyError, TypeError, ValueError):
        raise PotstillError(
            f"{name}: {SCORES} or {TIMING} is from another version of potstill. Leave it out."
        ) from None
    return Experiment(name, flatten(params), scores, timing["timing"], test)


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


def predictions(revision: str) -> Predictions | None:
    """Return the predictions of a commit's models, if DVC has them in its cache or in a remote that can be reached."""
    try:
        content: Any = dvc.api.read(str(PREDICTIONS), rev=revision, mode="rb")
    except Exception:  # DVC and each kind of remote raise their own
        return None
    return Predictions.load(Path(f"{revision[:7]}:{PREDICTIONS}"), io.BytesIO(content))


def git(*command: str) -> str:
    """Return the output of a Git command."""
    return subprocess.run(["git", *command], capture_output=True, text=True, check=True).stdout.strip()
