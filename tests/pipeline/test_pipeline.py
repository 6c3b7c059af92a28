"""The real commands, in scratch clones, on tiny inputs: `dvc repro`, experiments, queue, remotes."""

import csv
import json
import re
import shlex
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from ruamel.yaml import YAML

from potstill.commands import cross_validate
from potstill.evaluate.metrics.scores import OUTCOMES
from potstill.label import logits as labelling
from potstill.label.params import LabelParams
from potstill.prepare import demo
from tests.project import ENVIRONMENT, RAN, ROOT, at, experiment, run, set_params, shown
from tests.tasks import FEELINGS, make_checkpoint, make_mixed_texts

pytestmark = pytest.mark.slow


def test_repro_leaves_models_metrics_and_pictures(origin):
    metrics = json.loads((origin / "metrics/evaluate/metrics.json").read_text())
    assert set(metrics["models"]) == {"tfidf", "hard", "minilm", "student"}
    assert metrics["student"]["accuracy"] == metrics["models"]["student"]["accuracy"]
    assert metrics["teacher"]["accuracy"] == metrics["models"]["minilm"]["accuracy"]
    wanted = {
        "accuracy",
        "accuracy_low",
        "accuracy_high",
        "macro_f1",
        "matthews",
        "agreement",
        "relative",
        "versus_teacher",
    }
    assert wanted | {"parameters", "bytes"} <= set(metrics["models"]["student"])
    timing = json.loads((origin / "data/evaluate/timing.json").read_text())
    assert set(timing) == set(metrics["models"])
    for name in ("student.pot", "model.onnx", "README.md"):
        assert (origin / "models/export" / name).stat().st_size
    for name in ("size.png", "curves.png", "confusion/student.png", "confusion/minilm.png"):
        assert (origin / "metrics/evaluate" / name).read_bytes().startswith(b"\x89PNG")
    assert "| student |" in (origin / "metrics/evaluate/table.md").read_text()
    assert (origin / "metrics/student/plots/metrics/loss.tsv").is_file()
    for name in ("prepare", "baseline", "teacher/minilm", "pool", "student", "export", "ablate", "evaluate", "report"):
        run(origin, "git", "ls-files", "--error-unmatch", f"metrics/{name}/metrics.json")


def test_the_table_begins_with_the_verdict(origin):
    first = (origin / "metrics/evaluate/table.md").read_text().splitlines()[0]
    decision = json.loads((origin / "metrics/evaluate/metrics.json").read_text())["student"]["decision"]
    assert first.startswith(f"**{decision.capitalize()}**: ")
    verdict = json.loads((origin / "metrics/evaluate/verdict.json").read_text())
    assert verdict["decision"] == decision
    assert all(step["command"] for step in verdict["next_steps"])
    assert verdict["next_steps"]


def test_the_report_says_what_the_metrics_say(origin):
    page = (origin / "metrics/report/index.html").read_text()
    evaluated = json.loads((origin / "metrics/evaluate/metrics.json").read_text())
    assert f"<strong>{evaluated['student']['decision'].capitalize()}<" in page
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr[^>]*>(.*?)</tr>", page)]
    found = {row[0]: row for row in cells if len(row) == 11}
    assert set(found) == set(evaluated["models"])
    for name, scores in evaluated["models"].items():
        shares = [100 * scores[f"accuracy{end}"] for end in ("", "_low", "_high")]
        assert found[name][1] == "{:.2f} ({:.1f}–{:.1f})".format(*shares)
        assert found[name][4] == f"{100 * scores['macro_f1']:.1f}"
        assert found[name][5] == f"{scores['matthews']:.3f}"
    # Nothing is fetched; the parameters, which the page shows, may name addresses.
    assert not re.search(r"https?://(?!www.w3.org/)", re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL))
    markdown = (origin / "metrics/report/report.md").read_text()
    assert all(row[1] in markdown for row in found.values())
    ablated = json.loads((origin / "metrics/ablate/metrics.json").read_text())["ablate"]
    assert list(ablated["sources"]) == ["generated", "train", "unlabelled", "variants"]
    assert ablated["sources"]["train"]["texts"] == 240
    assert ablated["pool"]["1"] == ablated["architectures"]["bigru"] == ablated["sources"]["generated"]
    assert ablated["pool"]["0.3"]["texts"] == round(0.3 * ablated["pool"]["1"]["texts"])
    assert set(ablated["hard"]) == set(ablated["tfidf"]) == {"0.3"}


