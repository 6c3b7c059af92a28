"""The table of commands, and the modules behind it."""

import os
import re
import subprocess
import sys
from importlib import import_module

import pytest

from potstill import cli
from potstill.core.errors import PotstillError
from tests.command import run

COMMANDS = cli.TRAINING_COMMANDS | cli.MODEL_COMMANDS | cli.PROJECT_COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_a_module_starts_with_the_help_line_of_its_command(name):
    module = import_module(f"potstill.commands.{name.replace('-', '_')}")
    assert module.__doc__.splitlines()[0] == COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.execute([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: potstill {name}" in capsys.readouterr().out


@pytest.mark.parametrize(("option", "expected"), [("--help", "work in a project"), ("--version", "potstill 0.")])
def test_help_imports_no_command_and_no_library(option, expected):
    code = (
        "import sys\nfrom potstill import cli\nsys.argv = ['potstill', sys.argv[1]]\ntry:\n cli.main()\nfinally:\n"
        " slow = {'numpy', 'torch', 'dvc'} & sys.modules.keys() | {n for n in sys.modules if '.commands' in n}\n"
        " assert not slow, slow"
    )
    done = subprocess.run([sys.executable, "-c", code, option], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert expected in done.stdout


@pytest.mark.parametrize("command", cli.PROJECT_COMMANDS)
def test_outside_a_project_a_command_ends_in_one_line(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        PotstillError, match=r"^dvc\.yaml: not found in .*\. Run this command in the folder of a project"
    ):
        cli.execute([command])
    (tmp_path / "dvc.yaml").touch()
    with pytest.raises(PotstillError, match=r"^params\.yaml: not found in "):
        cli.execute([command])


@pytest.mark.parametrize(
    ("arguments", "package", "extra"),
    [(["verify"], "dvc", "train"), (["qr"], "segno", "train"), (["serve", "a.pot"], "fastapi", "serve")],
)
def test_a_package_that_is_not_installed_is_one_line(arguments, package, extra):
    code = (
        "import sys\nclass Missing:\n def find_spec(self, name, path=None, target=None):\n"
        f"  if name.split('.')[0] == {package!r}: raise ModuleNotFoundError(name, name={package!r})\n"
        "sys.meta_path.insert(0, Missing())\nfrom potstill.cli import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        done.stderr == f"error: {package} is not installed. Run `pip install -e '.[{extra}]'` in a clone of potstill.\n"
    )


def test_errors_are_one_line_and_a_status(model, tmp_path):
    out, error = run("predict", tmp_path / "none.pot", expected=1)
    assert out == ""
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_no_command_prints_the_help(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.execute([])
    assert caught.value.code == 2
    assert "predict" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["guess"], "unknown command 'guess'. `potstill --help`"),
        (["predct"], "unknown command 'predct'. Did you mean 'predict'? `potstill --help`"),
        (["predict"], "the following arguments are required: model"),
        (
            ["predict", "a.pot", "--top-k", "0"],
            "argument --top-k: must be an integer from 1 to 2147483647 (found: '0')",
        ),
        (["predict", "a.pot", "--top-k", "9" * 5000], "argument --top-k: must be an integer from 1 to 2147483647"),
        (
            ["predict", "a.pot", "--threshold", "nan"],
            "argument --threshold: must be a number from 0 to 1 (found: 'nan')",
        ),
        (["predict", "a.pot", "--threshold", "1.5"], "must be a number from 0 to 1 (found: '1.5')"),
        (["predict", "a.pot", "--input-format", "\x1b[31m"], "invalid choice: '\\x1b[31m'"),
        (["predict", "a.pot", "--\x1b]0;owned\x07"], "unrecognized arguments: --\\x1b]0;owned\\x07"),
        (["serve", "a.pot", "--port", "\x1b[31m"], "argument --port: "),
    ],
)
def test_wrong_arguments_end_in_one_line_that_is_safe_for_a_terminal(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.execute(arguments)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert error.removesuffix("\n").isprintable()


@pytest.mark.parametrize(
    "arguments",
    [["explain", "happy \udcff"], ["explain", "x", "--label", "\udcff"], ["predict", "--text", "\udcff"],
     ["page", "-o", "none.html", "--title", "\udcff"], ["serve", "--host", "\udcff"]],
)  # fmt: skip
def test_an_argument_that_is_no_text_is_refused_in_one_line(arguments, model, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.execute([arguments[0], str(model), *arguments[1:]])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert re.match(r"error: argument .*: must be UTF-8 \(found: '.*\\udcff'\)\. ", said)
    assert said.count("\n") == 1


@pytest.mark.slow
def test_an_argument_is_utf_8_where_the_locale_knows_none(model, tmp_path):
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "potstill"]
    for arguments in (["explain", model, "café − x", "--json"], ["page", model, "--title", "café", "-o", "a.html"]):
        done = subprocess.run([*command, *arguments], env=environment, cwd=tmp_path, capture_output=True, check=True)
        if arguments[0] == "explain":
            assert "café" in done.stdout.decode("unicode_escape")
    assert "<title>café</title>" in (tmp_path / "a.html").read_text("utf-8")
