"""Choosing a device and timing on it."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest

from arena import devices
from arena.comparison import compare
from arena.devices import Device, Stopwatch, available_devices, free_memory, resolve_device, usable_device
from arena.errors import DeviceError, OutOfMemoryError
from arena.models.pool import ModelPool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arena.photo import Photo


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two GPUs."""
    found = (Device("cuda:0", "First"), Device("cuda:1", "Second"), Device("cpu", "Processor"))
    monkeypatch.setattr(devices, "available_devices", lambda: found)


@pytest.fixture
def old_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose driver announces a GPU that PyTorch cannot use."""
    monkeypatch.setattr(devices, "_cuda_devices", lambda: [Device("cuda:77", "Old")])
    available_devices.cache_clear()
    yield
    devices._unusable.clear()
    available_devices.cache_clear()


@pytest.mark.usefixtures("old_gpu")
def test_a_gpu_that_is_announced_and_does_not_work_is_passed_over_from_then_on() -> None:
    assert resolve_device() == "cuda:77"
    with pytest.raises(DeviceError, match="cannot use it"):
        usable_device("cuda:77")
    assert usable_device() == resolve_device() != "cuda:77"
    with pytest.raises(DeviceError, match="no cuda:77 device"):
        resolve_device("cuda:77")


@pytest.mark.usefixtures("old_gpu", "fake_cards")
def test_a_comparison_on_such_a_machine_runs_on_what_works(photo: Photo) -> None:
    (result,) = compare(photo, "disc", pool=ModelPool())
    assert result.error is None
    assert result.device == resolve_device() != "cuda:77"


@pytest.mark.usefixtures("old_gpu")
def test_training_on_such_a_machine_runs_on_what_works(monkeypatch: pytest.MonkeyPatch) -> None:
    from arena.training.launch import training_device

    for name in ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "0")
    # Each of several processes has a GPU of its own, which is not the one that the name stands for.
    assert training_device("auto") == "cuda:77"
    for name in ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name)
    assert training_device("auto") != "cuda:77"


@pytest.mark.usefixtures("old_gpu")
def test_a_gpu_whose_memory_is_taken_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch, "ones", Mock(side_effect=torch.OutOfMemoryError("CUDA out of memory. Tried")))
    with pytest.raises(OutOfMemoryError, match="All memory of cuda:77 is taken"):
        usable_device()
    assert resolve_device() == "cuda:77"


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("asked", "given"),
    [("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("CPU", "cpu"), (" Auto ", "cuda:0")],
)
def test_devices_resolve_to_what_pytorch_understands(asked: str, given: str) -> None:
    assert resolve_device(asked) == given


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("asked", ["mps", "cuda:2"])
def test_an_absent_device_is_an_error_that_names_those_there_are(asked: str) -> None:
    with pytest.raises(DeviceError, match=r"cuda:0, cuda:1, cpu"):
        resolve_device(asked)


@pytest.mark.usefixtures("machine")
def test_a_device_that_does_not_exist_anywhere_is_an_error() -> None:
    with pytest.raises(DeviceError, match='no device called "tpu"'):
        resolve_device("tpu")


def test_the_cpu_is_always_there_and_last() -> None:
    assert available_devices()[-1].key == "cpu"
    assert "core" in available_devices()[-1].name
    assert free_memory("cpu") > 0


def test_what_we_find_is_what_pytorch_finds() -> None:
    import torch

    expected = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    if torch.backends.mps.is_available():
        expected.append("mps")
    assert [device.key for device in available_devices()] == [*expected, "cpu"]


def test_devices_are_found_without_importing_torch() -> None:
    code = "import sys; from arena.devices import available_devices; available_devices(); print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_a_kind_is_short_for_people() -> None:
    assert [Device(key, "").kind for key in ("cuda:0", "cuda:1", "cpu")] == ["CUDA", "CUDA:1", "CPU"]


def test_a_stopwatch_counts_the_time_inside() -> None:
    with Stopwatch() as watch:
        time.sleep(0.02)
    assert 0.02 <= watch.seconds < 5
