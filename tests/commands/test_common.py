"""Arguments that several commands have."""

import os

from tests.command import call


def test_a_model_may_come_through_a_pipe(model, tmp_path, capsys):
    for arguments in (["inspect", "--json"], ["page", "-o", str(tmp_path / "a.html")]):
        ours, theirs = os.pipe()
        os.write(theirs, model.read_bytes())
        os.close(theirs)
        call(capsys, arguments[0], f"/dev/fd/{ours}", *arguments[1:])
        os.close(ours)
    call(capsys, "page", model, "-o", tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
