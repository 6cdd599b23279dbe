"""What the adapters around our own networks share: size rules, normalisation, timing, and the way back to the photo."""

from __future__ import annotations

import os
from abc import abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from arena.devices import Stopwatch
from arena.errors import ArenaError, OptionError
from arena.models.base import Prediction, Segmenter, needed
from arena.nets.layers import can_multiply_int8
from arena.nets.state import load_state
from arena.quantize import quantize_linears
from arena.weights import load_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from arena.catalog import InputSize, ModelCard
    from arena.nets import BEN2, BiRefNet, U2Net
    from arena.nets.lite import LiteNets
    from arena.photo import Photo

    type Network = BiRefNet | BEN2 | U2Net | LiteNets

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Red, green, blue; of samples from 0 to 1."""
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Red, green, blue; of samples from 0 to 1."""

ENCODED_EARLIER = "The photo was encoded for an earlier prompt; the time is that of this prompt alone."
"""The note of models that keep the last photo's encoding."""

COMPILE_VARIABLE = "ARENA_COMPILE"
"""``1`` hands the network to ``torch.compile``: a minute or more at the first photo, and sometimes quicker after it."""

CPU_DTYPE_VARIABLE = "ARENA_CPU_DTYPE"
"""``float32`` (the default), ``bfloat16`` or ``int8``: quicker on CPUs that multiply it in hardware, and less exact."""

INT8 = "int8"
"""The value that asks for linear layers in 8 bits; all else stays in float32."""

_CPU_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, INT8: torch.float32}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a photo lies in a network's input: its top left corner, the rest being padding."""

    width: int
    """Of the resized photo, in pixels."""
    height: int
    """Of the resized photo, in pixels."""
    padded_width: int
    """Of the input, in pixels."""
    padded_height: int
    """Of the input, in pixels."""


