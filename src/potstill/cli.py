"""The command `potstill`: what one does with a student's file."""

from potstill.start import run

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import potstill
from potstill.bulk import fallback
from potstill.bulk.formats import FORMATS, STANDARD
from potstill.bulk.predict import predict, progress
from potstill.bulk.write import output
from potstill.errors import NAMED, PotstillError, lacking, listed, visible
from potstill.markdown import NAME, cut
from potstill.runtime import explain, fast
from potstill.runtime.file import FLOAT
from potstill.runtime.model import Student
from potstill.runtime.tokenizer import Words, words
from potstill.terminal import Parser, as_json, finite, text
from potstill.web.page import page

INFORMATIVE = 8  # words shown per class
MOST = 2**31 - 1  # of what is counted


def main() -> None:
    """Run the command line; ends the process with status 1 and one line if something is wrong."""
    run(lambda: _main(sys.argv[1:]))


def _main(arguments: Sequence[str]) -> None:
    asked = _parser().parse_args(arguments)
    with suppress(BrokenPipeError):  # whoever read the output has seen enough
        asked.call(asked)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="potstill", description="Classify texts with a distilled student.")
    parser.add_argument("--version", action="version", version=f"potstill {potstill.__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, call: Any, says: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=says, description=says)
        added.set_defaults(call=call)
        added.add_argument("model", type=Path, help="a potstill model file, such as models/export/student.pot")
        return added

    added = command("predict", _predict, "Classify the texts of a file, or of standard input.")
    added.epilog = (
        "txt, csv and tsv hold the labels as the model file has them, and a spreadsheet runs a cell that begins with "
        "=, +, -, @, a tab or a carriage return: check the labels of a foreign file with `inspect`. jsonl escapes "
        "control characters."
    )
    added.add_argument(
        "input",
        nargs="?",
        default=STANDARD,
        help="txt, csv, tsv or jsonl, also as .gz or .zst; or parquet (default: -, standard input)",
    )
    added.add_argument("-o", "--output", default=STANDARD, help="the file to write (default: -)")
    added.add_argument("--input-format", choices=FORMATS, help="default: by the name; txt for standard input")
    added.add_argument("--output-format", choices=FORMATS, help="default: by the name; jsonl for standard output")
    added.add_argument("--column", type=text, default="text", help="the column, or key, of the text (default: text)")
    added.add_argument(
        "--top-k",
        type=_count,
        metavar="K",
        help="write the K most probable classes (default: 1; where a text may have several: all that it has)",
    )
    added.add_argument(
        "--threshold",
        type=_share,
        metavar="P",
        help="leave the class empty where its probability is below P (default: 0; where a text may have several, each "
        "class has a threshold of its own, in whose place this one stands)",
    )
    added.add_argument(
        "--fallback",
        type=Path,
        metavar="FOLDER",
        help="let the teacher in this folder, such as models/teacher/minilm, answer instead",
    )
    added.add_argument(
        "--skip-bad", action="store_true", help="leave out rows without a text, count them, and number the others"
    )

    added.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="ray: score a Parquet file, a folder or a pattern of them, of this machine or of a store such as s3://, "
        "into a folder of them, on a Ray cluster; a second start goes on where the first ended (default: %(default)s)",
    )
    added.add_argument(
        "--workers", type=_count, metavar="N", help="with ray: at a time (default: as many as there are)"
    )
    added.add_argument(
        "--address", type=text, help="with ray: of the cluster, such as auto (default: one of this machine's own)"
    )

    added = command("inspect", _inspect, "Say what a student is, where it comes from and how good it is.")
    added.add_argument("--json", action="store_true", help="print JSON")

    added = command("explain", _explain, "Show each word's part in the answer to a text.")
    added.add_argument("text", type=text, help=f"the text, of which the first {explain.EXPLAINED:,} words are shown")
    added.add_argument("--label", type=text, help="the class to explain (default: the most probable one)")
    added.add_argument("--json", action="store_true", help="print JSON")

    added = command("page", _page, "Write a page that classifies while one types, in one file that needs no server.")
    added.add_argument("-o", "--output", required=True, help="the file to write, such as demo.html; or -")
    added.add_argument("--title", type=text, help="of the page (default: the classes)")

    added = command("serve", _serve, "Answer over HTTP: /predict, /model, /healthz, /metrics, and a page at /.")
    added.add_argument(
        "--host", type=text, default="127.0.0.1", help="default: %(default)s, which only this machine can reach"
    )
    added.add_argument("--port", type=_port, default=8000, help="default: %(default)s; 0 for any that is free")
    added.add_argument("--max-body", type=_count, default=1 << 22, help="bytes of a request (default: %(default)s)")
    added.add_argument("--max-batch", type=_count, default=1000, help="texts in a request (default: %(default)s)")
    added.add_argument("--max-length", type=_count, default=100_000, help="characters of a text (default: %(default)s)")
    added.add_argument(
        "--max-connections", type=_count, default=1000, metavar="N", help="connections at a time (default: %(default)s)"
    )
    added.add_argument(
        "--timeout",
        type=_seconds,
        default=30,
        metavar="SECONDS",
        help="time for a client to send a request, and to read the answer (default: %(default)s)",
    )
    added.add_argument(
        "--allowed-host",
        type=text,
        action="append",
        default=[],
        metavar="NAME",
        help="a Host that is answered, may be repeated; * for any (always: localhost, 127.0.0.1, [::1] and --host; "
        "where that is not loopback, any IP address)",
    )
    return parser


def _count(value: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", value) or not 0 < int(value) <= MOST:
        raise argparse.ArgumentTypeError(f"must be an integer from 1 to {MOST} (found: {value[:50]!r})")
    return int(value)


def _port(value: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", value) or int(value) > 65535:
        raise argparse.ArgumentTypeError(f"must be an integer from 0 to 65535 (found: {value[:50]!r})")
    return int(value)


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= 86400:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, at most 86400 (found: {value[:50]!r})")
    return seconds


def _share(value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1 (found: {value!r})")
    return share


def _predict(asked: argparse.Namespace) -> None:
    if asked.engine == "ray":
        _spread(asked)
        return
    student = Student.load(asked.model)
    if asked.fallback and student.thresholds is not None:
        raise PotstillError(f"--fallback is for texts of one class, and {asked.model} gives several: leave it out")
    if asked.fallback and not asked.threshold:
        raise PotstillError("--fallback requires --threshold: the probability below which the teacher answers")
    done = predict(
        student,
        asked.input,
        asked.output,
        source_format=asked.input_format,
        target_format=asked.output_format,
        column=asked.column,
        top=asked.top_k,
        threshold=asked.threshold,
        skip_bad=asked.skip_bad,
        fallback=fallback.load(asked.fallback, student.labels) if asked.fallback else None,
        keep=[asked.model, *(asked.fallback.rglob("*") if asked.fallback else ())],
    )
    said = [f"{done.rows:,} texts classified"]
    if asked.fallback:
        said.append(
            f"{done.passed_on:,} of them ({done.passed_on / max(1, done.rows):.1%}) by {visible(str(asked.fallback))}"
        )
    if done.skipped:
        said.append(f"{done.skipped:,} bad rows left out")
    if len(said) > 1:
        print(", ".join(said), file=sys.stderr)


def _spread(asked: argparse.Namespace) -> None:
    if STANDARD in (asked.input, asked.output):
        raise PotstillError("--engine ray requires Parquet files, and -o with a folder: it reads and writes no stream")
    if asked.fallback or asked.skip_bad:
        raise PotstillError("--engine ray knows neither --fallback nor --skip-bad: leave them out")
    try:
        from potstill.bulk import spread
        from potstill.engine import ray
    except ModuleNotFoundError as error:
        raise lacking(error.name, "ray") from None
    with progress() as told:
        rows = spread.predict(
            asked.model,
            asked.input,
            asked.output,
            column=asked.column,
            top=asked.top_k,
            threshold=asked.threshold,
            engine=partial(ray.each, actors=asked.workers or 0, address=asked.address, gpu=False),
            told=told,
        )
    print(f"{rows:,} texts classified", file=sys.stderr)


def _load(path: Path) -> tuple[Student, bytes]:
    """A student and the contents of its file; a pipe can be read only once."""
    student = Student.load(path)
    return student, path.read_bytes() if path.is_file() else student.to_bytes()


def describe(student: Student, size: int) -> dict[str, Any]:
    """Describe a student for programs: what is computed, then the facts of its file, which replace none of that."""
    limits = None if student.thresholds is None else [round(limit, 6) for limit in student.thresholds]
    known = {
        "architecture": student.shape.architecture,
        "labels": student.labels,
        "parameters": student.parameters,
        "words": len(student.vocabulary.entries),
        "bytes": size,
        "bits": list(student.bits),
        "temperature": round(student.temperature, 6),
        **({} if limits is None else {"thresholds": dict(zip(student.labels, limits, strict=True))}),
        "matches": "strings" if isinstance(student.vocabulary.entries, Words) else "fingerprints",
    }
    informative = {label: dict(found) for label, found in explain.informative_words(student, INFORMATIVE).items()}
    facts = {key: value for key, value in student.facts.items() if key not in {*known, "thresholds", "informative"}}
    return finite({**known, **facts, "informative": informative})


def _inspect(asked: argparse.Namespace) -> None:
    student, content = _load(asked.model)
    known = describe(student, len(content))
    if asked.json:
        print(as_json(known, indent=2))
        return
    for line in _lines(asked.model, student, known):
        print(visible(line))


def _lines(path: Path, student: Student, known: dict[str, Any]) -> Iterator[str]:
    """What there is to know of a student, for people."""
    table, rest = student.bits
    bits = "floats" if table == FLOAT else f"{table} bits each in the table, {rest} elsewhere"
    loops = "compiled" if fast.kernel else "numpy; for compiled ones reinstall where there is a C compiler"
    yield f"{path}: {known['architecture']}, {known['parameters']:,} parameters, {known['bytes']:,} bytes"
    if student.thresholds is None:
        yield f"classes     {listed(student.labels)}"
    else:
        named = [f"{name} ({limit:.3f})" for name, limit in known["thresholds"].items()]
        yield f"classes     {listed(named)}; a text has those that reach their threshold"
    yield f"words       {known['words']:,}, known by their {known['matches']}"
    yield f"reads       the first {student.vocabulary.max_length} words of a text"
    yield f"numbers     {bits}; probabilities at temperature {known['temperature']:g}"
    yield f"loops       {loops}"
    yield from _origin(student.facts, "right" if student.thresholds is None else "right in all classes")
    if not known["informative"]:
        yield "The file does not name its words."
        return
    yield "words that speak most for a class, and how much they raise the logarithm of its probability:"
    for label, found in islice(known["informative"].items(), NAMED):
        yield f"  {label}: " + ", ".join(f"{word} {gain:+.1f}" for word, gain in found.items())
    if len(student.labels) > NAMED:
        yield f"  … and {len(student.labels) - NAMED:,} more classes: --json has all"


def _origin(facts: dict[str, Any], right: str) -> Iterator[str]:
    """What a file says of its origin and quality; what it does not say, or not as `export` does, is left out."""

    def table(key: str) -> dict[str, Any]:
        found = facts.get(key)
        return found if isinstance(found, dict) else {}

    rows = table("rows")
    said = [
        ("made by     potstill {version}", facts),
        ("from        {train:,} labelled and {unlabelled:,} unlabelled texts", rows),
    ]
    for name, accuracy in table("teachers").items():
        said.append(("teacher     {name}, {accuracy:.2%} on test", {"name": name, "accuracy": accuracy}))
    untested = facts.get("untested_teachers")
    for name in untested if isinstance(untested, list) else []:
        said.append(("teacher     {name}, which lacks answers for some of the test texts", {"name": name}))
    for split, found in table("metrics").items():
        form = (
            "{split:<12}{accuracy:.2%} of {rows:,} {right} ({accuracy_low:.2%} to {accuracy_high:.2%}), "
            "macro F1 {macro_f1:.4f}, calibration error {calibration_error:.4f}"
        )
        scores = found if isinstance(found, dict) else {}
        said.append((form, {**scores, "split": split, "rows": rows.get(split), "right": right}))
    for name, digest in table("sha256").items():
        said.append(("sha256      {digest}  {name}", {"digest": digest, "name": name}))
    for form, values in said:
        with suppress(KeyError, TypeError, ValueError):
            yield form.format_map(values)


def _explain(asked: argparse.Namespace) -> None:
    student = Student.load(asked.model)
    if asked.label is not None and asked.label not in student.labels:
        raise PotstillError(f"--label: {asked.model} has no class {asked.label!r} (found: {listed(student.labels)})")
    label, probability, parts = explain.explain(student, asked.text, asked.label)
    read = min(len(words(asked.text)), student.vocabulary.max_length)
    if read > len(parts):
        print(f"the first {len(parts):,} of {read:,} words are explained; all count in the answer", file=sys.stderr)
    if asked.json:
        told = [asdict(part) for part in parts]
        print(as_json({"label": label, "probability": round(probability, 6), "words": told}, indent=2))
        return
    print(visible(f"{label} {probability:.4f}"))
    shown = [visible(part.word) for part in parts]
    width = max(map(len, shown), default=0)
    for word, part in zip(shown, parts, strict=True):
        bar = ("+" if part.score > 0 else "-") * round(min(40.0, 8 * abs(part.score)))
        print(f"  {word:<{width}}  {part.score:+.3f} {bar}" + ("" if part.known else "(unknown)"))


def _title(student: Student, most: int = NAME) -> str:
    """The title of a student's page, with names of at most `most` letters."""
    if len(student.labels) > NAMED:
        return f"Which of {len(student.labels):,} classes?"
    labels = [cut(visible(label), most) for label in student.labels]
    if student.thresholds is not None:
        return f"Which of {', '.join(labels)}?"
    return f"Is it {', '.join(labels[:-1])} or {labels[-1]}?"


def _page(asked: argparse.Namespace) -> None:
    student, content = _load(asked.model)
    written = page(content, asked.title or _title(student), asked.title or _title(student, MOST)).encode()
    with output(asked.output, asked.model) as stream:
        stream.write(written)
    if asked.output != STANDARD:
        print(visible(f"{asked.output}: {len(written):,} bytes"))


def _serve(asked: argparse.Namespace) -> None:
    try:
        from potstill import serve
    except ModuleNotFoundError as error:
        raise lacking(error.name, "serve") from None
    student, content = _load(asked.model)
    listening = serve.listen(asked.host, asked.port)
    app = serve.create(
        student,
        describe(student, len(content)),
        page(content, _title(student), _title(student, MOST)),
        answered=serve.hosts(listening.getsockname()[0], [asked.host, *asked.allowed_host]),
        max_body=asked.max_body,
        max_batch=asked.max_batch,
        max_length=asked.max_length,
    )
    serve.run(app, listening, seconds=asked.timeout, connections=asked.max_connections)


if __name__ == "__main__":
    main()
