"""Where a model runs: CUDA, MPS or CPU, found without importing torch, and timing that waits for the device."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import platform
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from arena.errors import DeviceError, OutOfMemoryError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

AUTO = "auto"
_PATTERN = re.compile(r"cpu|mps|cuda(:\d+)?")
_unusable: set[str] = set()
"""Keys of devices that were announced and have failed since."""


@dataclass(frozen=True, slots=True)
class Device:
    """A place where models can run."""

    key: str
    """``"cuda:0"``, ``"mps"`` or ``"cpu"``: what PyTorch calls it."""
    name: str
    """The hardware's name."""

    @property
    def kind(self) -> str:
        """CUDA, MPS or CPU, with the number where there are several."""
        return self.key.upper().replace(":0", "")


@functools.cache
def available_devices() -> tuple[Device, ...]:
    """The devices of this machine for which the installed PyTorch was built, best first: CUDA, MPS, CPU.

    Asks the driver instead of PyTorch, whose import takes seconds: the page lists devices at its first paint. Whether
    PyTorch gets along with that driver is asked when the first model is loaded (:func:`usable_device`).

    Returns:
        At least the CPU; without those that PyTorch has turned out not to get along with.
    """
    found = (*_cuda_devices(), *_mps_devices(), Device("cpu", _cpu_name()))
    return tuple(device for device in found if device.key not in _unusable)


def resolve_device(device: str = AUTO) -> str:
    """Choose the device to run on.

    Args:
        device: ``"auto"`` for the best there is, ``"cpu"``, ``"mps"``, ``"cuda"`` or ``"cuda:N"``.

    Returns:
        A key that PyTorch understands; CUDA always with its number.

    Raises:
        DeviceError: This machine does not have that device, or there is no such device.
    """
    have = [found.key for found in available_devices()]
    wanted = device.strip().lower()
    if wanted == AUTO:
        return have[0]
    if not _PATTERN.fullmatch(wanted):
        raise DeviceError(f'There is no device called "{device}".', f"Use auto or one of: {', '.join(have)}.")
    key = "cuda:0" if wanted == "cuda" else wanted
    if key not in have:
        raise DeviceError(
            f"This machine has no {wanted} device that PyTorch can use.",
            f"Use auto or one of: {', '.join(have)}.",
        )
    return key


def confirm_device(device: str) -> None:
    """Have PyTorch, which is about to be used, work on a GPU that the driver has announced.

    Args:
        device: A resolved device.

    Raises:
        DeviceError: It cannot, because the driver or the GPU is too old for it; from then on the device is not offered
            any more.
        OutOfMemoryError: Others have taken all of its memory.
    """
    if device == "cpu":
        return
    import torch  # noqa: PLC0415 - first paint must not wait for it

    try:
        # The driver may be too old, or the GPU: that shows when the first kernel runs.
        torch.ones(8, device=device).sum().item()
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        if "out of memory" in reason:
            raise OutOfMemoryError(
                f"All memory of {device} is taken.", "Close other programs that use it, or run on the CPU."
            ) from error
        _unusable.add(device)
        available_devices.cache_clear()
        raise DeviceError(
            f"There is a GPU, but the installed PyTorch {torch.__version__} cannot use it: {reason.rstrip('.')}.",
            "Update the GPU's driver, or run on the CPU.",
        ) from error


def usable_device(device: str = AUTO) -> str:
    """Choose the device to run on, as :func:`resolve_device` does, and have PyTorch confirm it.

    Args:
        device: ``"auto"`` for the best that works, or one by its name.

    Returns:
        A key that PyTorch understands.

    Raises:
        DeviceError: There is no such device, or PyTorch cannot use it.
        OutOfMemoryError: Its memory is full.
    """
    while True:
        resolved = resolve_device(device)
        try:
            confirm_device(resolved)
        except DeviceError:
            if device.strip().lower() != AUTO:
                raise
        else:
            return resolved


def free_memory(device: str) -> int:
    """How much memory a device has left.

    Args:
        device: A resolved device.

    Returns:
        Bytes. Apple's GPU shares the machine's memory, so that is what counts there.
    """
    if device.startswith("cuda"):
        import torch  # noqa: PLC0415 - first paint must not wait for it

        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def synchronize(device: str) -> None:
    """Wait until a device has done all it was given; GPUs run behind the program.

    Args:
        device: A resolved device.
    """
    if device == "cpu":
        return
    import torch  # noqa: PLC0415 - first paint must not wait for it

    if device == "mps":
        torch.mps.synchronize()
    else:
        torch.cuda.synchronize(device)


class Stopwatch:
    """Seconds of wall time around work on a device: ``with Stopwatch("cuda:0") as watch: ...; watch.seconds``."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self.seconds = 0.0
        self._start = 0.0

    def __enter__(self) -> Self:
        synchronize(self.device)
        self._start = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            synchronize(self.device)
        self.seconds = time.perf_counter() - self._start


def _torch_library(stem: str) -> bool:
    """Whether the installed PyTorch carries a library: CPU-only builds have no ``torch_cuda``."""
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return False
    folder = Path(spec.submodule_search_locations[0]) / "lib"
    return any(folder.glob(f"*{stem}.*"))


def _cuda_devices() -> list[Device]:
    if sys.platform == "darwin" or not _torch_library("torch_cuda"):
        return []
    if "torch" in sys.modules:
        import torch  # noqa: PLC0415 - already paid for, and the authority

        if not torch.cuda.is_available():
            return []
        return [Device(f"cuda:{i}", torch.cuda.get_device_name(i)) for i in range(torch.cuda.device_count())]
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return []
    count = ctypes.c_int(0)
    # CUDA driver API: 0 is success; the driver honours CUDA_VISIBLE_DEVICES as PyTorch does.
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return []
    devices = []
    for index in range(count.value):
        handle, name = ctypes.c_int(0), ctypes.create_string_buffer(128)
        if driver.cuDeviceGet(ctypes.byref(handle), index) == 0 and driver.cuDeviceGetName(name, 128, handle) == 0:
            devices.append(Device(f"cuda:{index}", name.value.decode(errors="replace")))
    return devices


def _mps_devices() -> list[Device]:
    # PyTorch's wheels for Apple silicon all have MPS; macOS 14 is the least they support.
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return [Device("mps", "Apple silicon GPU")]
    return []


def _cpu_name() -> str:
    """The processor's name and its cores, as far as the system tells."""
    name = platform.processor() or platform.machine() or "CPU"
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
        name = found.group(1) if found else name
    except OSError:
        pass
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    return f"{name.strip()}, {cores} core{'s' if cores > 1 else ''}"