def place(width: int, height: int, size: InputSize) -> Placement:
    """How a photo goes into a network's input.

    A fixed size squashes it to the square: the networks were trained so. A free size keeps its proportions: it is
    shrunk if its longer side is above the maximum, enlarged if its shorter side is below the minimum, and padded to
    what is still missing to the minimum and to the multiple.

    Args:
        width: Of the photo, in pixels.
        height: Of the photo, in pixels.
        size: What the network wants.

    Returns:
        The size of the resized photo and of the input around it.
    """
    if size.side is not None:
        return Placement(size.side, size.side, size.side, size.side)
    shorter, longer = sorted((width, height))
    scale = max(1.0, size.minimum / shorter)
    if size.maximum is not None:
        scale = min(scale, size.maximum / longer)
    resized = tuple(max(1, round(side * scale)) for side in (width, height))
    padded = tuple(-(-max(side, size.minimum) // size.multiple) * size.multiple for side in resized)
    return Placement(*resized, *padded)


def to_input(
    rgb: NDArray[np.uint8], placement: Placement, resample: Image.Resampling, *, white: float | None = 255.0
) -> Tensor:
    """Resize, pad and normalise a photo for a network that was trained with ImageNet's mean and deviation.

    Args:
        rgb: uint8, H x W x 3, sRGB.
        placement: Its size and that of the input.
        resample: The filter that the network's own preparation uses.
        white: The sample value that becomes 1 before normalisation; None for the largest of the resized photo.

    Returns:
        float32, 1 x 3 x padded height x padded width, in channels-last memory.
    """
    resized = np.asarray(Image.fromarray(rgb).resize((placement.width, placement.height), resample))
    rows, columns = placement.padded_height - placement.height, placement.padded_width - placement.width
    if rows or columns:
        # Mirrored pixels go on where the photo ends, so that a body which leaves the frame does not end there and no
        # edge appears that is none; repeated edge pixels would be streaks, which no network has seen.
        resized = np.pad(resized, ((0, rows), (0, columns), (0, 0)), mode="symmetric")
    # torch.tensor copies: Pillow's buffer is read-only.
    pixels = torch.tensor(resized).float()
    if white is None:
        # A black photo has no brightest pixel to be divided by.
        white = max(float(pixels.amax()), _DARKEST)
    pixels.div_(white).sub_(torch.tensor(IMAGENET_MEAN)).div_(torch.tensor(IMAGENET_STD))
    return pixels.permute(2, 0, 1)[None]


def normalise(rgb: NDArray[np.uint8]) -> Tensor:
    """A picture as our own networks want it, here and in training: centred, all channels alike.

    Args:
        rgb: uint8, H x W x 3, sRGB.

    Returns:
        float32, 1 x 3 x H x W, -0.5 to 0.5, in channels-last memory.
    """
    pixels = torch.from_numpy(rgb.astype(np.float32) / np.float32(255) - np.float32(0.5))
    return pixels.permute(2, 0, 1)[None]


_DARKEST = 1e-6
"""Least divisor; rembg's."""


def to_photo(
    alpha: Tensor,
    placement: Placement,
    width: int,
    height: int,
    resample: Image.Resampling = Image.Resampling.BICUBIC,
) -> NDArray[np.float32]:
    """Take a network's matte back to the photo: crop the padding away, resize, clip.

    Resizing is done in float32, so no step of 1/255 appears in the soft parts, and what the filter overshoots at a hard
    edge is cut off at 0 and 1.

    Args:
        alpha: Floating, 1 x 1 x padded height x padded width, 0 to 1.
        placement: What :func:`place` returned for the photo.
        width: Of the photo, in pixels.
        height: Of the photo, in pixels.
        resample: The filter; shrinking averages over all pixels that fall together.

    Returns:
        float32, height x width, in [0, 1].
    """
    inner: NDArray[np.float32] = alpha[0, 0, : placement.height, : placement.width].float().cpu().contiguous().numpy()
    if (placement.width, placement.height) == (width, height):
        return np.clip(inner, 0.0, 1.0)
    resized: NDArray[np.float32] = np.array(Image.fromarray(inner).resize((width, height), resample))
    return np.clip(resized, 0.0, 1.0, out=resized)


def working_dtype(device: str) -> tuple[torch.dtype, tuple[str, ...]]:
    """In which precision a network runs: half on CUDA, single elsewhere, bfloat16 on a CPU whose owner asks for it.

    Single is also that of a network whose linear layers are in 8 bits; see :func:`wants_int8`.

    Args:
        device: A resolved device.

    Returns:
        The data type, and what the user should know of it, one sentence each.

    Raises:
        OptionError: ``ARENA_CPU_DTYPE`` says something else.
    """
    if device.startswith("cuda"):
        return torch.float16, ()
    wanted = os.environ.get(CPU_DTYPE_VARIABLE, "").strip() or "float32"
    if wanted not in _CPU_DTYPES:
        raise OptionError(f"{CPU_DTYPE_VARIABLE} is {wanted!r}.", f"Set it to {' or '.join(_CPU_DTYPES)}.")
    if device != "cpu":
        return torch.float32, ()
    if wanted == "bfloat16" and not cpu_has_bfloat16():
        return torch.float32, ("This CPU has no bfloat16 arithmetic, so it ran in float32.",)
    if wanted == INT8 and not can_multiply_int8():
        return torch.float32, ("This CPU has no 8-bit arithmetic, so it ran in float32.",)
    return _CPU_DTYPES[wanted], ()


def check_finite(values: Tensor, label: str, dtype: torch.dtype, device: str) -> None:
    """Make sure that a network's answer holds numbers only.

    Args:
        values: Its answer.
        label: What users call the model.
        dtype: What it ran in.
        device: Where.

    Raises:
        ArenaError: It does not.
    """
    if not torch.isfinite(values).all():
        raise ArenaError(
            f"{label} does not work on this device: its numbers left the range.",
            "Choose CPU as the device and run it again.",
            f"not finite in {str(dtype).removeprefix('torch.')} on {device}",
        )


def wants_int8(device: str) -> bool:
    """Whether the owner asks for linear layers in 8 bits on a device that is the better for them.

    Args:
        device: A resolved device.
    """
    return device == "cpu" and os.environ.get(CPU_DTYPE_VARIABLE, "").strip() == INT8 and can_multiply_int8()


@contextmanager
def cpu_dtype(name: str) -> Iterator[None]:
    """Load networks as if ``ARENA_CPU_DTYPE`` had a value; for commands, whose process is theirs alone.

    Args:
        name: The value.
    """
    before = os.environ.get(CPU_DTYPE_VARIABLE)
    os.environ[CPU_DTYPE_VARIABLE] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ[CPU_DTYPE_VARIABLE]
        else:
            os.environ[CPU_DTYPE_VARIABLE] = before


def wants_compilation() -> bool:
    """Whether the owner asks for ``torch.compile``.

    Raises:
        OptionError: ``ARENA_COMPILE`` says neither yes nor no.
    """
    wanted = os.environ.get(COMPILE_VARIABLE, "").strip() or "0"
    if wanted not in {"0", "1"}:
        raise OptionError(f"{COMPILE_VARIABLE} is {wanted!r}.", "Set it to 0 or 1.")
    return wanted == "1"


class CompiledNet(nn.Module):
    """A network that ``torch.compile`` has been given, and that goes back to eager mode where that fails.

    It compiles at the first picture of a size, so only then can it be known whether there is a compiler and whether it
    gets along with the network. It does not with weights that oneDNN has laid out ahead: BiRefNet and BEN2 on a CPU
    go back to eager mode.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.note = ""
        """What the user should know, once compiling has failed."""
        self._compiled = torch.compile(net)

    def forward(self, pixels: Tensor, *which: int) -> Tensor:
        """What the network makes of ``pixels``."""
        if not self.note:
            try:
                return cast("Tensor", self._compiled(pixels, *which))
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - compilers fail in every way, and there is another way to go
                self.note = f"torch.compile failed ({type(error).__name__}), so it ran without."
        return cast("Tensor", self.net(pixels, *which))


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware (AVX-512 BF16 or AMX); emulated, it is slower than float32."""
    features = torch.cpu.get_capabilities()
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))


