"""Names and signs that a console, or a file system, has in another way than Unicode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from arena.photo import Photo, encode

if TYPE_CHECKING:
    from pathlib import Path


def arena(*words: object, encoding: str = "utf-8") -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"PYTHONIOENCODING": encoding, "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "arena", *map(os.fsencode, map(str, words))],
        check=False,
        capture_output=True,
        env=environment,
    )


@pytest.fixture
def picture(tmp_path: Path, photo: Photo) -> bytes:
    return encode(photo.rgb)


def test_a_name_that_the_console_lacks_ends_nothing(picture: bytes, tmp_path: Path) -> None:
    for name in ("日本.png", "me.png"):
        (tmp_path / name).write_bytes(picture)
    result = arena("compare", tmp_path, "-m", "classic", "-o", tmp_path / "out", encoding="cp1252")
    assert b"Traceback" not in result.stderr
    assert b"\\u65e5\\u672c, Classic" in result.stdout
    assert b"me, Classic" in result.stdout
    result = arena("compare", tmp_path, "-m", "classic", "-o", tmp_path / "out", "--json", encoding="cp1252")
    assert set(json.loads(result.stdout)["photos"]) == {"日本", "me"}
    assert "U²-Net".encode("cp932", "backslashreplace") in arena("models", encoding="cp932").stdout


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_text_loses_no_numbers(picture: bytes, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in (b"caf\xe9.png", b"me.png"):
        (tmp_path / "in" / os.fsdecode(name)).write_bytes(picture)
    result = arena("compare", tmp_path / "in", "-m", "classic", "-o", tmp_path / "out")
    assert b"Traceback" not in result.stderr
    photos = json.loads((tmp_path / "out" / "results.json").read_bytes())["photos"]
    assert set(photos) == {"caf\udce9", "me"}
