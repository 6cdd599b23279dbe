"""Depth from a single photo, for a blur that grows with distance."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self, cast

import numpy as np
import torch
from PIL import Image

from arena.catalog import DEPTH_MODEL, get_card
from arena.devices import AUTO, Stopwatch
from arena.models.base import Model, needed
from arena.models.pool import check_gives_depth, default_pool
from arena.models.torch_base import Placement, check_finite, to_input, working_dtype
from arena.nets.depth import load_depth_anything
from arena.photo import size_within
from arena.weights import load_tensors

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from numpy.typing import NDArray

    from arena.catalog import InputSize, ModelCard
    from arena.models.pool import ModelPool
    from arena.nets.depth import DepthAnything
    from arena.photo import Photo
    from arena.weights import ProgressCallback


class Depth(NamedTuple):
    """What a network says of a photo."""

    map: NDArray[np.float32]
    """Relative inverse depth, h x w of about the network's size; larger is nearer."""
    seconds: float
    """The forward pass alone, device-synchronised."""


class DepthEstimator(Model):
    """Depth Anything V2: a photo in, a map of relative inverse depth out."""

    def __init__(self, card: ModelCard, device: str, net: DepthAnything) -> None:
        """Wrap a network that is ready to run.

        Args:
            card: The model's card.
            device: A resolved device: where the network is.
            net: The network with its weights.
        """
        super().__init__(card, device)
        self.net = net

    @classmethod
    def load(cls, card: ModelCard, weights: Path | None, device: str) -> Self:
        """Build the network and give it the file's tensors.

        Args:
            card: The model's card.
            weights: The verified local file.
            device: A resolved device.

        Returns:
            An estimator that is ready to run.

        Raises:
            CheckpointError: The file's tensors do not fit the network.
            OptionError: No file was given.
        """
        dtype, _ = working_dtype(device)
        return cls(card, device, load_depth_anything(load_tensors(needed(card, weights)), dtype=dtype).to(device))

    def estimate(self, photo: Photo) -> Depth:
        """Say how near everything in a photo is.

        Args:
            photo: The photo, upright and in sRGB.

        Returns:
            The map, and the seconds that it took.

        Raises:
            OutOfMemoryError: The photo does not fit the device.
            ArenaError: The result holds values that are no numbers.
        """
        return self._run_alone(lambda: self._estimate(photo))

    def _estimate(self, photo: Photo) -> Depth:
        placement = depth_placement(photo.width, photo.height, self.card.input_size)
        pixels = to_input(photo.rgb, placement, Image.Resampling.BICUBIC).to(self.device)
        with torch.inference_mode(), Stopwatch(self.device) as watch:
            nearness = self.net(pixels)
        check_finite(nearness, self.card.label, self.net.dtype, self.device)
        depth = np.ascontiguousarray(nearness[0, 0].float().cpu().numpy(), dtype=np.float32)
        return Depth(_in_proportion(depth, photo), watch.seconds)


def _in_proportion(depth: NDArray[np.float32], photo: Photo) -> NDArray[np.float32]:
    """The map with the photo's proportions, which whole patches have not, and not larger than the photo."""
    size = size_within(photo.height, photo.width, max(depth.shape))
    return np.array(Image.fromarray(depth).resize(size, Image.Resampling.BILINEAR))


def depth_placement(width: int, height: int, size: InputSize) -> Placement:
    """The size at which the network looks at a photo: as its own preparation has it.

    Of the two scales that bring a side to the least that the network wants, the one nearer to 1 is taken: a large photo
    is shrunk to its shorter side, a small one enlarged to its longer. Sides are rounded to whole patches, and the photo
    fills all of it. What a panorama has beyond the largest is squashed, or the attention over it would take its square
    in memory.

    Args:
        width: Of the photo, in pixels.
        height: Of the photo, in pixels.
        size: What the network wants.

    Returns:
        The size of the input, without padding.
    """
    scale = min((size.minimum / height, size.minimum / width), key=lambda scale: abs(1 - scale))
    longest = size.maximum or max(width, height)
    wide, high = (
        min(max(1, round(length * scale / size.multiple)) * size.multiple, longest) for length in (width, height)
    )
    return Placement(wide, high, wide, high)


def estimate_depth(
    photo: Photo,
    model: str = DEPTH_MODEL,
    *,
    device: str = AUTO,
    progress: ProgressCallback | None = None,
    cancel: threading.Event | None = None,
    pool: ModelPool | None = None,
) -> Photo:
    """Find out how far everything in a photo is, for ``Finish(distance="depth")``.

    Args:
        photo: The photo.
        model: Key of a model that gives depth; it is downloaded on first use.
        device: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"`` or ``"cuda:N"``.
        progress: Told of the download's progress.
        cancel: Stops the download when set.
        pool: Where it is loaded; by default the one that everything shares.

    Returns:
        The photo with its depth, ``photo.depth``: a coarse map, of about the network's size.

    Raises:
        OptionError: The model gives no depth.
        ArenaError: As :meth:`arena.models.pool.ModelPool.get`, and as :meth:`DepthEstimator.estimate`.
    """
    return photo.with_depth(load_depth(model, device, progress=progress, cancel=cancel, pool=pool).estimate(photo).map)


def load_depth(
    key: str = DEPTH_MODEL,
    device: str = AUTO,
    *,
    progress: ProgressCallback | None = None,
    cancel: threading.Event | None = None,
    pool: ModelPool | None = None,
) -> DepthEstimator:
    """Load a model that gives depth, or get the one that is loaded.

    Args:
        key: Its key.
        device: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"`` or ``"cuda:N"``.
        progress: Told of the download's progress.
        cancel: Stops the download when set.
        pool: Where it is loaded; by default the one that everything shares.

    Returns:
        An estimator, shared with all other callers.

    Raises:
        OptionError: The model gives no depth.
        ArenaError: As :meth:`arena.models.pool.ModelPool.get`.
    """
    check_gives_depth(get_card(key))
    model = (pool or default_pool()).get(key, device, progress=progress, cancel=cancel).model
    return cast("DepthEstimator", model)
