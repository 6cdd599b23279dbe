"""Changes of a picture and its mask together, made by kornia on the device that trains.

What is to be changed is drawn beforehand, by a generator that belongs to the picture and the step: kornia's own random
augmentations draw from the generator of the whole process, which other threads draw from too, so no run could be
repeated. Its operators, to which the numbers are given, are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import kornia.enhance
import kornia.geometry
import numpy as np
import torch
from torch import Tensor

from arena.errors import OptionError
from arena.training.pictures import check_fraction


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """How often and how far pictures are changed. All 0: not at all."""

    flip: float = 0.5
    """Probability of a mirrored picture."""
    turn: float = 8.0
    """Largest turn to either side, in degrees, up to 180."""
    zoom: float = 0.2
    """Largest enlargement, and reduction, as a share."""
    shift: float = 0.05
    """Largest shift in each direction, as a share of the picture's sides."""
    light: float = 0.25
    """Largest change of brightness and of contrast, as a share."""
    colour: float = 0.4
    """Largest change of saturation, as a share."""
    grey: float = 0.1
    """Probability of a picture without colour."""

    def __post_init__(self) -> None:
        for item in fields(self):
            if item.name != "turn":
                check_fraction(item.name, getattr(self, item.name))
        if not 0 <= self.turn <= 180:
            raise OptionError(f"turn is {self.turn:g} degrees: it must be from 0 to 180.")


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to one picture."""

    mirror: bool = False
    angle: float = 0.0
    """Degrees, clockwise."""
    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    """To the right and down, as shares of the picture's sides."""
    light: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Brightness, contrast and saturation."""

    @classmethod
    def draw(cls, chance: np.random.Generator, settings: AugmentSettings) -> Change:
        """Make one up.

        Args:
            chance: Where all chance comes from.
            settings: How far it may go.
        """
        mirror = bool(chance.random() < settings.flip)
        angle = chance.uniform(-settings.turn, settings.turn)
        zoom = np.exp(chance.uniform(-1, 1) * np.log1p(settings.zoom))
        shift = chance.uniform(-settings.shift, settings.shift, 2)
        brightness, contrast = 1 + chance.uniform(-settings.light, settings.light, 2)
        saturation = 1 + chance.uniform(-settings.colour, settings.colour)
        if chance.random() < settings.grey:
            saturation = 0.0
        return cls(
            mirror,
            float(angle),
            float(zoom),
            (float(shift[0]), float(shift[1])),
            (float(brightness), float(contrast), float(saturation)),
        )

    def matrix(self, width: int, height: int) -> Tensor:
        """Where the centres of pixels go.

        Args:
            width: Of the picture, in pixels.
            height: Of the picture, in pixels.

        Returns:
            float32, 3 x 3, for columns (x, y, 1); it turns and zooms about the picture's middle.
        """
        mirror = torch.eye(3)
        if self.mirror:
            mirror[0] = torch.tensor([-1.0, 0.0, width - 1.0])
        affine = kornia.geometry.get_affine_matrix2d(
            translations=torch.tensor([[self.shift[0] * width, self.shift[1] * height]]),
            center=torch.tensor([[(width - 1) / 2, (height - 1) / 2]]),
            scale=torch.full((1, 2), self.zoom),
            angle=torch.tensor([self.angle]),
        )
        return affine[0] @ mirror

    def move_points(self, points: Tensor, width: int, height: int) -> Tensor:
        """Where points go.

        Args:
            points: float32, N x 2: x and y in pixels, from the picture's corner.
            width: Of the picture, in pixels.
            height: Of the picture, in pixels.

        Returns:
            The same, float32, N x 2; they may leave the picture.
        """
        if not len(points):
            return points
        # From its corner, a pixel's centre lies at a half.
        moved: Tensor = kornia.geometry.transform_points(self.matrix(width, height)[None], points[None] - 0.5)
        return moved[0] + 0.5

    def move_box(self, box: Tensor, width: int, height: int) -> Tensor:
        """Where a box goes: it moves and grows with the picture, but stays upright, as one around a turned face does.

        Args:
            box: float32, 4: left, top, right and bottom in pixels, from the picture's corner.
            width: Of the picture, in pixels.
            height: Of the picture, in pixels.

        Returns:
            The same, float32, 4; it may leave the picture.
        """
        centre = self.move_points((box[None, :2] + box[None, 2:]) / 2, width, height)[0]
        half = (box[2:] - box[:2]) * self.zoom / 2
        return torch.cat([centre - half, centre + half])


UNCHANGED = Change()
MIRRORED = Change(mirror=True)


def apply_changes(pictures: Tensor, matrices: Tensor, lights: Tensor) -> tuple[Tensor, Tensor]:
    """Move pictures and masks, and light the pictures.

    Args:
        pictures: uint8, N x 4 x H x W: RGB and alpha.
        matrices: float32, N x 3 x 3: where the centres of pixels go. Beyond the border its outermost pixels go on.
        lights: float32, N x 3: brightness, contrast and saturation.

    Returns:
        float32, 0 to 1: RGB, N x 3 x H x W, and alpha, N x 1 x H x W.
    """
    scaled = pictures.float() / 255
    height, width = pictures.shape[2:]
    moved: Tensor = kornia.geometry.warp_affine(scaled, matrices[:, :2], (height, width), padding_mode="border")
    rgb, alpha = moved[:, :3], moved[:, 3:]
    brightness, contrast, saturation = lights.unbind(1)
    rgb = kornia.enhance.adjust_brightness_accumulative(rgb, brightness)
    rgb = kornia.enhance.adjust_contrast_with_mean_subtraction(rgb, contrast)
    rgb = kornia.enhance.adjust_saturation_with_gray_subtraction(rgb, saturation)
    return rgb, alpha
