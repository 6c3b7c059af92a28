"""The command `potstill`: what one does with a student's file."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import potstill
from potstill import files
from potstill.bulk import fallback
from potstill.bulk.formats import FORMATS, STANDARD
from potstill.bulk.predict import predict, progress
from potstill.errors import PotstillError, run
from potstill.runtime import explain, fast
from potstill.runtime.file import FLOAT
from potstill.runtime.model import Student
from potstill.runtime.tokenizer import Words
from potstill.web.page import page

TELLING = 8  # words shown per class
NAMED = 20  # classes that a page's title names


def main() -> None:
    """Run the command line; ends the process with status 1 and one line if something is wrong."""
    run(lambda: _main(sys.argv[1:]))


def _main(arguments: Sequence[str]) -> None:
    asked = _parser().parse_args(arguments)
    try:
        asked.call(asked)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough; and nothing more can be written to it, not even at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="potstill", description="Classify texts with a distilled student.")
    parser.add_argument("--version", action="version", version=f"potstill {potstill.__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, call: Any, says: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=says, description=says)
        added.set_defaults(call=call)
        added.add_argument("model", type=Path, help="a student's file, such as models/export/student.pot")
        return added

    added = command("predict", _predict, "Classify the texts of a file, or of standard input.")
    added.add_argument("input", nargs="?", default=STANDARD, help="txt, csv, tsv, jsonl or parquet (default: -)")
    added.add_argument("-o", "--output", default=STANDARD, help="the file to write (default: -)")
    added.add_argument("--input-format", choices=FORMATS, help="default: by the name; txt for standard input")
    added.add_argument("--output-format", choices=FORMATS, help="default: by the name; jsonl for standard output")
    added.add_argument("--column", default="text", help="the column, or key, that holds the text (default: text)")
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
    added.add_argument("--address", help="with ray: of the cluster, such as auto (default: one of this machine's own)")

    added = command("inspect", _inspect, "Say what a student is, where it comes from and how good it is.")
    added.add_argument("--json", action="store_true", help="for programs")

    added = command("explain", _explain, "Show each word's part in the answer to a text.")
    added.add_argument("text", help="the text")
    added.add_argument("--label", help="the class to explain (default: the most probable one)")
    added.add_argument("--json", action="store_true", help="for programs")

    added = command("page", _page, "Write a page that classifies while one types, in one file that needs no server.")
    added.add_argument("-o", "--output", type=Path, required=True, help="the file to write, such as demo.html")
    added.add_argument("--title", help="of the page (default: the classes)")

    added = command("serve", _serve, "Answer over HTTP: /predict, /model, /healthz, /metrics, and a page at /.")
    added.add_argument("--host", default="127.0.0.1", help="default: %(default)s, which only this machine can reach")
    added.add_argument("--port", type=int, default=8000, help="default: %(default)s; 0 for any that is free")
    added.add_argument("--max-body", type=_count, default=1 << 22, help="bytes of a request (default: %(default)s)")
    added.add_argument("--max-batch", type=_count, default=1000, help="texts in a request (default: %(default)s)")
    added.add_argument("--max-length", type=_count, default=100_000, help="characters of a text (default: %(default)s)")
    return parser


def _count(value: str) -> int:
    if not value.isdecimal() or not int(value):
        raise argparse.ArgumentTypeError(f"{value!r} is no whole number from 1 on")
    return int(value)


def _share(value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{value!r} is no number from 0 to 1")
    return share


def _predict(asked: argparse.Namespace) -> None:
    if asked.engine == "ray":
        _spread(asked)
        return
    student = Student.load(asked.model)
    if asked.fallback and student.thresholds is not None:
        raise PotstillError(f"--fallback is for texts of one class, and {asked.model} gives several: leave it out")
    if asked.fallback and not asked.threshold:
        raise PotstillError("--fallback wants --threshold: the probability below which the teacher answers")
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
    )
    said = [f"{done.rows:,} texts classified"]
    if asked.fallback:
        said.append(f"{done.passed_on:,} of them ({done.passed_on / max(1, done.rows):.1%}) by {asked.fallback}")
    if done.skipped:
        said.append(f"{done.skipped:,} bad rows left out")
    if len(said) > 1:
        print(", ".join(said), file=sys.stderr)


def _spread(asked: argparse.Namespace) -> None:
    if STANDARD in (asked.input, asked.output):
        raise PotstillError("--engine ray wants Parquet files, and -o with a folder: it reads and writes no stream")
    if asked.fallback or asked.skip_bad:
        raise PotstillError("--engine ray knows neither --fallback nor --skip-bad: leave them out")
    try:
        from potstill.bulk import spread
        from potstill.engine import ray
    except ImportError as error:
        raise PotstillError(f"{error.name} is missing: pip install 'potstill[ray]'") from None
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


def describe(student: Student, size: int) -> dict[str, Any]:
    """What there is to know of a student, for programs."""
    facts = {key: value for key, value in student.facts.items() if key != "words"}
    limits = None if student.thresholds is None else [round(limit, 6) for limit in student.thresholds]
    return {
        "architecture": student.shape.architecture,
        "labels": student.labels,
        "parameters": student.parameters,
        "words": len(student.lookup.known),
        "bytes": size,
        "bits": list(student.bits),
        "temperature": round(student.temperature, 6),
        **({} if limits is None else {"thresholds": dict(zip(student.labels, limits, strict=True))}),
        "matches": "strings" if isinstance(student.lookup.known, Words) else "fingerprints",
        **facts,
        "telling": {label: dict(found) for label, found in explain.telling(student, TELLING).items()},
    }


def _inspect(asked: argparse.Namespace) -> None:
    student = Student.load(asked.model)
    known = describe(student, files.size(asked.model))
    if asked.json:
        print(json.dumps(known, indent=2, ensure_ascii=False))
        return
    facts, (table, rest) = student.facts, student.bits
    bits = "floats" if table == FLOAT else f"{table} bits each in the table, {rest} elsewhere"
    loops = "compiled" if fast.kernel else "numpy; for compiled ones reinstall where there is a C compiler"
    print(f"{asked.model}: {known['architecture']}, {known['parameters']:,} parameters, {known['bytes']:,} bytes")
    if student.thresholds is None:
        print(f"classes     {', '.join(student.labels)}")
    else:
        named = (f"{name} ({limit:.3f})" for name, limit in known["thresholds"].items())
        print(f"classes     {', '.join(named)}; a text has those that reach their threshold")
    print(f"words       {known['words']:,}, known by their {known['matches']}")
    print(f"reads       the first {student.lookup.max_length} words of a text")
    print(f"numbers     {bits}; probabilities at temperature {known['temperature']:g}")
    print(f"loops       {loops}")
    if "metrics" in facts:
        rows = facts["rows"]
        print(f"made by     potstill {facts['version']}")
        print(f"from        {rows['train']:,} labelled and {rows['unlabelled']:,} unlabelled texts")
        for name, accuracy in facts["teachers"].items():
            print(f"teacher     {name}, {accuracy:.2%} on test")
        right = "right" if student.thresholds is None else "right in all classes"
        for split, found in facts["metrics"].items():
            print(
                f"{split:<12}{found['accuracy']:.2%} of {rows[split]:,} {right} "
                f"({found['accuracy_low']:.2%} to {found['accuracy_high']:.2%}), macro F1 {found['macro_f1']:.4f}, "
                f"calibration error {found['calibration_error']:.4f}"
            )
        for name, digest in facts["sha256"].items():
            print(f"sha256      {digest}  {name}")
    if not known["telling"]:
        print("The file does not name its words.")
        return
    print("words that speak most for a class, and how much they raise the logarithm of its probability:")
    for label, found in known["telling"].items():
        print(f"  {label}: " + ", ".join(f"{word} {gain:+.1f}" for word, gain in found.items()))


def _explain(asked: argparse.Namespace) -> None:
    student = Student.load(asked.model)
    if asked.label is not None and asked.label not in student.labels:
        raise PotstillError(f"{asked.model} knows no class {asked.label!r}, but {', '.join(student.labels)}")
    label, probability, parts = explain.explain(student, asked.text, asked.label)
    if asked.json:
        found = {"label": label, "probability": round(probability, 6), "words": [asdict(part) for part in parts]}
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    print(f"{label} {probability:.4f}")
    width = max((len(part.word) for part in parts), default=0)
    for part in parts:
        bar = ("+" if part.part > 0 else "-") * min(40, round(8 * abs(part.part)))
        print(f"  {part.word:<{width}}  {part.part:+.3f} {bar}" + ("" if part.known else "(unknown)"))


def _title(student: Student) -> str:
    if len(student.labels) > NAMED:
        return f"Which of {len(student.labels):,} classes?"
    if student.thresholds is not None:
        return f"Which of {', '.join(student.labels)}?"
    return f"Is it {', '.join(student.labels[:-1])} or {student.labels[-1]}?"


def _page(asked: argparse.Namespace) -> None:
    student = Student.load(asked.model)
    files.write_text(asked.output, page(asked.model.read_bytes(), asked.title or _title(student)))
    print(f"{asked.output}: {files.size(asked.output):,} bytes")


def _serve(asked: argparse.Namespace) -> None:
    try:
        from potstill import serve
    except ImportError as error:
        raise PotstillError(f"{error.name} is missing: pip install 'potstill[serve]'") from None
    student = Student.load(asked.model)
    content = asked.model.read_bytes()
    app = serve.create(
        student,
        describe(student, len(content)),
        page(content, _title(student)),
        max_body=asked.max_body,
        max_batch=asked.max_batch,
        max_length=asked.max_length,
    )
    serve.run(app, asked.host, asked.port)


if __name__ == "__main__":
    main()