def test_a_released_student_is_fetched_without_a_service(origin, tmp_path):
    run(origin, "gto", "register", "student", "--version", "v1.0.0")
    run(tmp_path, "dvc", "artifacts", "get", str(origin), "student", "--rev", "v1.0.0", "--out", "student")
    for name in ("student.pot", "model.onnx", "README.md"):
        assert (tmp_path / "student" / name).read_bytes() == (origin / "models/export" / name).read_bytes()
    command = [sys.executable, "-m", "potstill", "predict", "student/student.pot"]
    done = subprocess.run(command, cwd=tmp_path, input="i am happy\n", capture_output=True, text=True)
    assert json.loads(done.stdout)["label"]


def step(workflow, name):
    """Return the shell script of a step of a workflow."""
    jobs = YAML(typ="safe").load(ROOT / ".github/workflows" / workflow)["jobs"]
    return next(step["run"] for job in jobs.values() for step in job["steps"] if step.get("name") == name)


def test_the_comment_on_a_pull_request_quotes_no_text(clone):
    if not (ROOT / ".github").is_dir():
        pytest.skip("the source distribution holds no workflows")
    run(clone, "env", "BASE=HEAD~1", "bash", "-e", "-c", step("metrics.yml", "compare"))
    comment = (clone / "comment.md").read_text()
    assert comment.startswith((clone / "metrics/evaluate/table.md").read_text())
    assert re.search(r"^\| metrics/evaluate/metrics.json \| student.accuracy +\|", comment, re.MULTILINE)
    run(clone, "dvc", "pull", "data/prepared")
    for path in (clone / "data/prepared").glob("*.parquet"):
        assert not any(len(text) > 20 and text in comment for text in pd.read_parquet(path)["text"])


def test_a_tag_of_gto_fetches_the_model_to_release(clone):
    if not (ROOT / ".github").is_dir():
        pytest.skip("the source distribution holds no workflows")
    run(clone, "git", "commit", "--quiet", "--allow-empty", "--message", "A commit that no other test registers")
    run(clone, "gto", "register", "student", "--version", "v2.0.0")
    run(clone, "bash", "-e", "-c", "potstill() { python -m potstill \"$@\"; }; GITHUB_REF_NAME=student@v2.0.0\n"
        + step("models.yml", "fetch"))  # fmt: skip
    released = {path.name for path in (clone / "model").iterdir()}
    assert {"student.pot", "model.onnx", "README.md", "SHA256SUMS"} <= released
    run(clone / "model", "sha256sum", "--check", "--strict", "SHA256SUMS")


def test_a_second_repro_has_nothing_to_do(origin):
    assert not RAN.findall(run(origin, "dvc", "repro"))


def test_a_pulled_clone_has_nothing_to_do(pulled):
    assert not RAN.findall(run(pulled, "dvc", "repro"))


def test_a_clone_pulls_what_a_new_student_needs_runs_only_what_follows_and_compares(clone):
    output = run(clone, "dvc", "exp", "run", "--pull", "--allow-missing", "--name", "tiny", "-S", "student.hidden=3")
    assert RAN.findall(output) == ["student", "export", "evaluate", "report"]
    assert not (clone / "data/label/minilm").exists()
    run(clone, "dvc", "pull")
    assert not RAN.findall(run(clone, "dvc", "repro"))
    run(clone, "git", "checkout", ".")
    run(clone, "dvc", "pull")
    output = run(clone, "python", "-m", "potstill", "compare")
    rows = {line.split(" | ")[0]: line for line in output.splitlines() if line.startswith("| ")}
    assert "`student.hidden=3` |" in rows["| tiny"]
    assert "`student.hidden=" in rows["| workspace"]
    assert "student.vocab_size" not in output  # it is the same in both
    tiny = at(clone, experiment(clone, "tiny"), "metrics/evaluate/metrics.json")["models"]["student"]
    assert f"{100 * tiny['accuracy']:.2f} (" in rows["| tiny"]
    assert f" {tiny['bytes']:,} " in rows["| tiny"]
    assert "<code>student.hidden=3</code>" in (clone / "metrics/compare/index.html").read_text()
    assert "| tiny" not in run(clone, "python", "-m", "potstill", "compare", "main", "workspace")
    says = run(clone, "python", "-m", "potstill", "compare", "huge", fails=True)
    assert says == "error: no experiment 'huge' (of this commit: tiny). See `dvc exp list`.\n"
    run(clone, "git", "checkout", ".")
    run(clone, "dvc", "exp", "apply", "tiny")
    assert "hidden: 3" in (clone / "params.yaml").read_text()
    run(clone, "dvc", "plots", "diff")
    assert (clone / "dvc_plots/index.html").is_file()


