"""Many classes and multi-label classification, on the descriptions of Debian packages: `make benchmark-debian`.

It requires `apt-cache`. The settings were fixed before the first run, but for the teacher's epochs, learning rate and
class weights, which were changed when the report said that it was no better than TF-IDF. The whole pipeline runs; its
report is `benchmarks/.work/debian-*.html`.
"""

import argparse
import csv
import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import dvc.api
import tables
from runs import ROOT, WORK, Clone, Setting, git

from potstill.core import files
from potstill.data.sources import SOURCES

RESULTS = ROOT / "benchmarks" / "debian"
SEED = 0
FACETS = ("use::", "works-with::", "interface::")  # of the tags of https://debtags.debian.org
MIN_PACKAGES = 50_000
MIN_TEXTS = {"sections": 20, "tags": 100}  # of a class that is kept
UNTAGGED = 0.15  # the share to keep of texts that have tags, but none of these facets

NETWORK = {"vocab_size": 4000, "embedding_dim": 8, "hidden": 24, "weight_bits": 8, "learning_rate": 0.005}
BOTH = {
    "prepare.unlabelled": ["unlabelled.txt"],
    "pool.unlabelled": 20000,
    "pool.replace": 0.5,
    "pool.drop": 0,
    "pool.splice": 0,
    "pool.generated": 0.5,
    **{f"{stage}.{key}": value for stage in ("student", "baseline") for key, value in NETWORK.items()},
    "student.epochs": 16,
    "student.sources": list(SOURCES),
    "teacher.epochs": 10,
    "teacher.presets.minilm.learning_rate": 2e-4,
}
TASKS = {
    "sections": Setting("Debian sections", BOTH),
    "tags": Setting(
        "Debian tags",
        BOTH
        # Without class weights it predicts little more than the tags' frequencies in its first epochs.
        | {"prepare.multi_label": True, "teacher.class_weight": "balanced"}
        | {"student.metric": "macro_f1", "baseline.metric": "macro_f1"},
    ),
}


def packages() -> list[dict[str, str]]:
    """Return the fields of every package that apt knows, one package per description, in random order.

    Raises:
        SystemExit: there is no apt-cache, or it knows too few packages.
    """
    try:
        listing = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise SystemExit("error: apt-cache: not found. Run this on Debian, or in a container of it.") from None
    found = {}
    for block in listing.split("\n\n"):
        fields: dict[str, str] = {}
        for line in block.replace("\n ", " ").split("\n"):
            name, _, value = line.partition(": ")
            fields[name] = value.strip()
        if "Description" in fields and "Section" in fields:
            found.setdefault(fields["Description"].lower(), fields)
    if len(found) < MIN_PACKAGES:
        raise SystemExit(f"error: apt-cache: too few descriptions (found: {len(found):,}). Run `apt-get update`.")
    shuffled = sorted(found.values(), key=lambda fields: fields["Package"])
    random.Random(SEED).shuffle(shuffled)
    return shuffled


def sections(known: list[dict[str, str]]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return descriptions with their section, and unlabelled ones."""
    rows = [(fields["Description"], fields["Section"].split("/")[-1]) for fields in known]
    counts = Counter(section for _, section in rows[:14000])
    rows = [row for row in rows if counts[row[1]] >= MIN_TEXTS["sections"]]
    return rows[:14000], [text for text, _ in rows[14000:]]


def tags(known: list[dict[str, str]]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return descriptions with their tags of `FACETS`, and unlabelled ones."""
    tagged = [(fields["Description"], fields["Tag"].split(", ")) for fields in known if fields.get("Tag")]
    counts = Counter(tag for _, tags in tagged for tag in tags if tag.startswith(FACETS))
    rng = random.Random(SEED)
    rows = [(text, "|".join(sorted(tag for tag in tags if counts[tag] >= MIN_TEXTS["tags"]))) for text, tags in tagged]
    rows = [row for row in rows if row[1] or rng.random() < UNTAGGED]
    return rows, [fields["Description"] for fields in known if not fields.get("Tag")]


def write(folder: Path, rows: list[tuple[str, str]], others: list[str]) -> None:
    """Split the labelled texts, and write the files that `prepare` reads."""
    with files.atomic_write(folder) as part:
        part.mkdir()
        train, validation = len(rows) * 4 // 7, len(rows) * 5 // 7
        splits = {"train": rows[:train], "validation": rows[train:validation], "test": rows[validation:]}
        for name, split in splits.items():
            with (part / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
                csv.writer(stream).writerows([("text", "label"), *split])
        files.write_text(part / "unlabelled.txt", "".join(f"{text}\n" for text in others))


def run(name: str, setting: Setting) -> dict[str, Any]:
    """Run the whole pipeline, and return its verdict and metrics."""
    clone = Clone(f"debian-{name}", WORK / "debian" / name)
    commit = clone.run(setting.command(clone.data, "student", {}), setting.experiment)
    verdict, prepared, evaluated = (
        git(clone.folder, "show", f"{commit}:metrics/{path}")
        for path in ("evaluate/verdict.json", "prepare/metrics.json", "evaluate/metrics.json")
    )
    page = dvc.api.read("metrics/report/index.html", repo=str(clone.folder), rev=commit)
    files.write_text(WORK / f"debian-{name}.html", page)
    return {
        "verdict": json.loads(verdict),
        "prepare": json.loads(prepared)["prepare"],
        "models": json.loads(evaluated)["models"],
        "command": " ".join(setting.command("$DATA", "student", {})),
    }


def main() -> None:
    """Run both tasks and write `benchmarks/debian/` and the table in docs/results.md."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--task", choices=TASKS, action="append", help="do these alone (default: all)")
    arguments = options.parse_args()
    known = packages()
    results = files.read_json(RESULTS / "results.json") if (RESULTS / "results.json").is_file() else {}
    for name in arguments.task or TASKS:
        print(name, file=sys.stderr)
        folder = WORK / "debian" / name
        if not folder.is_dir():
            write(folder, *{"sections": sections, "tags": tags}[name](known))
        results[name] = run(name, TASKS[name])
    files.write_json(RESULTS / "results.json", results)
    tables.debian(results, RESULTS)


if __name__ == "__main__":
    main()
