"""The report of an installation and its models."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from arena.catalog import Task
from arena.cli.app import app
from arena.doctor import Status, check_installation, check_model, reference_iou
from arena.errors import UnknownModelError
from tests.fakes import disc, make_card

if TYPE_CHECKING:
    from collections.abc import Callable

    from arena.doctor import Check


def lines(key: str) -> list[Check]:
    return list(check_model(key, "cpu"))


def test_the_default_model_passes_on_this_machine() -> None:
    checks = lines("classic")
    assert [check.status for check in checks] == [Status.OK] * 3
    assert "IoU 0.9" in str(checks[-1])


@pytest.mark.usefixtures("fake_cards")
@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("disc", "agrees with the reference: IoU 0."),
        ("empty", "somebody found: largest alpha 0.050"),
        ("broken", "ZeroDivisionError: a fault of the program"),
        ("unloadable", "The tensors do not fit."),
    ],
)
def test_what_is_wrong_fails_with_its_cause(key: str, words: str) -> None:
    failed = [check for check in lines(key) if check.status is Status.FAILED]
    assert words in " ".join(map(str, failed))


@pytest.mark.usefixtures("fake_cards")
def test_what_cannot_run_here_is_noted_not_failed() -> None:
    (check,) = lines("absent")
    assert check.status is Status.NOTE
    with pytest.raises(UnknownModelError):
        lines("nothing")


def test_a_model_that_needs_a_box_is_shown_the_subject(use_cards: Callable[..., None]) -> None:
    use_cards(make_card("boxes", "BoxSegmenter", task=Task.PROMPTED, box_prompt=True))
    forward, presence, likeness = lines("boxes")
    assert forward.status is presence.status is Status.OK
    # A box about the subject, filled, is more like it than the whole picture with its 0.47.
    assert float(re.findall(r"IoU ([\d.]+)", likeness.detail)[0]) > 0.65


@pytest.mark.usefixtures("hub")
def test_nothing_is_downloaded() -> None:
    (check,) = lines("u2netp")
    assert "`arena fetch u2netp` downloads them" in check.detail


def test_the_reference_tells_a_matte_from_nonsense() -> None:
    everything = np.ones((512, 512), np.float32)
    assert reference_iou(everything) == pytest.approx(0.47, abs=0.02)
    assert reference_iou(disc(512, 512)) == pytest.approx(0.49, abs=0.05)
    assert reference_iou(1 - everything) == 0


def test_the_installation_is_described_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("ARENA_MAX_LOADED", "3")
    report = "\n".join(map(str, check_installation()))
    assert "HF_TOKEN is set" in report
    assert "hf_secret" not in report
    assert "ARENA_MAX_LOADED=3" in report
    assert "opencv-python-headless" in report


@pytest.mark.usefixtures("fake_cards")
def test_the_shell_fails_if_a_check_did() -> None:
    from typer.testing import CliRunner

    assert CliRunner().invoke(app, ["doctor", "broken"]).exit_code == 1
