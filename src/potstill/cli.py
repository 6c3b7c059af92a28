"""The command line: `potstill COMMAND`. Each command is a module of `potstill.commands`."""

from potstill.core.start import run

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import potstill
from potstill.core.errors import PotstillError
from potstill.terminal import Parser, suggestion

# The help lines stand here too, so that `potstill --help` imports no command and no library.
MODEL_COMMANDS = {
    "predict": "Classify the texts of a file or of standard input.",
    "inspect": "Describe a model: its classes, size, origin and scores.",
    "drift": "Say whether texts differ from those that a model was validated on.",
    "explain": "Show how much each word of a text contributes to its prediction.",
    "page": "Write an HTML page that classifies text in the browser, without a server.",
    "serve": "Serve predictions over HTTP: /predict, /model, /healthz, /metrics, /docs, and a page at /.",
    "qr": "Write a model as a QR code.",
}
TRAINING_COMMANDS = {"distil": "Distil a classifier from labelled texts, in one command."}
PROJECT_COMMANDS = {
    "estimate": "Estimate the requests, tokens and cost of an LLM as the teacher; send nothing.",
    "queue": "Run the queued experiments, and say why one failed.",
    "cross-validate": "Test on all labelled texts, fold by fold, where there is no test split.",
    "compare": "Compare experiments on one page.",
    "update": "Have the next run continue from the last one, after rows were added or corrected.",
    "verify": "Check the hash of every file that DVC tracks, and move damaged ones out of its cache.",
    "push": "Push to the DVC remote, and replace what is damaged there.",
}


def main() -> None:
    """Run the command line; an error that the user can correct is one line and exit status 1."""
    run(lambda: execute(sys.argv[1:]))


def execute(arguments: Sequence[str]) -> None:
    """Run the command that `arguments` name.

    Raises:
        PotstillError: a command that works on a project is run elsewhere.
        SystemExit: the arguments are wrong (status 2), or ask for help or the version (status 0).
    """
    main_parser = _parser()
    chosen = main_parser.parse_args(arguments)
    if not chosen.command:
        main_parser.exit(2, main_parser.format_help())
    commands = TRAINING_COMMANDS | MODEL_COMMANDS | PROJECT_COMMANDS
    if chosen.command not in commands:
        advice = suggestion(chosen.command, commands)
        main_parser.error(f"unknown command {chosen.command!r}" + (f". {advice}" if advice else ""))
    module = import_module(f"potstill.commands.{chosen.command.replace('-', '_')}")
    parser = Parser(prog=f"potstill {chosen.command}", description=commands[chosen.command])
    module.arguments(parser)
    args = parser.parse_intermixed_args(chosen.arguments)
    for name in ("dvc.yaml", "params.yaml") if chosen.command in PROJECT_COMMANDS else ():
        if not Path(name).is_file():
            raise PotstillError(f"{name}: not found in {Path.cwd()}. Run this command in the folder of a project.")
    with suppress(BrokenPipeError):  # the reader of the output closed it early, as `head` does
        module.run(args)


def _parser() -> Parser:
    width = 2 + max(map(len, [*TRAINING_COMMANDS, *MODEL_COMMANDS, *PROJECT_COMMANDS]))
    listed = [
        f"{title}:\n" + "".join(f"  {name:<{width}}{line}\n" for name, line in commands.items())
        for title, commands in (
            ("make a model", TRAINING_COMMANDS),
            ("use a model", MODEL_COMMANDS),
            ("work in a project (a folder with dvc.yaml)", PROJECT_COMMANDS),
        )
    ]
    parser = Parser(
        prog="potstill",
        usage="potstill [-h] [--version] command ...",
        description="Distil text classifiers into tiny files, and use them.",
        epilog="\n".join([*listed, "`potstill COMMAND --help` lists the options of a command."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"potstill {potstill.__version__}")
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser
