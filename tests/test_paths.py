from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from arena.errors import OptionError
from arena.paths import expanded, replacing

if TYPE_CHECKING:
    from pathlib import Path


def test_what_goes_wrong_leaves_the_older_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    path.write_text("before", "utf-8")

    def break_off() -> None:
        with replacing(path) as partial:
            partial.write_text("aft", "utf-8")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert path.read_text("utf-8") == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_takes_the_others_place_once_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    path.write_text("before", "utf-8")
    with replacing(path) as partial:
        partial.write_text("after", "utf-8")
        assert path.read_text("utf-8") == "before"
    assert path.read_text("utf-8") == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_weights_as_they_may_any_other_new_file(tmp_path: Path) -> None:
    usual, weights = tmp_path / "usual", tmp_path / "weights.safetensors"
    usual.touch()
    with replacing(weights) as partial:
        save_file({"a": torch.zeros(1)}, partial)
    assert stat.S_IMODE(weights.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)


def test_a_name_as_long_as_names_can_be_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("名" * 83 + ".txt")
    with replacing(path) as partial:
        partial.write_text("here", "utf-8")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_what_is_there_keeps_its_mode_and_a_link_its_aim(tmp_path: Path) -> None:
    path, link = tmp_path / "secret.txt", tmp_path / "link.txt"
    path.write_text("before", "utf-8")
    path.chmod(0o600)
    link.symlink_to(path)
    with replacing(link) as partial:
        partial.write_text("after", "utf-8")
    assert link.is_symlink()
    assert path.read_text("utf-8") == "after"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_disk_without_modes_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("Operation not supported")

    monkeypatch.setattr(type(tmp_path), "chmod", refuse)
    path = tmp_path / "weights.safetensors"
    with replacing(path) as partial:
        save_file({"a": torch.zeros(1)}, partial)
    assert path.is_file()


def test_a_home_that_nobody_has_is_said() -> None:
    with pytest.raises(OptionError, match="There is no home folder"):
        expanded("~nobody-of-that-name/photo.jpg")
