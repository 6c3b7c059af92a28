"""Have the next run continue from the last one, after rows were added or corrected.

Fine-tuning goes on from the last teacher, and the rung of the last student is taken again without the ladder. Both are
parameters afterwards, so that DVC knows what the next run was made with.
"""

import argparse
import math
import shutil
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from potstill.commands.common import count
from potstill.commands.dvc_internals import repository
from potstill.core import files, paths
from potstill.core.errors import PotstillError
from potstill.core.params import parse, section
from potstill.evaluate.metrics import measures
from potstill.prepare.params import PrepareParams
from potstill.terminal import Parser

PREVIOUS = Path("models/previous")
LOCK = Path("dvc.lock")
LADDER = paths.METRICS / "student" / "ladder.json"
# Of the epochs from scratch. benchmarks/trust/update.py measures what that costs and saves.
SHARE = 0.5
SPLITTING = ("seed", "validation_share", "test_share", "fold", "folds")  # keys that decide which texts are test texts


def arguments(parser: Parser) -> None:
    """Add the options."""
    epochs = "epochs of fine-tuning, from the last teacher (default: half of those from scratch)"
    parser.add_argument("--epochs", type=count, metavar="N", help=epochs)


def run(args: argparse.Namespace) -> None:
    """Keep the teachers of the last run, and set in `params.yaml` what continues from it.

    Raises:
        PotstillError: the data are those of the last run, have no labels or are split in another way, or what the last
            run made is missing.
    """
    prepare = section("prepare").load()
    if prepare.label is None:
        raise PotstillError(
            "`prepare.label` is null: a teacher of names alone has no labels to correct or add to. Run `dvc repro`."
        )
    rung = last_rung()
    teachers = [name for name in section("label").load().teachers if is_finetuned(paths.TEACHER / name)]
    with repository() as repo:
        if not repo.status(["prepare"]):
            raise PotstillError(
                "the data are those of the last run, so there is nothing to update. Add or correct rows first."
            )
        check_splitting(prepare.model_dump())
        if teachers:
            keep(teachers)
            repo.add([str(PREVIOUS)])
    yaml = editor()
    content = yaml.load(paths.PARAMS.read_text("utf-8-sig"))
    changed = [change(content, ("teacher", "presets", name), continued(name, args.epochs)) for name in teachers]
    changed.append(change(content, ("student",), {"rung": rung} if rung else {}))
    with files.atomic_write(paths.PARAMS) as part:
        yaml.dump(content, part)
    print(f"{paths.PARAMS}: {'; '.join(filter(None, changed)) or 'nothing to change'}")
    print(
        "Next: `dvc repro`, then `potstill compare HEAD workspace`. Check that `git diff params.yaml` is what you want."
    )


def check_splitting(prepare: dict[str, Any]) -> None:
    """Check that texts are split as in the last run: otherwise, some that the teacher has learned would be test texts.

    Raises:
        PotstillError: they are not.
    """
    lock = parse(LOCK.read_text("utf-8"), str(LOCK)) if LOCK.is_file() else {}
    before = lock.get("stages", {}).get("prepare", {}).get("params", {}).get(str(paths.PARAMS), {}).get("prepare", {})
    for key in SPLITTING:
        earlier = before.get(key, PrepareParams.model_fields[key].default) if before else prepare[key]
        if earlier != prepare[key] and (key != "folds" or prepare["fold"]):
            raise PotstillError(
                f"prepare.{key}: with another value, texts that the teacher has learned become test texts (found: "
                f"{prepare[key]}; in the last run: {earlier}). Set it back, or start from scratch."
            )


def last_rung() -> str | None:
    """Return the rung of the last student, or None if the ladder does not choose it.

    Raises:
        PotstillError: there is no last student.
    """
    (chosen,) = (row["rung"] for row in measures.read(measures.Ladder, LADDER) if row["status"] == "chosen")
    params = section("student").load()
    return chosen if params.rung == "auto" and not params.settings and chosen in params.ladder else None


def is_finetuned(folder: Path) -> bool:
    """Return whether a teacher is a fine-tuned checkpoint, and not a table or an LLM.

    Raises:
        PotstillError: the teacher is missing.
    """
    return bool(files.read_json(folder / "teacher.json", "kind", kind=str) == "checkpoint")


def keep(teachers: list[str]) -> None:
    """Copy teachers to `PREVIOUS`, as DVC replaces `models/teacher`."""
    with files.atomic_write(PREVIOUS) as part:
        for name in teachers:
            # Contents alone: those of DVC's cache may be links, or write-protected.
            shutil.copytree(paths.TEACHER / name, part / name, copy_function=shutil.copyfile)


def continued(name: str, epochs: int | None) -> dict[str, Any]:
    """Return the preset that continues from the teacher of this name in `PREVIOUS`."""
    params = section("teacher").load()
    folder = PREVIOUS / name
    rows = files.read_json(paths.PREPARED / "dataset.json", "rows", "train", kind=int)
    labels = files.read_names(paths.PREPARED / "dataset.json", "labels")
    # Not those of the preset, which an earlier update has set.
    epochs = epochs or math.ceil(SHARE * params.epochs_for(rows, len(labels)))
    start = {"checkpoint": folder.as_posix(), "sha256": files.sha256(folder), "epochs": epochs}
    # What was adapted to the texts remains so; adapting would lose the head.
    adapted = {"mlm_epochs": 0} if params.for_preset(name).mlm_epochs else {}
    return {**params.presets[name].model_dump(exclude_defaults=True), **start, **adapted}


def editor() -> YAML:
    """Return what reads and writes YAML without a change to other lines."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 2**16
    null = "tag:yaml.org,2002:null"
    yaml.representer.add_representer(type(None), lambda representer, _: representer.represent_scalar(null, "null"))
    return yaml


def change(content: Any, keys: tuple[str, ...], values: dict[str, Any]) -> str:
    """Set values in a section of `params.yaml`, and return what has changed: keys and values, or nothing."""
    place = content
    for key in keys:
        place = place.setdefault(key, {})
    changed = {key: value for key, value in values.items() if key not in place or place[key] != value}
    place.update(changed)
    return ", ".join(f"{'.'.join((*keys, key))}={value}" for key, value in changed.items())
