"""Forge model files and texts, and check that numpy, the kernel and JavaScript agree: `make fuzz`.

Both runtimes refuse the same files. A file that they load can be used, described, explained and saved again, within
seconds. `unpack` raises nothing but `FormatError`. Files of small Transformers, which JavaScript does not read, are
forged from those in `conformance/`. Files that fail are kept in FOLDER and can be tried again.
"""

import argparse
import base64
import dataclasses
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from potstill.commands import inspect
from potstill.runtime import fast, file
from potstill.runtime.explain import explain
from potstill.runtime.model import TRANSFORMER_MAGIC, Classifier, Student
from potstill.runtime.networks import ARCHITECTURES, Shape
from potstill.runtime.tokenizer import Fingerprints, Vocabulary, Words, checksum, fingerprint

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".potstill" / "fuzz"
TRANSFORMERS = [path.read_bytes() for path in sorted((ROOT / "conformance").glob("transformer-*.pot"))]
SECONDS = 20  # per file
TAME, TAMER = 8.0, 1.0  # weights up to which float32 and float64 agree; the second for recurrent networks
ENTRIES = sorted(
    {"!", "?", "a", "ab", "café", "extraordinarily long word", "not good", "the", "σασ", "में", "日", "☕", "😀"}
    | {"##", "##a", "##b", "##bb1", "##é", "##\u0301", "##σ", "##日", "##" + "a" * 33, "z", "é"}
)
LABELS = ["joy", "déjà vu", "\ufefflove", "a\tb", "\x1b[31m", "日", "😀"]
FACTS: dict[str, Any] = {
    "version": "9",
    "params": {"hidden": 8, "sources": ["train"], "rows": None},
    "rows": {"train": 10, "validation": 5, "test": 5, "unlabelled": 0},
    "sha256": {"prepared": "0" * 64},
    "metrics": {
        name: {"accuracy": 0.5, "accuracy_low": 0.25, "accuracy_high": 0.75, "macro_f1": 0.5, "calibration_error": 0.0}
        for name in ("validation", "test")
    },
    "teachers": {"minilm": 0.75},
    "untested_teachers": ["table"],
    "scope": {
        "threshold": 1.5,
        "false_alarms": 0.01,
        "false_alarms_high": 0.02,
        "texts": 500,
        "test": 0.25,
        "weight": 10.0,
        "rare": [1],
    },
}
ODD: list[Any] = [
    None, True, False, 0, -1, -0.0, 1.0, 1.5, 0.5, 2**31, 2**53 - 1, 2**53, 2**53 + 1, 10**400, 1e300, 1e308,
    float("nan"), float("inf"), "", "a", "\ud800",
    "\udc00x", "\ufeff", "\x00", "\x1b]0;x\x07", "a\n", "\n", " ", "a  b", "😀", [], {}, [[]], [[[[[[[[[]]]]]]]]],
    {"": {}}, {"__proto__": 1}, {"train": 1}, {"accuracy": 1}, {"constructor": 0.5},
]  # fmt: skip
# Values for the fields of the header.
EDGES = [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    16,
    31,
    32,
    33,
    63,
    64,
    127,
    128,
    255,
    256,
    1024,
    1025,
    2**16 - 1,
    2**18,
    2**18 + 1,
    2**32 - 1,
]
ALPHABET = [
    *"aAbBzZ019_ \t\n!?.'",
    *"éÉßİıΣσςǅﬁ日本語ｶﾞンำน้မြខ្हिन्دي한",
    *"\u0301\u200c\u200d\ufe0f\u20e3\x00\x1c\x85\xa0\u2028\u3000\ufeff\ud800\udfff❤👍🏽👩🇩🇪",
]


