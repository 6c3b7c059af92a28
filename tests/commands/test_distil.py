"""`potstill distil`."""

import os
import shlex
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from potstill import Student, cli
from potstill.commands import distil
from potstill.core.errors import PotstillError
from potstill.estimator.settings import Settings
from potstill.estimator.teacher import prepared_data
from potstill.prepare.folds import take_fold
from potstill.terminal import Parser
from tests.command import call, refused
from tests.estimator.conftest import NAMES, PARAMS, ask
from tests.tasks import FEELINGS, make_texts

COLUMNS = ("--text", "subject,body", "--label", "queue")
ANSWERS = ("--teacher", "answers.csv")
QUICK = [f"-S{name}.{key}={value}" for name in PARAMS for key, value in PARAMS[name].items()]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Files as a user has them, and the answers of a teacher."""
    monkeypatch.chdir(tmp_path)
    labelled, more = make_texts(200, 0), make_texts(60, 3)
    labelled["label"] = NAMES[labelled["label"]]
    tickets = labelled["text"].str.split(n=1, expand=True).set_axis(["subject", "body"], axis=1)
    tickets.assign(queue=labelled["label"]).to_csv("tickets.csv", index=False)
    (tmp_path / "elsewhere").mkdir()
    more["text"].str.split(n=1, expand=True).set_axis(["subject", "body"], axis=1).to_csv(
        "elsewhere/new.csv", index=False
    )
    texts = [*labelled["text"], *more["text"]]
    pd.DataFrame(ask(texts), columns=sorted(FEELINGS)).assign(text=texts).to_csv("answers.csv", index=False)
    return tmp_path


@pytest.mark.slow
def test_one_command_writes_a_model_and_says_what_it_is_worth(folder, capsys):
    before = sorted(folder.iterdir())
    more = ("--unlabelled", "elsewhere/new.csv", "--teacher", "answers.csv", *QUICK)
    said = call(capsys, "distil", "tickets.csv", *COLUMNS, *more, "-o", "student.pot")
    assert sorted(folder.iterdir()) == [*before[:2], folder / "student.pot", *before[2:]]
    student = Student.load("student.pot")
    assert student.facts["rows"] == {"train": 160, "validation": 20, "test": 20, "unlabelled": 54}
    assert sorted(student.labels) == sorted(FEELINGS)
    lines = said.splitlines()
    assert lines[0].startswith("This will take ")
    assert [line[:5] for line in lines if line.startswith("[")] == [f"[{i}/6]" for i in range(1, 7)]
    assert f"student.pot: {(folder / 'student.pot').stat().st_size:,} bytes" in lines
    verdict = next(i for i, line in enumerate(lines) if ": the student has a test accuracy of" in line)
    assert lines[verdict + 1].startswith("- ")
    assert any(line.startswith("- remark: The student predicts its teacher's label for") for line in lines[verdict:])
    assert "of 6 held-out unlabelled texts" in said
    assert lines[-2].startswith("Next: ")
    words = shlex.split(lines[-1])
    assert words[0] == "potstill"
    if words[1] == "distil":  # the command is one that this parser accepts, and differs in what it should
        parser = Parser()
        distil.arguments(parser)
        assert parser.parse_args(words[2:]).overwrite


@pytest.mark.slow
def test_a_process_that_is_ended_leaves_no_texts(folder):
    (folder / "tmp").mkdir()
    command = [sys.executable, "-m", "potstill", "distil", "tickets.csv", *COLUMNS, *ANSWERS, "-o", "a.pot"]
    process = subprocess.Popen(command, env=os.environ | {"TMPDIR": str(folder / "tmp")}, stdout=subprocess.PIPE)
    while not list((folder / "tmp").glob("potstill-*/prepared")):
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    assert process.wait(60) == 128 + signal.SIGTERM
    assert not list((folder / "tmp").glob("potstill-*"))
    assert not (folder / "a.pot").exists()


def test_what_is_wrong_is_said_before_the_training_in_the_words_of_the_command(folder):
    (folder / "mine.pot").write_text("keep")
    given = ("distil", "tickets.csv", *COLUMNS)
    assert refused(*given, "-o", "mine.pot").startswith("mine.pot: it exists already. Name another file, or add --over")
    assert refused(*given, "-o", ".").startswith(".: it is a folder. Name a file")
    assert refused(*given, "-o", "tickets.csv/a.pot").startswith("tickets.csv/a.pot: ")
    for output, more in (("tickets.csv", ()), ("more.txt", ("--unlabelled", "more.txt")), ("answers.csv", ANSWERS)):
        (folder / "more.txt").touch()
        content = (folder / output).read_bytes()
        said = refused(*given, *more, "-o", output, "--overwrite")
        assert said.startswith(f"{output}: it is both input and output. Choose another")
        assert (folder / output).read_bytes() == content
    said = refused("distil", "elsewhere", *COLUMNS, "-o", "elsewhere/new.csv", "--overwrite")
    assert said.startswith("elsewhere/new.csv: it is both input and output")
    assert "Give one." in refused(*given, "--names", "a,b", "-o", "a.pot")
    said = refused(*given, "-S", "teacher.checkpoints=[mpnet]", "-o", "a.pot")
    assert said == "params: teacher.checkpoints is for projects. Use --teacher instead."
    assert "report.errors is for projects, and" in refused(*given, "-S", "report.errors=0", "-o", "a.pot")
    wrong = refused("distil", "tickets.csv", "--text", "subjec", "--label", "queue", "-o", "a.pot")
    assert "no column 'subjec'" in wrong
    assert wrong.endswith("Set --text body.")
    assert "prepare" not in wrong
    assert refused("distil", "none.csv", "-o", "a.pot") == "none.csv: no such file. Set `FILE` to your folder or file."
    missing = refused(*given, "--unlabelled", "none.csv", "-o", "a.pot")
    assert missing == "none.csv: no such file. Name another file."
    same = refused("distil", "tickets.csv", "--text", "subject", "--label", "body", "-o", "a.pot")
    assert "classes have fewer than 2 examples, such as " in same
    assert same.endswith(". Set `--label` to a column of classes, or add examples.")
    share = refused(*given, "-S", "prepare.test_share=0.001", "-o", "a.pot")
    assert "`-S prepare.test_share` 0.001 of " in share
    (folder / "book.xlsx").write_bytes(b"PK")
    assert "unknown format. Save it as one of .csv" in refused("distil", "book.xlsx", "-o", "a.pot")
    assert "Set `-S prepare.train` to the name of your file" in refused("distil", "elsewhere", "-o", "a.pot")
    assert "did you mean `rung`?" in refused(*given, "-S", "student.rugn=qr", "-o", "a.pot")
    assert "not of the form section.key=value" in refused(*given, "-S", "rung", "-o", "a.pot")
    assert "`huge` in rung is not a key of student.ladder" in refused(*given, "--rung", "huge", "-o", "a.pot")
    assert (folder / "mine.pot").read_text() == "keep"
    assert not (folder / "a.pot").exists()


def test_folds_require_that_there_is_no_test_file(folder):
    (folder / "both").mkdir()
    for split in ("train", "test"):
        (folder / f"both/{split}.csv").write_text("text,label\n" + "".join(f"{split} {i},{i % 2}\n" for i in range(20)))
    said = refused("distil", "both", "--folds", "5", "-o", "a.pot")
    assert said == "`--folds` is set, but there is a test split, both/test.csv. Leave one of them out."


def test_label_files_of_a_folder_and_a_fold_are_as_in_the_pipeline(folder):
    (folder / "mine").mkdir()
    (folder / "mine/train.csv").write_text("body,queue\n" + "".join(f"text {i},{i % 2}\n" for i in range(20)))
    (folder / "mine/to_label-1.csv").write_text("text,label\ntext 3,0\nnew text,1\nskipped,\n")
    parser = Parser()
    distil.arguments(parser)
    raw = distil._read(parser.parse_args(["mine", "--text", "body", "--label", "queue", "-o", "a.pot"]), {})
    fold = {"prepare": {"fold": 2, "folds": 4}}
    for given, test in (({}, 0), (fold, 5)):
        data, facts = prepared_data(raw, Settings.of(given), None)
        assert facts["given"]["added"] == 1
        assert "new text" in data.train["text"].tolist()
        assert len(data.test) == test
    assert data.test["text"].tolist() == take_fold(raw, 2, 4, 0).splits["test"].rows["text"].tolist()


def test_the_output_is_asked_for(folder, capsys):
    with pytest.raises(SystemExit):
        cli.execute(["distil", "tickets.csv"])
    assert "the following arguments are required: -o/--output" in capsys.readouterr().err


def test_a_next_step_repeats_the_command_with_what_changes(folder):
    parser = Parser()
    distil.arguments(parser)
    given = [
        "tickets.csv",
        *COLUMNS,
        "--unlabelled",
        "a b.csv",
        "--rung",
        "qr",
        "-S",
        "pool.min_texts=9",
        "-o",
        "s.pot",
    ]
    commands = distil._Commands(parser.parse_args(given))
    for line, changed in (
        (commands.rung("small"), {"rung": "small"}),
        (commands.teacher("roberta"), {"teacher": "roberta"}),
        (commands.rows("test", 900), {}),
    ):
        words = shlex.split(line)
        assert words[:2] == ["potstill", "distil"]
        expected = vars(parser.parse_args([*given, "--overwrite"])) | changed
        assert vars(parser.parse_args(words[2:])) == expected
    more = parser.parse_args(shlex.split(commands.unlabelled(9))[2:])
    assert [path.name for path in more.unlabelled] == ["a b.csv", "more.txt"]


def test_a_step_to_labels_reads_them_from_a_file_next_to_the_texts(folder):
    parser = Parser()
    distil.arguments(parser)

    def read_again(step, *given):
        args = parser.parse_args(shlex.split(step(distil._Commands(parser.parse_args([*given, "-o", "s.pot"]))))[2:])
        asked = {"label": None, "label_names": args.names} if args.names else {}
        return args, Settings.of(distil._sections(args.set_param), prepare=asked).prepare

    named = ["--names", "good,bad"]
    args, prepare = read_again(distil._Commands.labels, "tickets.csv", *named)
    assert (args.file, prepare.train) == ("folder", "tickets.csv")
    assert (prepare.test, args.names) == ("labelled.csv", ["good", "bad"])
    (folder / "texts").mkdir()
    args, prepare = read_again(distil._Commands.labels, "texts", *named)
    assert (args.file, prepare.train, prepare.test) == ("texts", None, "labelled.csv")
    args, prepare = read_again(distil._Commands.train, "texts", *named, "-S", "prepare.test_label=label")
    assert (args.names, prepare.test_label, prepare.train) == (None, None, "labelled.csv")


def test_errors_name_the_users_words(folder):
    with pytest.raises(PotstillError, match=r"^`--text`: one, `FILE` \(mine\)$"), distil.renamed(distil.OPTIONS):
        raise PotstillError("`prepare.text`: one, prepare.path (mine)")
    advice = r"^Set --text subject,body, --label queue\.$"  # what can be typed
    with pytest.raises(PotstillError, match=advice), distil.renamed(distil.OPTIONS):
        raise PotstillError("Set prepare.text=[subject,body], prepare.label=queue.")
