"""U²-Net, its human segmentation weights and its small variant.

Xuebin Qin et al., "U²-Net: Going Deeper with Nested U-Structure for Salient Object Detection", Pattern Recognition 106,
2020, arXiv:2005.09007.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from arena.errors import CheckpointError
from arena.models.base import Prediction
from arena.models.torch_base import TorchSegmenter, place, to_input, to_photo
from arena.nets import U2Net
from arena.refine.options import RefineOptions, refine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from arena.catalog import ModelCard
    from arena.photo import Photo

_WIDTH = "stage1.rebnconv1.conv_s1.weight"
"""A convolution that is 32 channels wide in the full network and 16 in the small one."""
_VARIANTS: dict[int, Literal["full", "small"]] = {16: "small", 32: "full"}


class U2NetSegmenter(TorchSegmenter):
    """Lanczos to 320 x 320, divided by the brightest sample as in the original.

    The original stretches each map to the full range, so that the noise of an empty scene becomes a mask. Here the
    probabilities stay as they are: whether anybody is there is decided on the raw map, a map below the threshold is not
    refined, and none is stretched. The edge is refined at the photo's size where that is asked for: the original
    program's steps are the preset ``u2net-classic``.
    """

    resample = Image.Resampling.LANCZOS
    # At 320 x 320 there is little time to win.
    half_precision = False

    prompts = frozenset({"refinement"})

    @staticmethod
    def _build(card: ModelCard, state: Mapping[str, Tensor]) -> U2Net:  # noqa: ARG004 - the tensors tell
        variant = _VARIANTS.get(state[_WIDTH].shape[0]) if _WIDTH in state else None
        if variant is None:
            raise CheckpointError(
                f"The tensors are not a U²-Net's: {_WIDTH} is missing or of a width other than "
                f"{' or '.join(map(str, _VARIANTS))}.",
                CheckpointError.ADVICE,
            )
        return U2Net(variant)

    def _predict(
        self,
        photo: Photo,
        *,
        refinement: RefineOptions | None = None,
        **prompts: Any,  # noqa: ARG002
    ) -> Prediction:
        """Find what stands out.

        Args:
            photo: The photo.
            refinement: What is done to the matte, in lengths for a photo of 1000 pixels; None leaves the network's.
            **prompts: Nothing else: the base class has looked.

        Returns:
            The matte.
        """
        placement = place(photo.width, photo.height, self.card.input_size)
        saliency, seconds = self._run(to_input(photo.rgb, placement, self.resample, white=None))
        alpha = to_photo(saliency, placement, photo.width, photo.height)
        peak = float(saliency.max())
        if refinement is not None and peak > self.card.presence_threshold:
            alpha = refine(alpha, photo.rgb, refinement)
        return Prediction(alpha, seconds, self._notes, peak=peak)
