"""The table of commands, and the modules behind it."""

import subprocess
import sys
from importlib import import_module

import pytest

from potstill import cli
from potstill.core.errors import PotstillError


@pytest.mark.parametrize("name", [*cli.MODEL, *cli.PROJECT])
def test_a_module_starts_with_the_help_line_of_its_command(name):
    module = import_module(f"potstill.commands.{name}")
    assert module.__doc__.splitlines()[0] == (cli.MODEL | cli.PROJECT)[name]


@pytest.mark.parametrize("name", [*cli.MODEL, *cli.PROJECT])
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


@pytest.mark.parametrize(
    "arguments", [["queue"], ["compare"], ["verify"], ["push"], ["advise"], ["search", "--budget", "9"]]
)
def test_outside_a_project_a_command_ends_in_one_line(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        PotstillError, match=r"^dvc\.yaml: not found in .*\. Run this command in the folder of a project"
    ):
        cli.execute(arguments)
    (tmp_path / "dvc.yaml").touch()
    with pytest.raises(PotstillError, match=r"^params\.yaml: not found in "):
        cli.execute(arguments)


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
