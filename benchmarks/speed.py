"""Speed and size of students, fastText, model2vec and scikit-learn: `make benchmark-speed`.

Every model is a process of its own with one thread. In each round the models classify all texts in turns, for at least
half a second each; a rate is the median over the rounds, and a ratio the median of the rounds' ratios. The peers have
an environment of their own, `speed/requirements.txt`, and settings chosen on validation.
"""

import asyncio
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import aiohttp
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tables
from emotion import ALL, soft
from runs import ROOT, WORK, Clone, Run, parser, ratios, train_all

from potstill.core import files
from potstill.data.dataset import Dataset
from potstill.scoring import hub

RESULTS = ROOT / "benchmarks" / "speed"
PEERS = WORK / "peers"
PEERS_PYTHON = PEERS / "bin" / "python"
ROUNDS = 9
SECONDS = 0.5  # the minimum time of a model in a round
SINGLES = 2000  # texts to classify one by one
SLOW = 500  # texts to time the teacher on
CLIENTS, REQUESTS = 200, 20  # concurrent clients of the service, and requests of each
PEER = "fastText"

_WIDE = {"weight_bits": 8, "fingerprint_bits": 0, "learning_rate": 0.005, "informative_share": 0.8}
# Named by architecture, then by what differs.
STUDENTS: dict[str, dict[str, Any]] = {
    "mlp": {**soft("mlp-80k-words"), "informative_share": 0.5, "fingerprint_bits": 0},
    "mlp with pairs of words": {**soft("mlp-80k"), "fingerprint_bits": 0},
    "attention": {**soft("bigru-80k"), **_WIDE, "architecture": "attention", "vocab_size": 5000, "hidden": 15},
    "cnn": {**soft("bigru-80k"), **_WIDE, "architecture": "cnn", "vocab_size": 5000, "embedding_dim": 15, "hidden": 48},
    "bigru": {**soft("bigru-10k"), "fingerprint_bits": 0},
    "bigru, 3K": {**soft("bigru-3k"), "fingerprint_bits": 0},
    "bigru, QR code": soft("bigru-qr"),
}


@dataclass
class Worker:
    """A model in a process of its own.

    Attributes:
        name: in the results.
        python: of its environment.
        kind, path: the arguments of `speed/worker.py`.
        texts: the number of texts to time it on.
    """

    name: str
    python: Path
    kind: str
    path: Path
    texts: int

    def __post_init__(self) -> None:
        command = [str(self.python), str(RESULTS / "worker.py"), self.kind, str(self.path)]
        environment = None if self.python == PEERS_PYTHON else os.environ | {"PYTHONPATH": str(ROOT / "src")}
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=null, env=environment, text=True)

    def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command, and return the reply."""
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(command), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"error: the process of {self.name} ended: run {shlex.join(map(str, self.process.args))}")
        return json.loads(line)


def make_environment() -> None:
    """Make the peers' environment if needed."""
    requirements = RESULTS / "requirements.txt"
    stamp = PEERS / files.sha256(requirements)[:12]
    if not stamp.exists():
        print("an environment for the peers (minutes)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(PEERS)], check=True)
        subprocess.run([str(PEERS_PYTHON), "-m", "pip", "install", "--quiet", "-r", str(requirements)], check=True)
        stamp.touch()


def peers(data: Dataset) -> tuple[Path, dict[str, Any]]:
    """Make the peers' environment and train them if needed; return their folder and the settings tried."""
    make_environment()
    folder = PEERS / f"models-{files.sha256(RESULTS / 'peers.py')[:12]}"
    if not (folder / "tried.json").exists():
        print("training the peers (minutes)", file=sys.stderr)
        folder.mkdir(exist_ok=True)
        for split in ("train", "validation"):
            table = data.split(split)
            rows = [[text, data.labels[label]] for text, label in zip(table["text"], table["label"], strict=True)]
            files.write_json(folder / f"{split}.json", rows)
        command = [PEERS_PYTHON, RESULTS / "peers.py", folder / "train.json", folder / "validation.json", folder]
        command.append(hub.find("sentence-transformers/all-MiniLM-L6-v2"))
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True)
        files.write_json(folder / "tried.json", json.loads(done.stdout.splitlines()[-1]))
    return folder, files.read_json(folder / "tried.json")


