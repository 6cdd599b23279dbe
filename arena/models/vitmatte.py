"""ViTMatte: alpha where a trimap leaves it open, for the edge of any model's matte."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Self, cast

import numpy as np
import torch
from torch.nn.functional import pad

from arena.catalog import MATTING_MODEL, get_card
from arena.devices import AUTO
from arena.models.base import Model, needed
from arena.models.pool import default_pool
from arena.models.torch_base import check_finite
from arena.nets.vitmatte import MULTIPLE, load_vitmatte
from arena.weights import load_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from arena.catalog import ModelCard
    from arena.models.pool import ModelPool
    from arena.nets.vitmatte import ViTMatte

    FloatArray = NDArray[np.float64]


KEPT_SOLUTIONS = 8
"""Solutions that are kept, of a few megabytes each: the steps that follow the matting are tried out one after another,
and on a CPU a solution takes seconds."""


class MattingNetwork(Model):
    """ViTMatte with its weights: a photo and a trimap in, alpha out."""

    def __init__(self, card: ModelCard, device: str, net: ViTMatte) -> None:
        """Wrap a network that is ready to run.

        Args:
            card: The model's card.
            device: A resolved device: where the network is.
            net: The network with its weights.
        """
        super().__init__(card, device)
        self.net = net
        self._solutions: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()

    @classmethod
    def load(cls, card: ModelCard, weights: Path | None, device: str) -> Self:
        """Build the network and give it the file's tensors.

        It runs in single precision everywhere: alpha is asked for to the hundredth.

        Args:
            card: The model's card.
            weights: The verified local file.
            device: A resolved device.

        Returns:
            A network that is ready to run.

        Raises:
            CheckpointError: The file's tensors do not fit the network.
            OptionError: No file was given.
        """
        return cls(card, device, load_vitmatte(load_tensors(needed(card, weights))).to(device))

    def solve(self, photo: FloatArray, trimap: FloatArray) -> FloatArray:
        """Find alpha; what :func:`arena.refine.refine` wants for its matting.

        Args:
            photo: H x W x 3, 0 to 1, sRGB.
            trimap: H x W: 0 background, 1 foreground, 0.5 unknown.

        Returns:
            H x W, 0 to 1.

        Raises:
            OutOfMemoryError: It does not fit the device.
            ArenaError: The result holds values that are no numbers.
        """
        return self._run_alone(lambda: self._kept(photo, trimap)).astype(np.float64)

    def _kept(self, photo: FloatArray, trimap: FloatArray) -> NDArray[np.float32]:
        """The solution, from those that are kept if it is among them; called with the lock held."""
        digest = hashlib.blake2b(np.ascontiguousarray(photo).data)
        digest.update(repr(trimap.shape).encode())
        digest.update(np.ascontiguousarray(trimap).data)
        key = digest.digest()
        if key not in self._solutions:
            self._solutions[key] = self._solve(photo, trimap).astype(np.float32)
            if len(self._solutions) > KEPT_SOLUTIONS:
                self._solutions.popitem(last=False)
        self._solutions.move_to_end(key)
        return self._solutions[key]

    def _solve(self, photo: FloatArray, trimap: FloatArray) -> FloatArray:
        height, width = trimap.shape
        # A trimap's unknown is 128 of 255.
        known = np.where(trimap == 0.5, 128 / 255, trimap)
        stacked = np.concatenate([photo * 2 - 1, known[..., None]], axis=2).astype(np.float32)
        pixels = torch.from_numpy(stacked).permute(2, 0, 1)[None].to(self.device)
        with torch.inference_mode():
            alpha = self.net(pad(pixels, (0, -width % MULTIPLE, 0, -height % MULTIPLE)))
        check_finite(alpha, self.card.label, self.net.dtype, self.device)
        return np.asarray(alpha[0, 0, :height, :width].float().cpu().numpy(), np.float64)


def load_matting(key: str = MATTING_MODEL, device: str = AUTO, *, pool: ModelPool | None = None) -> MattingNetwork:
    """Load the matting network, or get the one that is loaded.

    Args:
        key: Its key.
        device: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"`` or ``"cuda:N"``.
        pool: Where it is loaded; by default the one that everything shares.

    Returns:
        The network, shared with all other callers.

    Raises:
        ArenaError: As :meth:`arena.models.pool.ModelPool.get`.
    """
    return cast("MattingNetwork", (pool or default_pool()).get(get_card(key).key, device).model)
