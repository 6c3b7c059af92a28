"""The user's own files: CSV, TSV, JSONL, Parquet, and `text;label` lines without a header."""

import csv
import os
from pathlib import Path

import pandas as pd

from potstill.corpus.dataset import SPLITS
from potstill.corpus.tables import Raw, Table, by_name, columns
from potstill.errors import PotstillError
from potstill.params.prepare import PrepareParams

FORMATS = (".csv", ".tsv", ".jsonl", ".parquet", ".txt")

LAST_SEMICOLON = r";(?=[^;]*$)"
NOTHING = r"(?!)"  # a pattern that never matches: the whole line is one field

# What pandas and numpy write for a missing text. It counts as such in labelled texts and in columns
# named by `prepare.text`, and nowhere else: a class may well be called "None" or "NA".
MISSING = ["nan", "NaN"]


def read(params: PrepareParams) -> Raw:
    """Read the files that `prepare.path` holds.

    Raises:
        PotstillError: a file is missing, outside `prepare.path`, ambiguous, empty, not UTF-8 or not
            of its format, or lacks a column, a text or a label.
    """
    folder = Path(params.path)
    if not folder.exists():
        raise PotstillError(f"{folder} does not exist: set `prepare.path` to your folder or file")
    if folder.is_file():
        for key in ("train", "validation", "test", "unlabelled"):
            if getattr(params, key):
                raise PotstillError(
                    f"`prepare.{key}` is set, but `prepare.path` is the single file {folder}: "
                    f"set `prepare.path` to the folder that holds both, or `prepare.{key}` to null"
                )
        return Raw({"train": _labelled(folder, params)})

    there = [(file.stem, file.name) for file in folder.iterdir() if file.suffix.lower() in FORMATS]
    splits = {}
    for split in SPLITS:
        name = by_name(split, there, getattr(params, split), f"prepare.{split}")
        if name is not None:
            splits[split] = _labelled(_inside(folder, name, f"prepare.{split}"), params)
    if "train" not in splits:
        raise PotstillError(
            f"{folder} holds no train split, a file train with the ending {', '.join(FORMATS)}: "
            "set `prepare.train` to your file's name"
        )
    texts = [_inside(folder, name, "prepare.unlabelled") for name in params.unlabelled]
    return Raw(splits, [_unlabelled(path, params) for path in texts])


def _inside(folder: Path, name: str, key: str) -> Path:
    # Not resolved, because a link inside the folder is inside the folder, to DVC too.
    path = folder / name
    if not Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder)):
        raise PotstillError(
            f"`{key}` names {path}, which is outside `prepare.path` ({folder}), where DVC would not see "
            "it change: move it there, or set `prepare.path` to a folder that holds all files"
        )
    if not path.is_file():
        raise PotstillError(f"{path} does not exist: set `{key}` to a file in {folder}")
    return path


def _labelled(path: Path, params: PrepareParams) -> Table:
    if path.suffix.lower() == ".txt":
        frame = _load(path, sep=LAST_SEMICOLON, names=("text", "label"))
        unsplit = frame["label"].isna()
        if unsplit.any():
            raise PotstillError(
                f"{path}: row {unsplit.idxmax()} has no semicolon: every line of a .txt is `text;label`"
            )
        return columns(frame, str(path), "text", "label", params.multi_label)
    return columns(_load(path, text=params.text), str(path), params.text, params.label, params.multi_label)


def _unlabelled(path: Path, params: PrepareParams) -> Table:
    if path.suffix.lower() == ".txt":
        return columns(_load(path), str(path), "text", None)
    return columns(_load(path, text=params.text), str(path), params.text, None)


def _load(path: Path, text: str = "text", sep: str = NOTHING, names: tuple[str, ...] = ("text",)) -> pd.DataFrame:
    """Read a table of any format; the index counts rows (lines, in a .txt) from 1."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise PotstillError(f"{path} is of no known format: potstill reads {', '.join(FORMATS)}")
    if path.stat().st_size == 0:
        raise PotstillError(f"{path} is empty: it needs at least one row")
    try:
        if suffix == ".parquet":
            frame = pd.read_parquet(path)
        elif suffix == ".jsonl":
            frame = pd.read_json(path, lines=True, dtype=False, convert_dates=False, encoding="utf-8-sig")
        elif suffix == ".txt":
            frame = _read_lines(path, sep, names)
        else:
            frame = _read_delimited(path, text)
    except UnicodeDecodeError:
        raise PotstillError(_undecodable(path)) from None
    except PermissionError:
        raise
    except (ValueError, OSError) as error:
        raise PotstillError(f"{path} is not a valid {suffix[1:].upper()} file: {error}") from None
    frame.index = frame.index + 1
    return frame


def _read_lines(path: Path, sep: str, names: tuple[str, ...]) -> pd.DataFrame:
    frame = pd.read_csv(
        path, sep=sep, names=list(names), header=None, engine="python", dtype=object, encoding="utf-8-sig",
        keep_default_na=False, na_values={"text": MISSING if "label" in names else []},
        quoting=csv.QUOTE_NONE, skip_blank_lines=False,
    )  # fmt: skip
    blank = (frame["text"] == "") & frame.drop(columns="text").isna().all(axis=1)
    return frame[~blank]


def _read_delimited(path: Path, text: str) -> pd.DataFrame:
    frame = pd.read_csv(
        path, sep="\t" if path.suffix.lower() == ".tsv" else ",", dtype=object, encoding="utf-8-sig",
        keep_default_na=False, na_values={text: MISSING},
    )  # fmt: skip
    if not isinstance(frame.index, pd.RangeIndex):
        # pandas would take the surplus first column for row names and shift all others.
        raise ValueError("rows have more fields than the header; put texts that hold the separator in quotes")
    return frame


def _undecodable(path: Path) -> str:
    content = path.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return (
            f"{path}: byte 0x{content[error.start]:02x} at offset {error.start} (line {line}) is not UTF-8: "
            "save the file as UTF-8, for instance with `iconv -f latin1 -t utf-8`"
        )
    return f"{path} holds text that is not UTF-8: save it as UTF-8"
