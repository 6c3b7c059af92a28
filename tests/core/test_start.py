"""Start and end of commands: interrupts, closed streams, terminals without Unicode, too little memory."""

from potstill.core.start import run

import os
import signal
import subprocess
import sys
import time

import pytest

from potstill.core.errors import PotstillError, error_line
from tests.project import ENVIRONMENT, ROOT

# The environment of the tests may change how Python behaves.
PLAIN = {name: value for name, value in ENVIRONMENT.items() if name not in ("PYTHONUNBUFFERED", "PYTHONIOENCODING")}
SCRIPT = """
from potstill.core.start import run

{imports}


def main():
    {body}


if __name__ == "__main__":
    run(main)
"""


def command(folder, body, imports=""):
    """Return the command of a minimal stage."""
    path = folder / "stage.py"
    path.write_text(SCRIPT.format(imports=imports, body=body.replace("\n", "\n    ")))
    return [sys.executable, str(path)]


def start(arguments, folder, shell="", **environment):
    """Run a command; `shell` is appended to it in a shell."""
    line = " ".join([*arguments, shell])
    environment = PLAIN | {"PYTHONPATH": str(ROOT / "src")} | environment
    arguments = ["bash", "-o", "pipefail", "-c", line]
    return subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True)


# Ctrl-C at the first import of another library, or of a module of ours outside `core`, which may import one.
INTERRUPT = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        early = name in ("potstill", "potstill.cli", "potstill.core") or name.startswith("potstill.core.")
        if not early and name.split(".")[0] not in sys.stdlib_module_names:
            print("interrupted", flush=True)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
"""
SCRIPTS = [*sorted((ROOT / "src").glob("*.py")), ROOT / "src/potstill/cli.py"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_ctrl_c_says_nothing_while_a_script_imports(script, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(INTERRUPT)
    environment = PLAIN | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'src'}"}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "interrupted\n", "")


def interrupted(arguments, folder, sign):
    """Interrupt a command after its first line; return its status and standard error."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    environment = PLAIN | {"PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(arguments, cwd=folder, env=environment, **options) as process:
        assert process.stdout.readline() == f"{sign}\n"
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    return process.returncode, said


def test_ctrl_c_says_nothing_during_imports_and_after(tmp_path):
    waits = "import time; print('waits', flush=True); time.sleep(60)"
    swallows = f"try:\n    {waits}\nexcept BaseException: raise ImportError('what libraries make of it')"
    assert interrupted(command(tmp_path, "pass", imports=swallows), tmp_path, "waits") == (-signal.SIGINT, "")
    assert interrupted(command(tmp_path, waits), tmp_path, "waits") == (130, "")


WORKERS = """
import time
from potstill.core.workers import workers

if __name__ == "__mp_main__":
    time.sleep({sleep})
"""


@pytest.mark.slow
@pytest.mark.parametrize("sleep", [0, 60], ids=["at work", "while they start"])
def test_ctrl_c_says_nothing_in_workers(sleep, tmp_path):
    body = "with workers(2) as pool:\n    print('waits', flush=True)\n    list(pool.map(time.sleep, [60, 60]))"
    began = time.monotonic()
    arguments = command(tmp_path, body, imports=WORKERS.format(sleep=sleep))
    assert interrupted(arguments, tmp_path, "waits") == (130, "")
    assert time.monotonic() - began < 40


