"""`potstill serve`."""

import pytest

from potstill import cli

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("option", "value", "line"),
    [
        ("--port", "99999", "argument --port: must be an integer from 0 to 65535 (found: '99999')"),
        ("--port", "-1", "argument --port: must be an integer from 0 to 65535 (found: '-1')"),
        ("--port", "x", "argument --port: must be an integer from 0 to 65535 (found: 'x')"),
        ("--max-length", "1e20", "must be an integer from 1 to 2147483647 (found: '1e20')"),
        ("--max-batch", "9" * 5000, "must be an integer from 1 to 2147483647 (found: '999"),
        ("--max-body", "0", "must be an integer from 1"),
        ("--timeout", "nan", "argument --timeout: must be a number of seconds, at most 86400 (found: 'nan')"),
        ("--timeout", "0", "must be a number of seconds"),
        ("--\x1b[31m", "x", r"unrecognized arguments: --\x1b[31m x"),
    ],
)
def test_bad_options_end_in_one_line(option, value, line, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.execute(["serve", "x.pot", option, value])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert line in said
    assert said.count("\n") == 1
    assert len(said) < 300