def test_a_queue_runs_and_shows_one_readable_row_each(pulled):
    run(pulled, "dvc", "exp", "run", "--queue", "-S", "student.hidden=2,4")
    assert "2 succeeded" in run(pulled, "python", "-m", "potstill", "queue", "--jobs", "2")
    # As `make show` does.
    makefile = (ROOT / "Makefile").read_text()
    options = re.search(r"dvc exp show (.*)", makefile)[1].replace(
        "$(HIDDEN)", re.search("HIDDEN := (.*)", makefile)[1]
    )
    header = list(shown(pulled, *shlex.split(options))[0])
    columns = {"Experiment", "State", "student.hidden"}
    columns |= {f"student.{name}" for name in ("decision", "accuracy", "agreement", "bytes")}
    assert set(header) - {"rev", "typ", "parent"} == columns  # these three are in the first column outside CSV
    finished = {row["student.hidden"]: row["student.accuracy"] for row in shown(pulled) if row["State"] != "Failed"}
    assert {"2", "4"} <= set(finished)
    assert all(finished[size] for size in ("2", "4"))


def test_folds_are_queued_as_experiments(pulled, monkeypatch):
    monkeypatch.chdir(pulled)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    name = cross_validate.enqueue(2, 3)
    assert name in run(pulled, "dvc", "queue", "status")
    (stash,) = run(pulled, "git", "for-each-ref", "--format=%(objectname)", "refs/exps/celery/stash").split()
    queued = YAML(typ="safe").load(run(pulled, "git", "show", f"{stash}:params.yaml"))["prepare"]
    assert (queued["fold"], queued["folds"]) == (2, 3)


# Code in front of a stage's.
QUEUED = """
from potstill.core import tracking

original = tracking.write_metrics
tracking.write_metrics = lambda folder, name, values: original(folder, name, {"queued": 1, **values})
"""


def test_a_queued_run_uses_the_queued_code(pulled):
    script = pulled / "src/student.py"
    script.write_text(QUEUED + script.read_text())
    run(pulled, "dvc", "exp", "run", "--queue", "--name", "queued")
    script.write_text("raise SystemExit('the workspace was run')\n")
    run(pulled, "python", "-m", "potstill", "queue")
    assert at(pulled, experiment(pulled, "queued"), "metrics/student/metrics.json")["student"]["queued"] == 1


def test_several_teachers_are_compared_and_averaged(pulled, tmp_path):
    texts = demo.generate(200, 50, 50, 50, seed=0).train["text"].tolist()
    other = make_checkpoint("distilbert", tmp_path / "other", texts)
    teachers = ["minilm", "bert"]
    changes = {"teacher.checkpoints": teachers, "teacher.presets.bert.checkpoint": str(other)}
    set_params(pulled, changes | {"label.teachers": teachers})
    ran = RAN.findall(run(pulled, "dvc", "repro"))
    assert ran == ["teacher@bert", "label@bert", "ensemble", "student", "export", "evaluate", "ablate", "report"]
    models = json.loads((pulled / "metrics/evaluate/metrics.json").read_text())["models"]
    assert {"minilm", "bert", "ensemble"} <= set(models)
    # Taking one out again labels nothing; what it leaves behind does not count.
    set_params(pulled, {"label.teachers": ["minilm"]})
    output = run(pulled, "dvc", "repro", "ensemble")
    assert not {"teacher@minilm", "label@minilm"} & set(RAN.findall(output))
    assert "note: `label.teachers` does not list metrics/label/bert." in output
    assert (pulled / "data/label/bert/logits.parquet").is_file()
    assert "texts labelled by minilm\n" in output


def test_the_ladder_has_students_that_are_made_of_the_teacher(pulled):
    ladder = {
        "words": {"architecture": "mlp", "epochs": 1, "learning_rate": 1.0e-6},
        "pieces": {"subwords": True, "vocab_size": 200, "fingerprint_bits": 8, "epochs": 1, "learning_rate": 1.0e-6},
        "layer": {"architecture": "transformer", "layers": 1, "vocab_size": 300, "epochs": 1},
        "three": {"architecture": "transformer", "layers": 3},
    }
    set_params(pulled, {"student.ladder": ladder, "student.tolerance": 0})
    run(pulled, "dvc", "repro")

    def rows():
        return {row["rung"]: row for row in json.loads((pulled / "metrics/student/ladder.json").read_text())}

    assert list(rows()) == list(ladder)
    assert [row["architecture"] for row in rows().values()] == ["mlp", "bigru", "transformer", "transformer"]
    assert [row["status"] for row in rows().values()].count("chosen") == 1
    assert rows()["three"]["status"] == "unavailable"
    assert rows()["three"]["note"] == "It begins with 3 layers of the teacher, which has 2."
    for name in ("pieces", "layer"):
        run(pulled, "dvc", "exp", "run", "-S", f"student.rung={name}")
        assert rows()[name]["status"] == "chosen"
        scores = json.loads((pulled / "metrics/evaluate/metrics.json").read_text())["models"]["student"]
        assert scores["parameters"] == rows()[name]["parameters"]
        size = (pulled / "models/student/student.pot").stat().st_size
        assert rows()[name]["bytes"] == size <= scores["bytes"]  # the facts are added by `export`
        assert name in (pulled / "metrics/report/index.html").read_text()
        command = [sys.executable, "-m", "potstill", "predict", "models/export/student.pot"]
        done = subprocess.run(command, cwd=pulled, env=ENVIRONMENT, input="happily\n", capture_output=True, text=True)
        assert json.loads(done.stdout)["label"]


def test_a_table_of_probabilities_is_a_teacher(pulled, tmp_path):
    import pandas as pd

    prepared = pulled / "data/prepared"
    labels = json.loads((prepared / "dataset.json").read_text())["labels"]
    train = pd.read_parquet(prepared / "train.parquet")
    answers = pd.DataFrame({"text": train["text"]})
    for i, label in enumerate(labels):
        answers[label] = (train["label"] == i) * 0.9 + 0.1 / len(labels)
    answers.to_csv(tmp_path / "llm.csv", index=False)
    presets = {"llm": {"checkpoint": str(tmp_path / "llm.csv")}}
    set_params(pulled, {"teacher.checkpoints": ["llm"], "teacher.presets": presets, "label.teachers": ["llm"]})
    output = run(pulled, "dvc", "repro")
    assert "teacher@llm" in RAN.findall(output)
    assert "llm has no predictions for some texts of the test split" in output
    metrics = json.loads((pulled / "metrics/evaluate/metrics.json").read_text())
    assert set(metrics["models"]) == {"tfidf", "hard", "student"}


def mixed_files(folder):
    """Texts with several labels or none, in every way to write them."""
    folder.mkdir()
    names = list(FEELINGS)
    sizes = 240, 60, 60, 100
    train, validation, test, unlabelled = (make_mixed_texts(number, seed) for seed, number in enumerate(sizes))
    train["label"] = [[names[id_] for id_ in ids] for ids in train["label"]]
    train.to_json(folder / "train.jsonl", orient="records", lines=True)
    for table in (validation, test):
        table["label"] = ["|".join(names[id_] for id_ in ids) for ids in table["label"]]
    validation.to_csv(folder / "validation.csv", index=False)
    (folder / "test.txt").write_text("".join(f"{text};{label}\n" for text, label in test.itertuples(index=False)))
    (folder / "unlabelled.txt").write_text("\n".join(unlabelled["text"]))
    return test


def test_texts_with_several_labels_go_through_all_stages(pulled):
    test = mixed_files(pulled / "data/mixed")
    set_params(pulled, {"prepare.source": "files", "prepare.path": "data/mixed", "prepare.text": ["none"]})
    assert "error: data/mixed/train.jsonl: " in run(pulled, "dvc", "repro", fails=True)
    assert run(pulled, "git", "status", "--porcelain").split() == ["M", "params.yaml"]
    set_params(
        pulled,
        {
            "prepare.text": ["text"],
            "prepare.multi_label": True,
            "prepare.unlabelled": ["unlabelled.txt"],
            **{f"{section}.epochs": 8 for section in ("baseline", "teacher", "student")},
        },
    )
    run(pulled, "dvc", "repro")
    metrics = json.loads((pulled / "metrics/evaluate/metrics.json").read_text())
    assert set(metrics["models"]) == {"tfidf", "hard", "minilm", "student"}
    for found in metrics["models"].values():
        assert {"accuracy", "macro_f1", "micro_f1", "log_loss", "calibration_error"} <= set(found)
        assert "matthews" not in found
    assert metrics["models"]["tfidf"]["micro_f1"] > 0.9
    assert metrics["student"]["micro_f1"] == metrics["models"]["student"]["micro_f1"]
    told = (pulled / "metrics/evaluate/table.md").read_text()
    assert "the student has an exact match of" in told
    assert "| exact match, % (95% CI) | macro-F1, % | micro-F1, % |" in told
    cases = list(csv.DictReader((pulled / "metrics/evaluate/confusion/student-labels.csv").open()))
    assert [row["label"] for row in cases] == sorted(FEELINGS)
    assert all(sum(int(row[case]) for case in OUTCOMES) == 60 for row in cases)
    assert (pulled / "metrics/evaluate/confusion/student.png").read_bytes().startswith(b"\x89PNG")

    texts = "".join(f"{text}\n" for text in test["text"])
    command = [sys.executable, "-m", "potstill", "predict", "models/export/student.pot"]
    done = subprocess.run(command, cwd=pulled, env=ENVIRONMENT, input=texts, capture_output=True, text=True)
    answers = [set(json.loads(line)["labels"]) for line in done.stdout.splitlines()]
    known = [set(filter(None, label.split("|"))) for label in test["label"]]
    right = [one == other for one, other in zip(answers, known, strict=True)]
    assert sum(right) / len(right) == pytest.approx(metrics["student"]["accuracy"], abs=1e-6)
    assert not RAN.findall(run(pulled, "dvc", "repro"))


