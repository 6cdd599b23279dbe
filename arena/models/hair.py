"""Hair for coarse masks: a small network of our own follows the strands beyond their outline.

SAM's outline is solid, and Arena Lite's a soft halo. The network sees the photo and the logits at the size of SAM's own
input and changes the matte near the outline alone. What it says is then brought to the photo's size along the photo's
own edges.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Self

import cv2
import numpy as np
import torch

from arena.errors import OptionError
from arena.models.torch_base import normalise
from arena.nets.hair import MULTIPLE, HairNet
from arena.nets.state import load_state
from arena.photo import size_within
from arena.refine.guided import guided_upsample
from arena.weights import load_tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]
    Pixels = NDArray[np.uint8]

WEIGHTS = Path(__file__).parents[1] / "boxed" / "hair" / "hair.safetensors"
"""In the package."""
SIDE = 1024
"""Longest side in pixels at which the network works: that of SAM's input, a quarter of which are its masks."""
REACH = 32.0
"""How far from the coarse outline the matte is changed, in pixels of ``SIDE``."""
FADE = 8.0
"""Over how many of these the change begins, so that no seam shows."""
EDGE_RADIUS = 1
"""Half width of the guided filter's window that enlarges the matte, in pixels of ``SIDE``."""
EDGE_EPSILON = 1e-4
"""Colour variance, for samples from 0 to 1, that it takes for noise."""


class HairRefiner:
    """The network with its weights. Any number of threads may share one."""

    def __init__(self, net: HairNet, device: str = "cpu") -> None:
        """Wrap a network.

        Args:
            net: The network.
            device: A resolved device, to which it is moved.
        """
        self.net = net.eval().requires_grad_(requires_grad=False).to(device).to(memory_format=torch.channels_last)
        self.device = device

    @classmethod
    def load(cls, weights: Path | None = None, device: str = "cpu") -> Self:
        """Read the weights.

        Args:
            weights: A file of the same network, for instance one trained here; None for the one in the box.
            device: A resolved device.

        Returns:
            A refiner that is ready to run.

        Raises:
            CheckpointError: The file's tensors do not fit the network.
        """
        with torch.device("meta"):
            net = HairNet()
        return cls(load_state(net, load_tensors(weights or WEIGHTS)), device)

    def refine(self, logits: FloatArray, rgb: Pixels) -> FloatArray:
        """Make a matte of a coarse mask.

        Args:
            logits: float32, H x W: SAM's mask logits at the photo's size, above 0 where the subject is.
            rgb: The photo, uint8, H x W x 3, sRGB.

        Returns:
            float32, H x W, 0 to 1; farther from the mask's outline than ``REACH`` it is the mask.

        Raises:
            OptionError: The sizes differ.
        """
        if logits.shape != rgb.shape[:2]:
            raise OptionError(f"Logits of {logits.shape} are not those of a photo of {rgb.shape[:2]}.")
        height, width = logits.shape
        size = size_within(height, width, SIDE)
        small, coarse = (np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA)) for part in (rgb, logits))
        alpha = self.refine_small(coarse.astype(np.float32), small.astype(np.uint8))
        return enlarge(alpha, rgb)

    def refine_small(self, logits: FloatArray, rgb: Pixels) -> FloatArray:
        """The same at the network's size.

        Args:
            logits: float32, h x w.
            rgb: uint8, h x w x 3.

        Returns:
            float32, h x w, 0 to 1.
        """
        mask = (logits > 0).astype(np.float32)
        trust = near_outline(mask)
        rows, columns = np.flatnonzero(trust.any(axis=1)), np.flatnonzero(trust.any(axis=0))
        if not rows.size:
            return mask
        part = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
        mask[part] += trust[part] * (self._run(logits[part], rgb[part]) - mask[part])
        return mask

    @torch.inference_mode()
    def _run(self, logits: FloatArray, rgb: Pixels) -> FloatArray:
        height, width = logits.shape
        edge = ((0, -height % MULTIPLE), (0, -width % MULTIPLE))
        pixels = normalise(np.pad(rgb, (*edge, (0, 0)), mode="edge")).to(self.device)
        coarse = torch.from_numpy(np.pad(logits, edge, mode="edge"))[None, None].to(self.device)
        alpha = self.net(pixels, coarse).sigmoid()[0, 0, :height, :width]
        return np.asarray(alpha.float().cpu().numpy(), dtype=np.float32)


def near_outline(mask: FloatArray) -> FloatArray:
    """How much of each pixel the network decides.

    Args:
        mask: float32, h x w, 0 or 1.

    Returns:
        float32, h x w: 1 at the outline, falling to 0 at ``REACH``; 0 everywhere if there is no outline.
    """
    inside = mask.astype(np.uint8)
    if inside.min() == inside.max():
        return np.zeros_like(mask)
    distance = sum(np.asarray(cv2.distanceTransform(side, cv2.DIST_L2, 3)) for side in (inside, 1 - inside))
    return np.asarray(np.clip((REACH - distance) / FADE, 0, 1), dtype=np.float32)


@functools.cache
def default_refiner() -> HairRefiner:
    """The refiner that all callers share: on the CPU, with the weights in the box, loaded on the first call."""
    return HairRefiner.load()


def enlarge(alpha: FloatArray, rgb: Pixels) -> FloatArray:
    """Bring what the network says to the photo's size, along the photo's own edges.

    Args:
        alpha: float32, h x w, 0 to 1.
        rgb: The photo, uint8, H x W x 3, sRGB.

    Returns:
        float32, H x W, 0 to 1; ``alpha`` itself if it has the photo's size.
    """
    if alpha.shape == rgb.shape[:2]:
        return alpha
    return guided_upsample(alpha, rgb, radius=EDGE_RADIUS, epsilon=EDGE_EPSILON)


def refine_hair(logits: FloatArray, rgb: Pixels) -> FloatArray:
    """Make a matte of a coarse mask with the shared refiner; see :meth:`HairRefiner.refine`."""
    return default_refiner().refine(logits, rgb)
