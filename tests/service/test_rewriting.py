"""A file gets another text, and stays as it was otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scribed.errors import ScribedError
from scribed.service.rewriting import rewrite


def test_mode_owner_group_line_ends_and_a_link_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "scribed.toml"
    real.write_bytes(b"a\r\nb\r\n")
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, 12, 34)
    was = real.stat()
    link.symlink_to(real)
    rewrite(link, "a\nb\n", "a\nc\n")
    assert real.read_bytes() == b"a\r\nc\r\n"
    assert link.is_symlink()
    now = real.stat()
    assert (now.st_mode, now.st_uid, now.st_gid) == (was.st_mode, was.st_uid, was.st_gid)
    assert sorted(tmp_path.iterdir()) == [real, link]


def test_what_was_changed_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    (path := tmp_path / "scribed.toml").write_text("mine\n")
    with pytest.raises(ScribedError, match="was changed meanwhile"):
        rewrite(path, "yours\n", "ours\n")
    assert path.read_text() == "mine\n"
    with pytest.raises(ScribedError, match="cannot be read"):
        rewrite(tmp_path / "none", "", "")
