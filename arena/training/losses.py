"""Losses that recipes share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import kornia.filters
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor


def dice_loss(alpha: Tensor, truth: Tensor, smooth: float = 64.0) -> Tensor:
    """One less the overlap of two soft masks, averaged over the batch.

    Milletari et al., "V-Net", 3DV 2016.

    Args:
        alpha: N x 1 x H x W, 0 to 1.
        truth: The same.
        smooth: Added to both halves of the fraction, in pixels: about a thousandth of a picture. It decides only where
            hardly anybody is.

    Returns:
        Scalar, 0 (the same) to 1 (nothing in common); two empty masks are the same.
    """
    common = (alpha * truth).flatten(1).sum(1)
    whole = (alpha**2 + truth**2).flatten(1).sum(1)
    return (1 - (2 * common + smooth) / (whole + smooth)).mean()


def boundary_loss(alpha: Tensor, truth: Tensor, inside: Tensor, smooth: float = 64.0) -> Tensor:
    """One less the overlap of the edges of two soft masks, as Sobel's operator sees them, averaged over the batch.

    An overlap, because a mean over all pixels would hardly notice the few that are edge.

    Args:
        alpha: N x 1 x H x W, 0 to 1.
        truth: The same.
        inside: N x 1 x H x W, 1 where the picture is and 0 where it was padded. Edges next to the padding do not count.
        smooth: As for :func:`dice_loss`.

    Returns:
        Scalar, 0 (the same edges) to 1 (none in common).
    """
    counted = 1 - F.max_pool2d(1 - inside, kernel_size=3, stride=1, padding=1)
    return dice_loss(kornia.filters.sobel(alpha) * counted, kornia.filters.sobel(truth) * counted, smooth)