def markers_when_workers_have_ended(folder):
    """The times of the markers in a folder, once the workers of a killed process no longer write any."""
    while True:
        before = {path: path.stat().st_mtime_ns for path in folder.glob("*.done")}
        time.sleep(0.3)
        if before == {path: path.stat().st_mtime_ns for path in folder.glob("*.done")}:
            return before


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_labelling_that_was_killed_goes_on_where_it_stopped(pulled, tmp_path, precision):
    pool, logits = pulled / "data/pool/pool.parquet", pulled / "data/label/minilm/logits.parquet"
    set_params(pulled, {"label.precision": precision})
    texts = pd.read_parquet(pool)
    pool.unlink()  # a link to DVC's cache
    texts.to_parquet(pool, index=False, row_group_size=100)
    undisturbed = tmp_path / "undisturbed"
    teacher = pulled / "models/teacher/minilm"
    labelling.label(teacher, pool, undisturbed, LabelParams.load(pulled / "params.yaml"), tmp_path / "scratch")
    command = [sys.executable, "src/label.py", "minilm"]
    process = subprocess.Popen(command, cwd=pulled, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    while not list(pulled.glob(".potstill/label/*/shards/_000001.done")):
        assert process.poll() is None, "too fast to be killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (folder,) = pulled.glob(".potstill/label/*/shards")
    kept = markers_when_workers_have_ended(folder)
    assert 2 <= len(kept) < len(texts) // 100
    again = subprocess.Popen(command, cwd=pulled, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    while len(list(folder.glob("*.done"))) <= len(kept):
        assert again.poll() is None
        time.sleep(0.002)
    assert all(path.stat().st_mtime_ns == time_ for path, time_ in kept.items())
    assert again.wait(300) == 0
    assert logits.read_bytes() == (undisturbed / labelling.FILE).read_bytes()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("student.hidden=abc", "`student.hidden` is 'abc'"),
        ("student.architecture=transformer", "it begins with 4 layers of the teacher, which has 2. Choose"),
        ("+student.hiden=8", "did you mean `hidden`?"),
        ("student.sources=[splice]", "student.sources"),
    ],
)
def test_a_bad_parameter_ends_in_one_line_and_writes_nothing(pulled, change, says):
    if "sources" in change:
        run(pulled, "dvc", "exp", "run", "-S", "pool.splice=0", "ensemble")
    output = run(pulled, "dvc", "exp", "run", "-S", change, fails=True)
    (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
    assert says in line
    assert "Traceback" not in output
    assert not list((pulled / "models").rglob("*.part"))


def test_a_tiny_learning_rate_survives_the_command_line(pulled):
    # `-S` writes 1e-05, which a YAML 1.1 reader takes for a string.
    output = run(pulled, "dvc", "exp", "run", "-S", "student.learning_rate=0.00001", "student")
    assert RAN.findall(output) == ["student"]


def test_a_checkpoint_out_of_reach_ends_in_one_line(pulled):
    output = run(pulled, "dvc", "exp", "run", "-S", "teacher.presets.minilm.checkpoint=nobody/nothing", fails=True)
    assert "error: checkpoint nobody/nothing is neither a folder nor in the hub" in output
    assert "Traceback" not in output
    assert not (pulled / "models/teacher/minilm").exists()