def measure_rates(workers: list[Worker], rounds: int) -> dict[str, list[float]]:
    """Time all models in turns on the texts that they have read; return the texts per second of each round by name."""
    rates: dict[str, list[float]] = {worker.name: [] for worker in workers}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        for worker in workers:
            answer = worker.ask(score=SECONDS)
            rates[worker.name].append(answer["texts"] / answer["seconds"])
    return rates


def measure(workers: list[Worker], data: Dataset, where: Path) -> list[dict[str, Any]]:
    """Time all models in turns, and return a row per model."""
    texts = [text for split in (data.train, data.validation, data.test) for text in split["text"]]
    tested = data.test["text"].tolist()
    right = np.array(data.labels)[data.test["label"]]
    rows: dict[str, dict[str, Any]] = {}
    for worker in workers:
        loaded = worker.ask(load=texts[0])
        files.write_json(where, tested)
        worker.ask(texts=str(where))
        labels = worker.ask(labels=True)["labels"]
        files.write_json(where, texts[: worker.texts])
        worker.ask(texts=str(where))
        rows[worker.name] = {
            "model": worker.name,
            "texts": min(worker.texts, len(texts)),
            "bytes": files.size(worker.path),
            "load_seconds": loaded["seconds"],
            "test_accuracy": round(float((np.array(labels) == right).mean()), 6),
        }
    rates = measure_rates(workers, ROUNDS)
    for worker in workers:
        row, answer = rows[worker.name], worker.ask(one=min(SINGLES, worker.texts))
        row["texts_per_second"] = round(statistics.median(rates[worker.name]))
        compared = ratios(rates[worker.name], rates[PEER], digits=3)
        row["ratio_to_fasttext"], row["lowest_ratio"], row["highest_ratio"] = compared
        row["microseconds_for_one"] = round(1e6 * answer["median"], 2)
        row["megabytes"] = round(answer["megabytes"], 1)
    return list(rows.values())


def bulk(student: Path, data: Dataset, rows: int) -> dict[str, Any]:
    """Score a Parquet file of texts that all differ into another, and watch the memory."""
    source, target = WORK / "speed" / "texts.parquet", WORK / "speed" / "answers.parquet"
    texts = data.train["text"].to_numpy()
    rng = np.random.default_rng(0)
    with pq.ParquetWriter(source, pa.schema([("text", pa.string())])) as writer:
        for start in range(0, rows, 1 << 18):
            count = min(1 << 18, rows - start)
            pairs = zip(texts[rng.integers(len(texts), size=count)], range(start, start + count), strict=True)
            writer.write_table(pa.table({"text": [f"{text} {number}" for text, number in pairs]}))
    command = [sys.executable, "-c", PROGRAM, str(student), str(source), str(target), str(RESULTS)]
    found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    found |= {"rows": rows, "texts_per_second": round(rows / found["seconds"]), "bytes_read": source.stat().st_size}
    if pq.ParquetFile(target).metadata.num_rows != rows:
        raise SystemExit("error: rows are missing")
    source.unlink()
    target.unlink()
    return found


PROGRAM = """
import json, sys, time
start = time.perf_counter()
from potstill import cli
cli.execute(["predict", sys.argv[1], sys.argv[2], "-o", sys.argv[3]])
seconds = round(time.perf_counter() - start, 2)
sys.path.append(sys.argv[4])
from worker import peak
print(json.dumps({"seconds": seconds, "megabytes": round(peak())}))
"""


