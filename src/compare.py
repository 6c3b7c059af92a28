"""Several experiments on one page: `make compare`, or `make compare EXPS="one another"`.

Without names: the last `dvc repro`, and all experiments that were made of the commit that is checked out.
"""

from potstill.start import run

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import dvc.api

from potstill import files, measures, paths
from potstill.errors import PotstillError
from potstill.evaluate.answers import Answers
from potstill.params import section
from potstill.report.experiments import Experiment, compare, flat, recommend
from potstill.report.page import render
from potstill.report.pictures import sizes
from potstill.terminal import Parser

METRICS = paths.METRICS / "compare"
WORKSPACE = "workspace"
SCORES, TIMING = paths.METRICS / "evaluate" / "metrics.json", paths.METRICS / "evaluate" / "timing.json"
ANSWERS = paths.EVALUATE / "test.parquet"


def main() -> None:
    """Read what the experiments left; write `metrics/compare`."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="experiments, branches, tags or commits; workspace is the last repro")
    names = parser.parse_args().names or [WORKSPACE, *of_head()]
    experiments = [read(name) for name in dict.fromkeys(names)]
    rows = compare(experiments)
    teachers = [row for row in experiments[0].scores["models"].items() if row[1]["kind"] == "teacher"]
    points = [{**values, "name": name} for name, values in teachers] + rows
    reference = teachers[0][0] if teachers else rows[0]["name"]
    chosen, why = recommend(rows)
    shown = {
        "title": f"{len(rows)} experiments" if len(rows) > 1 else "One experiment",
        "chosen": chosen,
        "why": why,
        "rows": rows,
        "reference": reference,
        "charts": sizes(points, reference),
    }
    files.write_text(METRICS / "index.html", render("compare.html", shown))
    files.write_text(METRICS / "compare.md", text := render("compare.md", shown))
    print(f"{text}\n{METRICS / 'index.html'} shows them")


def of_head() -> list[str]:
    """The names of the experiments that start from the commit that is checked out."""
    try:
        head = git("rev-parse", "HEAD")
    except subprocess.CalledProcessError:
        raise PotstillError("this is no Git repository with a commit: run this in the repository's root") from None
    refs = git("for-each-ref", "--format=%(refname)", f"refs/exps/{head[:2]}/{head[2:]}").split()
    return [ref.rsplit("/", 1)[1] for ref in refs]


def read(name: str) -> Experiment:
    """What an experiment left, from the workspace or from Git and DVC's cache.

    Raises:
        PotstillError: there is no such experiment, or it has no evaluation.
    """
    if name == WORKSPACE:
        test = Answers.load(ANSWERS) if ANSWERS.is_file() else None
        params, scores, timing = section.read(paths.PARAMS), files.read_json(SCORES), files.read_json(TIMING)
    else:
        revision = resolve(name)
        try:
            scores, timing = (json.loads(git("show", f"{revision}:{path}")) for path in (SCORES, TIMING))
            params = section.parse(git("show", f"{revision}:{paths.PARAMS}"), f"{name}:{paths.PARAMS}")
        except subprocess.CalledProcessError:
            raise PotstillError(f"{name} has no {SCORES}: it is older than that, or `evaluate` did not run") from None
        except (RecursionError, ValueError) as error:
            raise PotstillError(f"{name}: {SCORES} or {TIMING} is not valid JSON ({error}): leave it out") from None
        test = answers(revision)
    try:
        known = "student" in measures.check(dict[str, measures.Sized], scores["models"])
        measures.check(bool, scores["student"]["ship"])
        measures.check(measures.Share | None, scores.get("teacher", {}).get("accuracy"))
        measures.check(measures.Timings, timing["timing"])
    except (AttributeError, KeyError, TypeError, ValueError):
        known = False
    if not known:
        raise PotstillError(f"{name}: {SCORES} or {TIMING} is of another version of potstill: leave it out")
    return Experiment(name, flat(params), scores, timing["timing"], test)


def resolve(name: str) -> str:
    """The commit of an experiment, branch, tag or commit.

    Raises:
        PotstillError: there is none.
    """
    refs = git("for-each-ref", "--format=%(objectname)", f"refs/exps/**/{name}").split()
    if refs:
        return refs[-1]
    try:
        return git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except subprocess.CalledProcessError:
        known = ", ".join(of_head()) or "none"
        raise PotstillError(f"there is no experiment {name!r} (of this commit: {known}): see `dvc exp list`") from None


def answers(revision: str) -> Answers | None:
    """An experiment's answers, if DVC has them here or in a remote that answers."""
    try:
        content: Any = dvc.api.read(str(ANSWERS), rev=revision, mode="rb")
    except Exception:  # of what is not in the cache, DVC says so in many ways, and each kind of remote in its own
        return None
    return Answers.load(Path(f"{revision[:7]}:{ANSWERS}"), io.BytesIO(content))


def git(*command: str) -> str:
    """What Git says."""
    return subprocess.run(["git", *command], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    run(main)
