"""The hair refiner: a U-Net of one level that follows strands where a coarse outline cannot.

It sees the photo and the logits of a coarse mask, and says what to add to them (Ronneberger et al., "U-Net", MICCAI
2015, with one level). Below, at half the size, convolutions with holes look as far as strands reach (Yu and Koltun,
"Multi-Scale Context Aggregation by Dilated Convolutions", ICLR 2016). It is told one thing that it would need more
pictures to learn: where a pixel's colour lies between those that the mask has around it inside and outside.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FINE = 12
"""Channels at the picture's own size."""
COARSE = 24
"""Channels at half of it."""
DILATIONS = (1, 2, 4, 8)
"""Distances between the samples of the coarse level's convolutions."""
MULTIPLE = 2
"""Sides of the input are multiples of this."""
LIMIT = 4.0
"""Logits beyond this say no more than that the coarse mask is sure."""


_CELL, _WINDOW = 8, 7
"""Colours are averaged over cells of so many pixels' side, and over a window of so many cells' side."""
_SEEN = 0.02
"""Share of a window that is enough of one side to know its colour."""
_SAME_COLOUR = 1e-3
"""Squared distance of two colours that can hardly be told apart."""
_NOTHING = 1e-4


class HairNet(nn.Module):
    """Photo and coarse logits in, finer logits out; 28 thousand parameters."""

    def __init__(self) -> None:
        """Build it with random weights, at which it changes nothing."""
        super().__init__()
        self.fine = nn.Conv2d(6, FINE, 3, padding=1)
        self.down = nn.Conv2d(FINE, COARSE, 3, stride=2, padding=1)
        self.context = nn.ModuleList(nn.Conv2d(COARSE, COARSE, 3, padding=step, dilation=step) for step in DILATIONS)
        # Four values a cell are the four pixels of it (Shi et al., "ESPCN", CVPR 2016).
        self.up = nn.Conv2d(COARSE, 4 * FINE, 1)
        self.mix = nn.Conv2d(2 * FINE, FINE, 3, padding=1)
        self.head = nn.Conv2d(FINE, 1, 3, padding=1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    def forward(self, rgb: Tensor, logits: Tensor) -> Tensor:
        """Logits of the finer matte.

        Args:
            rgb: float, N x 3 x H x W, -0.5 to 0.5; H and W are even.
            logits: float, N x 1 x H x W: those of the coarse mask.

        Returns:
            N x 1 x H x W; a sigmoid makes them alpha.
        """
        known = logits.clamp(-LIMIT, LIMIT)
        told = torch.cat([rgb, known / LIMIT, colour_cue(rgb, known / LIMIT)], dim=1)
        fine = F.relu(self.fine(told))
        coarse = F.relu(self.down(fine))
        for look in self.context:
            coarse = coarse + F.relu(look(coarse))
        risen = F.relu(F.pixel_shuffle(self.up(coarse), 2))
        delta: Tensor = self.head(F.relu(self.mix(torch.cat([fine, risen], dim=1))))
        return known + delta


def colour_cue(rgb: Tensor, sureness: Tensor) -> Tensor:
    """Where each pixel's colour lies between the mean colours of what surely is subject and background around it.

    Args:
        rgb: float, N x 3 x H x W, -0.5 to 0.5.
        sureness: float, N x 1 x H x W: 1 surely subject, -1 surely background, 0 unknown.

    Returns:
        N x 2 x H x W: 0 for the background's colour to 1 for the subject's, a little beyond at most, and one half where
        either is not around; and how far apart both colours are, from 0.
    """
    inside, seen_inside = _mean_around(rgb, sureness.clamp_min(0))
    outside, seen_outside = _mean_around(rgb, (-sureness).clamp_min(0))
    way = inside - outside
    squared = way.square().sum(dim=1, keepdim=True)
    both = (seen_inside.clamp(max=_SEEN) * seen_outside.clamp(max=_SEEN)) / _SEEN**2
    at = ((rgb - outside) * way).sum(dim=1, keepdim=True) / (squared + _SAME_COLOUR)
    return torch.cat([0.5 + both * (at.clamp(-0.5, 1.5) - 0.5), both * squared.sqrt()], dim=1)


def _mean_around(rgb: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The weighted mean colour in a window of seven cells of eight pixels, N x 3 x H x W; and the mean weight."""
    cells = F.avg_pool2d(torch.cat([rgb * weight, weight], dim=1), _CELL, ceil_mode=True)
    around = F.avg_pool2d(cells, _WINDOW, stride=1, padding=_WINDOW // 2, count_include_pad=False)
    sums = F.interpolate(around, rgb.shape[2:], mode="bilinear", align_corners=False)
    return sums[:, :3] / (sums[:, 3:] + _NOTHING), sums[:, 3:]