def make(rng: random.Random) -> Student:
    """Make a valid student, with any features that a file may have."""
    architecture, multi_label = rng.choice(list(ARCHITECTURES)), rng.random() < 0.3
    entries = sorted(rng.sample(ENTRIES, rng.randint(0, len(ENTRIES))))
    known: Words | Fingerprints = Words(entries)
    if rng.random() < 0.5:
        salts, bits = [rng.randrange(256) for _ in range(rng.choice([1, 2, 4]))], rng.choice([6, 12, 20, 32])
        known = Fingerprints(sorted({fingerprint(checksum(e), salts, bits) for e in entries}), salts, bits)
    rows = None
    if len(known) and rng.random() < 0.4:
        most = rng.randint(1, len(known))
        rows = [*range(1, most + 1), *(rng.randint(1, most) for _ in range(len(known) - most))]
        rng.shuffle(rows)
    subwords = rng.random() < 0.4
    max_ngram = rng.randint(1, 5) if architecture == "mlp" and not subwords else 1
    vocabulary = Vocabulary(known, rows, max_ngram, rng.choice([1, 7, 128, 65535]), subwords)
    large = rng.random() < 0.1  # as the kernel reads several texts at once then
    shape = Shape(architecture, rng.randint(1, 4), rng.randint(30, 40) if large else rng.randint(1, 9))
    labels = rng.sample(LABELS, rng.randint(1, len(LABELS)))
    widths = (rng.choice([2, 3, 5, 8, 32]), rng.choice([2, 4, 8, 32]))
    numbers, weights, steps = np.random.default_rng(rng.randrange(2**32)), {}, {}
    for name, size in shape.weights(vocabulary.size, len(labels)).items():
        width = widths[name != file.TABLE]
        weights[name] = numbers.normal(scale=0.1 if large else 0.3, size=size).astype(np.float32)
        if width < file.FLOAT:
            steps[name] = float(np.float16(3 / 2**width))
            limit = 2 ** (width - 1) - 1
            whole = np.rint(weights[name] / np.float32(steps[name])).clip(-limit, limit)
            weights[name] = (whole * np.float32(steps[name])).astype(np.float32)
    facts = dict(FACTS) if rng.random() < 0.6 else {}
    if isinstance(known, Fingerprints) and rng.random() < 0.5:
        facts["words"] = "\n".join(f"w{i}" for i in range(len(known)))
    if not multi_label and rng.random() < 0.3:
        limits = [rng.choice([None, 0, 0.5, 1.0]) for _ in labels]
        facts["guarantee"] = {"kind": "agreement", "target": 0.5, "confidence": 0.95, "per_class": True,
                              "thresholds": limits, "rows": 5, "answered": 0.5}  # fmt: skip
    thresholds = [rng.choice([0.0, 0.25, 0.5, 1.0]) for _ in labels] if multi_label else None
    temperature = rng.choice([1.0, 0.5, 2.0])
    return Student(labels, vocabulary, shape, weights, widths, steps, temperature, thresholds, facts)


def seal(body: bytes) -> bytes:
    """Return a file with a valid checksum."""
    return file.seal(file.MAGIC, body)


def forge(rng: random.Random) -> bytes:
    """Make a forged file, or a valid one."""
    made = make(rng)
    body = made.to_bytes()[8:]
    facts = dict(made.facts)
    if isinstance(made.vocabulary.entries, Words):
        facts["words"] = "\n".join(made.vocabulary.entries.strings)
    bare = body[: len(body) - len(file.deflate(facts))]
    way = rng.randrange(6)
    if way == 0:
        return seal(body)
    if way == 1:
        return seal(bare + _deflated(rng, _other(rng, facts)))
    if way == 2:
        return seal(_header(rng, body))
    if way == 3:  # the end of another file
        other = make(rng).to_bytes()[8:]
        return seal(body[: rng.randint(0, len(body))] + other[rng.randint(0, len(other)) :])
    return seal(_damaged(rng, bare) + body[len(bare) :] if way == 4 else _damaged(rng, body))


def forge_transformer(rng: random.Random) -> bytes:
    """Make a forged file of a small Transformer."""
    body, other = (rng.choice(TRANSFORMERS)[8:] for _ in range(2))
    header, tokenizer, weights = _parts(body)
    spec = json.loads(zlib.decompress(tokenizer, wbits=-15))
    way = rng.randrange(5)
    if way == 0:
        header = _deflated(rng, _other(rng, json.loads(zlib.decompress(header, wbits=-15))))
    elif way == 1:
        tokenizer = _deflated(rng, _other(rng, spec))
    elif way == 2:  # a part of another tokenizer
        key = rng.choice(list(spec))
        tokenizer = file.deflate(spec | {key: json.loads(zlib.decompress(_parts(other)[1], wbits=-15))[key]})
    elif way == 3:
        numbers = _damaged(rng, zlib.decompress(weights, wbits=-15))
        weights = zlib.compress(numbers, rng.choice([0, 9]), wbits=-15)
    body = struct.pack("<II", len(header), len(tokenizer)) + header + tokenizer + weights
    return file.seal(TRANSFORMER_MAGIC, _damaged(rng, body) if way == 4 else body)