class TorchSegmenter(Segmenter):
    """A segmenter around one of our networks: a normalised picture in, one map of logits or probabilities out."""

    resample: ClassVar[Image.Resampling]
    """Filter from the photo to the network's input."""
    half_precision: ClassVar[bool] = True
    """Whether the network runs in half precision where that is quicker."""

    def __init__(
        self, card: ModelCard, device: str, net: nn.Module, dtype: torch.dtype, notes: tuple[str, ...] = ()
    ) -> None:
        """Wrap a network that is ready to run.

        Args:
            card: The model's card.
            device: A resolved device: where the network is.
            net: The network with its weights, in evaluation mode.
            dtype: Of its floating tensors.
            notes: What the user should know of every result.
        """
        super().__init__(card, device)
        self.net = net
        self.dtype = dtype
        self._notes = notes

    @classmethod
    def load(cls, card: ModelCard, weights: Path | None, device: str) -> Self:
        """Build the network that fits the file, give it the file's tensors, and make it ready.

        Args:
            card: The model's card.
            weights: The verified local file.
            device: A resolved device.

        Returns:
            A segmenter that is ready to run.

        Raises:
            CheckpointError: The file's tensors do not fit the network.
            OptionError: No file was given, or the environment asks for something that does not exist.
        """
        dtype, notes = working_dtype(device) if cls.half_precision else (torch.float32, ())
        # Preparation repacks the weights: nothing may hold the file's own copy beside them.
        net = cls.read(card, needed(card, weights), dtype).to(device)
        part = cls._linear_part(net)
        if part is not None and wants_int8(device):
            quantize_linears(part)
        ready: nn.Module = net.prepare()
        return cls(card, device, CompiledNet(ready) if wants_compilation() else ready, dtype, notes)

    @classmethod
    def read(cls, card: ModelCard, weights: Path, dtype: torch.dtype = torch.float32) -> Network:
        """Build the network that fits a file and give it the file's tensors.

        Args:
            card: The model's card.
            weights: The verified local file.
            dtype: Of its floating tensors, but for those that the network keeps in single precision.

        Returns:
            The network on the CPU, in evaluation mode and before its ``prepare()``.

        Raises:
            CheckpointError: The file's tensors do not fit the network.
        """
        state = cls._unpack(load_tensors(weights))
        with torch.device("meta"):
            net = cls._build(card, state)
        return load_state(net, state, dtype=dtype).eval().requires_grad_(requires_grad=False)

    @staticmethod
    def _unpack(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The network's tensors from those of the file; most files hold them as they are."""
        return state

    @staticmethod
    @abstractmethod
    def _build(card: ModelCard, state: Mapping[str, Tensor]) -> Network:
        """The network that has these tensors, without weights."""

    @staticmethod
    def _linear_part(net: Any) -> nn.Module | None:  # noqa: ARG004 - most have none
        """The part of a network whose linear layers take most of its time; None if 8 bits have nothing to win."""
        return None

    def _run(self, pixels: Tensor, *which: int) -> tuple[Tensor, float]:
        """The forward pass.

        Args:
            pixels: float32, 1 x 3 x H x W, normalised.
            *which: Of a network made of several, the one that looks.

        Returns:
            float32, 1 x 1 x H x W, what the network returns; and the seconds that it took.

        Raises:
            ArenaError: The result holds values that are no numbers.
        """
        # The network itself reduces the precision: parts of it want the picture in full.
        ready = pixels.to(self.device)
        with torch.inference_mode(), Stopwatch(self.device) as watch:
            result: Tensor = self.net(ready, *which)
        # A matte of NaN would look like a picture without anybody in it.
        check_finite(result, self.card.label, self.dtype, self.device)
        if isinstance(self.net, CompiledNet) and self.net.note and self.net.note not in self._notes:
            self._notes += (self.net.note,)
        return result, watch.seconds

    @abstractmethod
    def _predict(self, photo: Photo, **prompts: Any) -> Prediction:
        """Run the model; called with the lock held."""
