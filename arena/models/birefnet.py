"""BiRefNet and RMBG 2.0: preparation and interpretation around ``arena.nets.BiRefNet``.

Peng Zheng et al., "Bilateral Reference for High-Resolution Dichotomous Image Segmentation", 2024, arXiv:2401.03407.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image

from arena.errors import CheckpointError, OptionError
from arena.models.base import Prediction
from arena.models.torch_base import TorchSegmenter, place, to_input, to_photo
from arena.nets import BiRefNet
from arena.nets.swin import SWIN_CONFIGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from arena.catalog import ModelCard
    from arena.nets.birefnet import BackboneName
    from arena.photo import Photo

_STEM = "bb.patch_embed.proj.weight"
"""The backbone's first convolution; its width says which Swin Transformer it is."""
_BACKBONES: dict[int, BackboneName] = {96: "swin_v1_t", 192: "swin_v1_l"}


class BiRefNetSegmenter(TorchSegmenter):
    """Bilinear to the card's square or, for the dynamic models, at the photo's own shape; the sigmoid is the alpha."""

    resample = Image.Resampling.BILINEAR

    @staticmethod
    def _build(card: ModelCard, state: Mapping[str, Tensor]) -> BiRefNet:
        if card.patch_order is None:
            raise OptionError(f"The card of {card.label} does not say in which order its image patches are stacked.")
        backbone = _BACKBONES.get(state[_STEM].shape[0]) if _STEM in state else None
        if backbone is None:
            raise CheckpointError(
                f"The tensors are not a BiRefNet's: {_STEM} is missing or of a width other than "
                f"{' or '.join(map(str, _BACKBONES))}.",
                CheckpointError.ADVICE,
            )
        return BiRefNet(backbone, patch_order=card.patch_order)

    @staticmethod
    def _linear_part(net: BiRefNet) -> nn.Module | None:
        # Behind the tiny backbone the decoder takes most of the time.
        return net.bb if net.bb.config == SWIN_CONFIGS["swin_v1_l"] else None

    def _predict(self, photo: Photo, **prompts: Any) -> Prediction:  # noqa: ARG002 - it takes none
        placement = place(photo.width, photo.height, self.card.input_size)
        logits, seconds = self._run(to_input(photo.rgb, placement, self.resample))
        alpha = to_photo(logits.sigmoid(), placement, photo.width, photo.height)
        return Prediction(alpha, seconds, self._notes)