def test_an_ignored_interrupt_stays_ignored(tmp_path):
    """A shell ignores interrupts for background jobs."""
    body = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('lives')"
    done = start(["trap '' INT;", *command(tmp_path, body)], tmp_path)
    assert (done.returncode, done.stdout) == (0, "lives\n")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            "ImportError('libtorch_cpu.so: failed to map segment from shared object')",
            "out of memory while loading libraries",
        ),
        ("ImportError('x.so: cannot allocate memory in static TLS block')", "out of memory while loading libraries"),
        ("OSError('libgomp.so.1: failed to map segment from shared object')", "out of memory while loading libraries"),
        ("OSError(12, 'Cannot allocate memory')", "out of memory. Free some"),
        ("MemoryError()", "out of memory. Free some"),
        ("RuntimeError('std::bad_alloc')", "out of memory. Free some"),
        ("RuntimeError('could not create a primitive')", "out of memory. Free some"),
        ("RuntimeError('can\\'t start new thread')", "out of memory. Free some"),
        ("SystemError('error return without exception set')", "out of memory. Free some"),
        ("ModuleNotFoundError('x', name='sklearn')", "sklearn is not installed. Run `pip install -e '.[train]'` in a"),
        ("FileNotFoundError(2, 'No such file or directory', 'x.so')", "x.so: No such file or directory"),
    ],
)
def test_an_import_error_is_one_line(error, says, tmp_path):
    done = start(command(tmp_path, "pass", imports=f"raise {error}"), tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {says}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("error", ["MemoryError()", "RuntimeError('x')"])
def test_a_thread_ends_as_a_command_does(error, tmp_path):
    body = f"import threading\ndef fail(): raise {error}\nthread = threading.Thread(target=fail)\n"
    done = start(command(tmp_path, f"{body}thread.start()\nthread.join()\nfail()"), tmp_path)
    assert done.returncode == 1
    assert ("Traceback" in done.stderr) == (error != "MemoryError()")
    assert (done.stderr == f"{error_line(MemoryError())}\n") == (error == "MemoryError()")


def test_future_warnings_of_libraries_are_not_printed(tmp_path):
    body = "import warnings\nwarnings.warn('x', FutureWarning)\nwarnings.warn('y', UserWarning)"
    said = start(command(tmp_path, body), tmp_path).stderr
    assert "UserWarning: y" in said
    assert "FutureWarning" not in said


@pytest.mark.parametrize(
    "error", ["ImportError('cannot import name x')", "ModuleNotFoundError('x', name='potstill.x')"]
)
def test_a_defect_keeps_its_traceback(error, tmp_path):
    done = start(command(tmp_path, "pass", imports=f"raise {error}"), tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("shell", "status", "says"),
    [
        ("<&-", 0, ""),
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
        ("2>/dev/full", 1, ""),
        (">/dev/full", 1, "error: the disk is full"),
        ("| true", 0, ""),
    ],
)
def test_notes_need_no_stream(shell, status, says, tmp_path):
    body = "import sys; open('written', 'w').write('x'); print('note −'); print('note', file=sys.stderr)"
    done = start(command(tmp_path, body), tmp_path, shell)
    assert done.returncode == status
    assert done.stderr.replace("note\n", "").startswith(says)
    assert done.stderr.count("\n") <= 2
    assert (tmp_path / "written").read_text() == "x"


@pytest.mark.parametrize("shell", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_file_that_is_opened_takes_no_standard_streams_number(shell, tmp_path):
    done = start(
        command(tmp_path, "with open('written', 'w') as file: file.write(str(file.fileno()))"), tmp_path, shell
    )
    assert done.returncode == 0
    assert int((tmp_path / "written").read_text()) > 2


@pytest.mark.parametrize(
    ("shell", "body"),
    [
        ("<&-", "import sys; sys.stdin.buffer.read()"),
        (">&-", "from potstill.core import files; files.check_writable(1, 'standard output')"),
    ],
)
def test_what_needs_a_closed_stream_is_one_line(shell, body, tmp_path):
    done = start(command(tmp_path, body), tmp_path, shell)
    assert done.returncode == 1
    assert done.stderr.startswith("error: standard ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "ascii:strict", "latin-1"])
def test_no_character_stops_a_print(encoding, tmp_path):
    body = "import sys; print('−日'); print('−日', file=sys.stderr); raise SystemExit('−')"
    done = start(command(tmp_path, body), tmp_path, PYTHONIOENCODING=encoding)
    assert (done.stdout, done.stderr) == ("\\u2212\\u65e5\n", "\\u2212\\u65e5\n\\u2212\n")


def test_a_user_error_is_one_line_and_a_defect_a_traceback(capsys, tmp_path):
    def mistake():
        raise PotstillError("this is wrong:\n do that")

    def unwritable():
        (tmp_path / "none" / "file").write_text("")

    def defect():
        raise ValueError

    for main, says in ((mistake, "error: this is wrong: do that"), (unwritable, "none/file: No such file")):
        with pytest.raises(SystemExit, match=says):
            run(main)
    with pytest.raises(ValueError):  # noqa: PT011
        run(defect)


@pytest.mark.parametrize("script", sorted((ROOT / "src").glob("*.py")), ids=lambda path: path.stem)
@pytest.mark.slow
def test_a_stage_in_the_wrong_folder_says_so(script, tmp_path):
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