def _parts(body: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the header, the tokenizer and the weights of a small Transformer's file."""
    first, second = struct.unpack_from("<II", body)
    return body[8 : 8 + first], body[8 + first : 8 + first + second], body[8 + first + second :]


def _damaged(rng: random.Random, content: bytes) -> bytes:
    """Change some bytes."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(changed) + 1)
        if rng.random() < 0.5 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        else:
            changed[at : at + rng.randint(0, 4)] = rng.randbytes(rng.randint(0, 4))
    return bytes(changed)


def _header(rng: random.Random, body: bytes) -> bytes:
    layout = file._Header.layout(0)[1]
    numbers = list(layout.unpack_from(body))
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(len(numbers))
        most = 255 if at < 7 else 2**32 - 1 if at == 10 else 2**16 - 1
        numbers[at] = min(most, max(0, rng.choice([*EDGES, numbers[at] - 1, numbers[at] + 1, rng.randint(0, most)])))
    extra = bytearray(body[layout.size :])
    if rng.random() < 0.3:  # rows or temperature, if present
        extra[:4] = rng.choice([struct.pack("<f", rng.choice([0, 1e-45, 1e-3, 1e3, 1001, -1, 3e38, float("nan")])),
                                struct.pack("<I", rng.choice(EDGES))])  # fmt: skip
    return layout.pack(*numbers) + bytes(extra)


def _other(rng: random.Random, value: Any) -> Any:
    """Change something in a JSON value."""
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        new = rng.choice([[], [value[at]] * 2, [_other(rng, value[at])]])
        return [*value[:at], *new, *value[at + 1 :]]
    if not isinstance(value, dict) or not value or rng.random() < 0.1:
        return rng.choice(ODD)
    changed, key = dict(value), rng.choice(list(value))
    way = rng.randrange(4)
    if way == 0:
        changed[rng.choice(["x", "labels", "words", "metrics", "\ud800", "__proto__", ""])] = rng.choice(ODD)
    elif way == 1:
        del changed[key]
    elif key == "words" and isinstance(value[key], str) and value[key]:
        lines = value[key].split("\n")
        lines[rng.randrange(len(lines))] = rng.choice(
            ["", " ", "\ud800", "a b", "\uffff", "\U00010000", "a\nb", lines[0]]
        )
        changed[key] = "\n".join(rng.choice([lines, sorted(lines), lines[::-1]]))
    else:
        changed[key] = _other(rng, value[key])
    return changed


def _deflated(rng: random.Random, value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    if rng.random() < 0.1:
        text = rng.choice(
            [
                b"\xef\xbb\xbf" + text,
                text + b" ",
                b" " * 2_000_000 + text,
                text[:-1],
                text.decode("utf-8", "replace").encode("utf-16"),
            ]
        )
    content = zlib.compress(text, rng.choice([0, 1, 9]), wbits=-15)
    return rng.choice([content] * 9 + [content + b"\0", content[:-1], content + content, b""])


def text(rng: random.Random) -> str:
    """Make a text."""
    if rng.random() < 0.3:
        known = rng.choices([*ENTRIES, "unknown", ".", "NOT GOOD"], k=rng.randint(0, 20))
        return rng.choice([" ", " ", "", "##"]).join(known)
    size = rng.choice([0, 1, 2, 5, 20, 70, 300])
    mixed = "".join(rng.choice(ALPHABET) if rng.random() < 0.9 else _character(rng) for _ in range(size))
    # In JavaScript, two surrogates are one character.
    return mixed.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _character(rng: random.Random) -> str:
    # Python and Node.js may know different versions of Unicode, so no recent characters.
    return chr(rng.choice([rng.randrange(0x250), rng.randrange(0x3040, 0x9FFF), rng.randrange(0x1F300, 0x1F600)]))


def answers(content: bytes, texts: list[str]) -> dict[str, Any]:
    """Return the labels and probabilities of a file in Python, or the error."""
    try:
        student = Classifier.from_bytes(content)
    except file.FormatError as error:
        return {"error": str(error)}
    shares = student.predict_proba(texts)
    assert shares.shape == (len(texts), len(student.labels))
    assert np.isfinite(shares).all()
    tame = isinstance(student, Student) and _is_tame(student)
    if tame and fast.kernel:
        portable = dataclasses.replace(student)
        portable.__dict__["_kernel"] = None
        np.testing.assert_allclose(shares, portable.predict_proba(texts), atol=1e-4)
    known = inspect.describe(student, len(content))
    json.dumps(known, allow_nan=False, ensure_ascii=False).encode()
    list(inspect.lines(Path("a.pot"), student, known))
    explain(student, texts[0])
    written = student.to_bytes()
    assert Classifier.from_bytes(written).to_bytes() == written
    return {"labels": student.labels, "shares": shares.tolist() if tame else None}


def _is_tame(student: Student) -> bool:
    """Return whether float32 and float64 agree on a student's predictions."""
    most = TAMER if student.architecture == "bigru" else TAME
    return all(np.abs(np.asarray(weight)).max(initial=0) <= most for weight in student.weights.values())


class JavaScript:
    """A Node.js process that scores batches of files; without Node.js, it returns None."""

    def __init__(self) -> None:
        node, script = shutil.which("node"), ROOT / "src" / "potstill" / "web" / "student.js"
        command = [node or "", str(ROOT / "tests" / "js" / "fuzz.mjs"), script.as_uri()]
        env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        self.process = subprocess.Popen(command, stdin=-1, stdout=-1, text=True, env=env) if node else None

    def answers(self, files: list[bytes], texts: list[list[str]]) -> list[dict[str, Any]] | None:
        """Return what `answers` does, of several files."""
        if not self.process or not self.process.stdin or not self.process.stdout:
            return None
        encoded = [base64.b64encode(content).decode() for content in files]
        print(json.dumps({"files": encoded, "texts": texts}), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        if self.process:
            self.process.communicate()


def differ(ours: dict[str, Any], theirs: dict[str, Any] | None) -> str | None:
    """Return how two answers differ, or None."""
    if theirs is None:
        return None
    if ("error" in ours) != ("error" in theirs):
        return f"Python: {ours.get('error', 'loaded')}; JavaScript: {theirs.get('error', 'loaded')}"
    if "error" in ours:
        return None
    if ours["labels"] != theirs["labels"]:
        return f"labels {ours['labels']} and {theirs['labels']}"
    if ours["shares"] is not None and not np.allclose(ours["shares"], theirs["shares"], atol=1e-4):
        return f"probabilities {ours['shares']} and {theirs['shares']}"
    return None


def fuzz(seed: int, seconds: float, batch: int = 200) -> tuple[int, int, list[str]]:
    """Forge files for some seconds; return how many there were, how many loaded, and the failures."""
    rng, javascript, end = random.Random(seed), JavaScript(), time.monotonic() + seconds
    done, loaded, wrong = 0, 0, []
    try:
        while time.monotonic() < end:
            files = [forge(rng) for _ in range(batch)]
            texts = [[text(rng) for _ in range(rng.choice([1, 3, 70]))] for _ in range(2 * batch)]
            theirs = (javascript.answers(files, texts[:batch]) or [None] * batch) + [None] * batch
            files += [forge_transformer(rng) for _ in range(batch)]
            for content, given, other in zip(files, texts, theirs, strict=True):
                signal.alarm(SECONDS)
                try:
                    ours = answers(content, given)
                    problem = differ(ours, other)
                except KeyboardInterrupt:
                    raise
                except BaseException as error:  # as are panics of the library `tokenizers`
                    ours, problem = {}, f"{type(error).__name__}: {error}"
                signal.alarm(0)
                loaded += "labels" in ours
                if problem:
                    wrong.append(keep(content, given, problem))
            done += len(files)
    finally:
        javascript.close()
    return done, loaded, wrong


def keep(content: bytes, texts: list[str], problem: str) -> str:
    """Save a file that failed with its texts, and describe the failure."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{zlib.crc32(content):08x}.pot"
    path.write_bytes(content)
    path.with_suffix(".json").write_text(json.dumps(texts))
    return f"{path}: {problem}"


def sanitized() -> None:
    """Run this script again with a kernel compiled with sanitizers."""
    with tempfile.TemporaryDirectory() as folder:
        source = ROOT / "src" / "potstill" / "runtime" / "kernel.c"
        flags = ["-O1", "-g", "-fPIC", "-shared", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
        flags += ["-fno-sanitize=alignment", "-Wno-psabi", "-DPy_LIMITED_API=0x030b0000"]
        include = sysconfig.get_path("include")
        subprocess.run(["gcc", *flags, "-I", include, source, "-o", f"{folder}/_potstill.so"], check=True)
        found = [
            subprocess.check_output(["gcc", f"-print-file-name={name}.so"], text=True).strip()
            for name in ("libasan", "libubsan")
        ]
        paths = os.pathsep.join([folder, str(ROOT / "src")])
        env = os.environ | {"LD_PRELOAD": " ".join(found), "PYTHONPATH": paths, "ASAN_OPTIONS": "detect_leaks=0"}
        command = [sys.executable, *(word for word in sys.argv if word != "--asan")]
        sys.exit(subprocess.run(command, env=env).returncode)


def main() -> None:
    """Forge files, or try failed ones again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--asan", action="store_true", help="compile the kernel with GCC's sanitizers")
    parser.add_argument("files", nargs="*", type=Path, help="failed files to try again")
    args = parser.parse_args()
    if args.asan:
        sanitized()
    if not args.files:
        done, loaded, wrong = fuzz(args.seed, args.seconds)
        for problem in wrong:
            print(problem)
        print(f"seed {args.seed}: {done:,} files, of which {loaded:,} loaded and {len(wrong):,} went wrong")
        sys.exit(bool(wrong))
    javascript = JavaScript()
    for path in args.files:
        content, texts = path.read_bytes(), json.loads(path.with_suffix(".json").read_text())
        ours = answers(content, texts)
        print(path, differ(ours, (javascript.answers([content], [texts]) or [None])[0]))
    javascript.close()


if __name__ == "__main__":
    main()