async def request(session: aiohttp.ClientSession, url: str, texts: list[str]) -> list[tuple[int, float]]:
    """Send texts one by one; return the status and the seconds of each."""
    answers = []
    for text in texts:
        start = perf_counter()
        async with session.post(url, json={"texts": [text]}) as answer:
            await answer.read()
        answers.append((answer.status, perf_counter() - start))
    return answers


async def request_all(url: str, shares: list[list[str]]) -> list[tuple[int, float]]:
    """Send the texts of all clients at the same time; return what `request` returns, for all."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CLIENTS)) as session:
        answers = await asyncio.gather(*(request(session, url, texts) for texts in shares))
    return [answer for client in answers for answer in client]


def service(student: Path, texts: list[str]) -> dict[str, Any]:
    """Time the service with `CLIENTS` concurrent connections and one text per request."""
    command = [sys.executable, "-m", "potstill", "serve", str(student), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url = f"{process.stdout.readline().split()[0]}predict"
        shares = [texts[number :: len(texts) // REQUESTS][:REQUESTS] for number in range(CLIENTS)]
        start = perf_counter()
        answers = asyncio.run(request_all(url, shares))
        seconds = perf_counter() - start
        process.terminate()
    times = [time for _, time in answers]
    middle, high = np.quantile(times, (0.5, 0.99))
    return {
        "clients": CLIENTS,
        "requests": len(times),
        "failed": sum(status != 200 for status, _ in answers),
        "requests_per_second": round(len(times) / seconds),
        "milliseconds_median": round(1000 * middle, 1),
        "milliseconds_p99": round(1000 * high, 1),
    }


def startup(student: Path) -> float:
    """Return the median time in seconds from the start of a process to its first prediction."""
    program = "import sys; from potstill import Student; print(Student.load(sys.argv[1]).predict(['i feel fine'])[0])"
    times = []
    for _ in range(11):
        start = perf_counter()
        subprocess.run([sys.executable, "-c", program, str(student)], check=True, stdout=subprocess.DEVNULL)
        times.append(perf_counter() - start)
    return round(statistics.median(times), 3)


def main() -> None:
    """Train what is missing, measure, and write `benchmarks/speed/`."""
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=10_000_000, help="rows of the Parquet file (default: 10 million)")
    arguments = options.parse_args()
    clone = Clone("emotion", arguments.data)
    folder = clone.prepare(ALL)
    data = Dataset.load(folder / "prepared")
    runs = [Run(ALL, name, "distilled", params, 0) for name, params in STUDENTS.items()]
    trained = train_all(runs, {ALL.name: folder}, arguments.jobs)
    models, tried = peers(data)
    teacher = clone.fetch(ALL, "models/teacher/minilm", WORK / "speed" / "teacher")
    python, theirs, everything = Path(sys.executable), PEERS_PYTHON, 1 << 30
    workers = [
        *(Worker(row["model"], python, "potstill", Path(row["file"]), everything) for row in trained),
        Worker(PEER, theirs, "fasttext", models / "fasttext.bin", everything),
        Worker("model2vec", theirs, "model2vec", models / "model2vec", everything),
        Worker("TF-IDF + logistic regression", theirs, "scikit-learn", models / "tfidf.joblib", everything),
        Worker("MiniLM (teacher)", python, "teacher", teacher, SLOW),
    ]
    rows = measure(workers, data, WORK / "speed" / "texts.json")
    for row, ours in zip(rows, trained, strict=False):
        row["parameters"], row["command"] = ours["parameters"], ours["command"]
    for worker in workers:
        worker.process.kill()
    file = Path(trained[0]["file"])
    facts = {
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "rounds": ROUNDS,
        "startup_seconds": startup(file),
        "peers_tried": tried,
        "service": service(file, data.test["text"].tolist()),
        "parquet": bulk(file, data, arguments.rows),
    }
    files.write_json(RESULTS / "results.json", rows)
    files.write_json(RESULTS / "facts.json", facts)
    tables.speed(rows, facts, RESULTS)


if __name__ == "__main__":
    main()
