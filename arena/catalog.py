"""The model cards: data about every model this project knows, and how to ask for it.

Repositories, revisions, sizes and checksums were read from public model pages up to August 2026. A revision is a pin:
changing one is a deliberate edit of this file.
"""

from __future__ import annotations

import difflib
import fnmatch
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from arena.errors import OptionError, UnknownModelError
from arena.matte import PRESENCE_THRESHOLD, MatteKind

PatchOrder = Literal["legacy", "current"]
RepoType = Literal["model", "space"]


class Task(StrEnum):
    """What a model needs beside the photo, and what it gives."""

    PORTRAIT = "portrait"
    """Photo in, matte out."""
    PROMPTED = "prompted"
    """Needs boxes or points on the photo."""
    TRIMAP = "trimap"
    """Refines a matte it is given."""
    DEPTH = "depth"
    """Gives relative depth, not a matte."""


@dataclass(frozen=True, slots=True)
class InputSize:
    """What a network wants its input's sides to be. Either fixed, or free within limits."""

    side: int | None = None
    """A fixed square of this side, in pixels, to which the photo is squashed; None if the size is free."""
    multiple: int = 1
    """A free size has sides that are a multiple of this."""
    minimum: int = 1
    """Least side of a free size, in pixels."""
    maximum: int | None = None
    """Largest side of a free size, in pixels."""

    def __post_init__(self) -> None:
        if self.side is not None and self.side % self.multiple:
            raise OptionError(f"A fixed side of {self.side} px is no multiple of {self.multiple} px.")
        if self.maximum is not None and self.maximum < self.minimum:
            raise OptionError(f"The largest side, {self.maximum} px, is below the least, {self.minimum} px.")

    def __str__(self) -> str:
        if self.side is not None:
            return f"{self.side} x {self.side}"
        if self.maximum is None:
            return "the photo's own"
        return f"the photo's own, {self.minimum} to {self.maximum} px"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """All that is known of a model before it is loaded."""

    key: str
    """What users type."""
    label: str
    """What users read."""
    family: str
    """Models of a family share architecture and adapter."""
    task: Task
    """What it needs and gives."""
    summary: str
    """Where it is good and where it is bad, in a sentence or two."""
    training_data: str
    """What it was trained on: a score on those pictures is not a test."""
    licence: str
    """Name of the weights' licence."""
    commercial: bool
    """Whether that licence allows commercial use."""
    mask_kind: MatteKind
    """How soft its mattes are."""
    adapter: str = ""
    """``module:class`` of the segmenter that runs it; empty while this build has none."""
    repository: str = ""
    """``owner/name`` on the model hub; empty if nothing is downloaded."""
    repo_type: RepoType = "model"
    """Which kind of repository that is."""
    revision: str = ""
    """The pinned commit."""
    file: str = ""
    """Path of the weights inside the repository."""
    bytes: int = 0
    """Size of that file; where there is no checksum, an estimate."""
    sha256: str | None = None
    """Checksum of that file; None: the hub's own (its ETag) is verified instead."""
    gated: bool = False
    """The hub wants an account that has accepted the licence."""
    input_size: InputSize = InputSize()
    """What the network wants."""
    presence_threshold: float = PRESENCE_THRESHOLD
    """Largest alpha at or below which nobody is in the picture."""
    needs_feather: bool = False
    """Its mattes have hard edges, which are softened before compositing."""
    patch_order: PatchOrder | None = None
    """BiRefNet family: in which order the decoder's image patches are stacked (see ``arena.nets.BiRefNet``)."""

    text_prompt: bool = False
    """It looks for what a text names (``segment(photo, prompt="person")``)."""
    box_prompt: bool = False
    """It looks where boxes are drawn (``segment(photo, boxes=[(10, 20, 300, 400)])``)."""
    point_prompt: bool = False
    """It looks where points are set (``segment(photo, points=[(120, 80)], labels=[1])``)."""
    hair_prompt: bool = False
    """It can follow strands of hair beyond its own outline (``segment(photo, hair=True)``)."""

    @property
    def needs_download(self) -> bool:
        """Whether weights have to come from the hub; else everything is in the box."""
        return bool(self.repository)

    @property
    def available(self) -> bool:
        """Whether this build can run it."""
        return bool(self.adapter)

    @property
    def licence_notice(self) -> str:
        """What to be told before the weights are downloaded; empty if there is nothing to mind."""
        if self.commercial:
            return ""
        return f"{self.label} is licensed under {self.licence}: no commercial use without an agreement with its maker."

    @property
    def page(self) -> str:
        """Address of the model's page, to be shown as text; empty if it has none."""
        if not self.repository:
            return ""
        kind = "spaces/" if self.repo_type == "space" else ""
        return f"https://huggingface.co/{kind}{self.repository}"


_BIREFNET = "arena.models.birefnet:BiRefNetSegmenter"
_U2NET = "arena.models.u2net:U2NetSegmenter"
_SAM = "arena.models.sam:SamSegmenter"
_DYNAMIC = InputSize(multiple=64, minimum=256, maximum=2304)
_SQUARE_1024 = InputSize(side=1024, multiple=32)
_P3M = "P3M-10k"

CARDS: tuple[ModelCard, ...] = (
    ModelCard(
        key="lite",
        label="Arena Lite",
        family="lite",
        task=Task.PORTRAIT,
        summary="Our own small networks, in the box: people from close-up to full length in a blink, with no download. "
        "What people hold can go missing, and fine hair is softer than the large models have it.",
        training_data="Clothing Co-Parsing (street portraits)",
        licence="Apache-2.0",
        commercial=True,
        mask_kind=MatteKind.ALPHA,
        adapter="arena.models.lite:LiteSegmenter",
        input_size=InputSize(multiple=32, minimum=32, maximum=1024),
        presence_threshold=0.7,
        hair_prompt=True,
    ),
    ModelCard(
        key="classic",
        label="Classic (GrabCut)",
        family="classic",
        task=Task.PORTRAIT,
        summary="Finds faces and grows the people around them by colour. Works offline at once; weak where clothes "
        "and background share their colours, and it never sees fine hair.",
        training_data="face detector: WIDER FACE and CelebA; silhouette and six weights: half of Clothing Co-Parsing",
        licence="MIT (face detector), AGPL-3.0",
        commercial=True,
        mask_kind=MatteKind.NEAR_BINARY,
        adapter="arena.models.classic:ClassicSegmenter",
    ),
    ModelCard(
        key="sam3",
        label="SAM 3",
        family="sam3",
        task=Task.PORTRAIT,
        summary="Finds everything that a text names, so several people and half-hidden ones; outlines, not hair. "
        "Large: wants a GPU.",
        training_data="SA-Co (Meta's concept segmentation data)",
        licence="SAM License (military use barred)",
        commercial=True,
        mask_kind=MatteKind.NEAR_BINARY,
        adapter="arena.models.sam3:Sam3Segmenter",
        repository="1038lab/sam3",
        revision="f055b060a4de0a040891ba2ebac9c5cb3c1c0132",
        file="sam3.pt",
        bytes=3_450_062_241,
        input_size=InputSize(side=1008, multiple=14),
        text_prompt=True,
        box_prompt=True,
    ),
    ModelCard(
        key="birefnet-portrait",
        label="BiRefNet Portrait",
        family="birefnet",
        task=Task.PORTRAIT,
        summary="A matte made for portraits: good hair at a moderate size. Objects that people hold can go missing.",
        training_data=f"{_P3M} and TR-humans",
        licence="MIT",
        commercial=True,
        mask_kind=MatteKind.ALPHA,
        adapter=_BIREFNET,
        repository="ZhengPeng7/BiRefNet-portrait",
        revision="b6561965a70070d9143fd9e558f6ca3c481510db",
        file="model.safetensors",
        bytes=884_878_856,
        sha256="4a4eb3a5469b75f0cccaec6772c22fc30e6c12ed429c2c0ba71b43e3d8d97182",
        input_size=_SQUARE_1024,
        patch_order="legacy",
    ),
    ModelCard(
        key="birefnet-hr-matting",
        label="BiRefNet HR Matting",
        family="birefnet",
        task=Task.PORTRAIT,
        summary="The finest hair of the family, at 2048 x 2048: slow on a CPU and hungry for memory.",
        training_data="general matting data; see its page (AIM-500 and PPM-100 were used by its smaller sibling)",
        licence="MIT",
        commercial=True,
        mask_kind=MatteKind.ALPHA,
        adapter=_BIREFNET,
        repository="ZhengPeng7/BiRefNet_HR-matting",
        revision="5d6b6f8adcb5b417c871b1d84ceaae9871355b7f",
        file="model.safetensors",
        bytes=444_473_596,
        sha256="a5a4de698739ea5e0e8bbab28e1b293dde95092b87a442d566cbc585c53cef55",
        input_size=InputSize(side=2048, multiple=32),
        patch_order="current",
    ),
    ModelCard(
        key="birefnet-dynamic",
        label="BiRefNet Dynamic",
        family="birefnet",
        task=Task.PORTRAIT,
        summary="Runs at the photo's own shape and size, so thin things keep their proportions; edges are nearly hard.",
        training_data="general segmentation data at mixed sizes, P3M-500 among them",
        licence="MIT",
        commercial=True,
        mask_kind=MatteKind.NEAR_BINARY,
        adapter=_BIREFNET,
        repository="ZhengPeng7/BiRefNet_dynamic",
        revision="280306042f57b7a33854319da62fd86aaa89ec4c",
        file="model.safetensors",
        bytes=444_473_596,
        sha256="e3d2e4884e51ff30f0cd630edc6b1e41b06b7f23a0a2a5169f7b7cb33a711c2d",
        input_size=_DYNAMIC,
        patch_order="current",
    ),
    ModelCard(
        key="birefnet-dynamic-matting",
        label="BiRefNet Dynamic Matting",
        family="birefnet",
        task=Task.PORTRAIT,
        summary="Dynamic's own-size input with soft hair. Large photos take long on a CPU.",
        training_data="general matting data at mixed sizes, AIM-500 and PPM-100 among them",
        licence="MIT",
        commercial=True,
        mask_kind=MatteKind.ALPHA,
        adapter=_BIREFNET,
        repository="ZhengPeng7/BiRefNet_dynamic-matting",
        revision="074df545be87034e74a96bf71566ecbbc4c15f0a",
        file="model.safetensors",
        bytes=444_473_596,
        input_size=_DYNAMIC,
        patch_order="current",
    ),
    ModelCard(
        key="birefnet",
        label="BiRefNet General",
        family="birefnet",
        task=Task.PORTRAIT,
        summary="Cuts out whatever stands out, people or not; clean outlines, harder hair than the matting models.",
        training_data="general segmentation data, P3M-500-P and -NP among them",
        licence="MIT",
        commercial=True,
        mask_kind=MatteKind.NEAR_BINARY,
        adapter=_BIREFNET,
        repository="ZhengPeng7/BiRefNet",
        revision="e2bf8e4460fc8fa32bba5ea4d94b3233d367b0e4",
        file="model.safetensors",
        bytes=444_473_596,
        sha256="9ab37426bf4de0567af6b5d21b16151357149139362e6e8992021b8ce356a154",
        input_size=_SQUARE_1024,
        patch_order="current",
    ),
    ModelCard(
        key="birefnet-lite",
        label="BiRefNet Lite",
        family="birefnet",
        task=Task.PORTRAIT,
        summary="The general model on a tiny backbone: a fifth of the download, half the time, a little less detail.",
        training_data="general segmentation data, P3M-500-P and -NP among them",
        licence="MIT",
        commercial=True,
        mask_kind=MatteKind.NEAR_BINARY,
        adapter=_BIREFNET,
        repository="ZhengPeng7/BiRefNet_lite",
        revision="aa62cd87eafb9cc43056d08ef3615a14628b831d",
        file="model.safetensors",
        bytes=177_634_392,
        sha256="4417d89795250e698c3cb0ae8df15743810065f646f48a694fdfa7ca052d0815",
        input_size=_SQUARE_1024,
        patch_order="legacy",
    ),
    ModelCard(
        key="rmbg-2.0",
        label="RMBG 2.0",
        family="birefnet",
        task=Task.PORTRAIT,
        summary="BiRefNet trained on bought, hand-labelled pictures: robust on products and people. Not for commercial "
        "use without an agreement.",
        training_data="about 15,000 licensed pictures of BRIA AI, labelled by hand",
        licence="CC BY-NC 4.0",
        commercial=False,
        mask_kind=MatteKind.ALPHA,
        adapter=_BIREFNET,
        repository="briaai/RMBG-2.0",
        revision="5df4c9c76d8170882c34f6986e848ee07fd0ba43",
        file="model.safetensors",
        bytes=884_878_856,
        sha256="566ed80c3d95f87ada6864d4cbe2290a1c5eb1c7bb0b123e984f60f76b02c3a7",
        gated=True,
        input_size=_SQUARE_1024,
        patch_order="legacy",
    ),
    ModelCard(
        key="ben2",
        label="BEN2",
        family="ben2",
        task=Task.PORTRAIT,
        summary="Strong on hair against busy backgrounds; nearly hard elsewhere. Slow on a CPU.",
        training_data="DIS5K and the maker's own segmentation data",
        licence="MIT",
        commercial=True,
        mask_kind=MatteKind.NEAR_BINARY,
        adapter="arena.models.ben2:BEN2Segmenter",
        repository="PramaLLC/BEN2",
        revision="e48a20765fb421d19dcdb0bf3cc61e802ca5ec8f",
        file="model.safetensors",
        bytes=380_577_976,
        sha256="ea8b7907176a09667c86343dc7d00de6a6d871076cb90bb5f753618fd6fb3ebb",
        input_size=InputSize(side=1024, multiple=128),
    ),
    ModelCard(
        key="u2net",
        label="U²-Net",
        family="u2net",
        task=Task.PORTRAIT,
        summary="Salient objects of any kind at 320 x 320: quick, with an outline that needs refinement.",
        training_data="DUTS-TR",
        licence="Apache-2.0",
        commercial=True,
        mask_kind=MatteKind.NEAR_BINARY,
        adapter=_U2NET,
        repository="Carve/u2net-universal",
        revision="10305d785481cf4b2eee1d447c39cd6e5f43d74b",
        file="full_weights.pth",
        bytes=176_290_937,
        sha256="10025a17f49cd3208afc342b589890e402ee63123d6f2d289a4a0903695cce58",
        input_size=InputSize(side=320),
    ),
    ModelCard(
        key="u2net-human",
        label="U²-Net Human",
        family="u2net",
        task=Task.PORTRAIT,
        summary="U²-Net trained to find people: quick, steady on single portraits, coarse at the edge.",
        training_data="Supervisely Person",
        licence="Apache-2.0",
        commercial=True,
        mask_kind=MatteKind.NEAR_BINARY,
        adapter=_U2NET,
        repository="hylee/u2net_portrait",
        repo_type="space",
        revision="090f070c392bddf3a889ffad51e4dd98c60a87c1",
        file="U-2-Net/saved_models/u2net_human_seg/u2net_human_seg.pth",
        bytes=176_315_793,
        sha256="13f0396e3f6fbc1d7ab55a8558640bef306a59b9110a5c595eb949ff69cf2414",
        input_size=InputSize(side=320),
    ),
    ModelCard(
        key="u2netp",
        label="U²-Net Small",
        family="u2net",
        task=Task.PORTRAIT,
        summary="The smallest download: 5 MB. Good for a first look, wrong on anything difficult.",
        training_data="DUTS-TR",
        licence="Apache-2.0",
        commercial=True,
        mask_kind=MatteKind.NEAR_BINARY,
        adapter=_U2NET,
        repository="netradrishti/u2net-saliency",
        revision="9b13bd61fd7d67eb82fa135b4cb6cb19d9ea7a66",
        file="models/u2netp.pth",
        bytes=4_683_258,
        sha256="e7567cde013fb64813973ce6e1ecc25a80c05c3ca7adbc5a54f3c3d90991b854",
        input_size=InputSize(side=320),
    ),
    ModelCard(
        key="sam-vit-b",
        label="SAM ViT-B",
        family="sam",
        task=Task.PROMPTED,
        summary="Outlines what a box is drawn around; knows nothing of people and nothing of hair.",
        training_data="SA-1B",
        licence="Apache-2.0",
        commercial=True,
        mask_kind=MatteKind.BINARY,
        adapter=_SAM,
        repository="facebook/sam-vit-base",
        revision="70c1a07f894ebb5b307fd9eaaee97b9dfc16068f",
        file="model.safetensors",
        bytes=375_000_000,
        input_size=InputSize(side=1024, multiple=16),
        needs_feather=True,
        box_prompt=True,
        point_prompt=True,
        hair_prompt=True,
    ),
    ModelCard(
        key="sam-vit-l",
        label="SAM ViT-L",
        family="sam",
        task=Task.PROMPTED,
        summary="SAM with a larger encoder: surer of what belongs together, and three times as slow.",
        training_data="SA-1B",
        licence="Apache-2.0",
        commercial=True,
        mask_kind=MatteKind.BINARY,
        adapter=_SAM,
        repository="facebook/sam-vit-large",
        revision="6851e0441005b0fb96f2cc4dfac472f3d1b14af1",
        file="model.safetensors",
        bytes=1_249_500_000,
        input_size=InputSize(side=1024, multiple=16),
        needs_feather=True,
        box_prompt=True,
        point_prompt=True,
        hair_prompt=True,
    ),
    ModelCard(
        key="sam-vit-h",
        label="SAM ViT-H",
        family="sam",
        task=Task.PROMPTED,
        summary="SAM at its largest: little better than ViT-L, and slow without a GPU.",
        training_data="SA-1B",
        licence="Apache-2.0",
        commercial=True,
        mask_kind=MatteKind.BINARY,
        adapter=_SAM,
        repository="facebook/sam-vit-huge",
        revision="87aecf0df4ce6b30cd7de76e87673c49644bdf67",
        file="model.safetensors",
        bytes=2_564_500_000,
        input_size=InputSize(side=1024, multiple=16),
        needs_feather=True,
        box_prompt=True,
        point_prompt=True,
        hair_prompt=True,
    ),
    ModelCard(
        key="remback",
        label="Remback",
        family="sam",
        task=Task.PORTRAIT,
        summary="SAM ViT-B tuned on portraits and told where to look by the largest face: one person at a time, and "
        "nobody who turns away. Outlines, not hair.",
        training_data="its author's portrait set",
        licence="MIT",
        commercial=True,
        mask_kind=MatteKind.NEAR_BINARY,
        adapter="arena.models.remback:RembackSegmenter",
        # Neither a commit nor a checksum of it was ever seen: the main branch is followed, and what is downloaded is
        # verified by the checksum that the hub itself names.
        repository="duriantaco/remback",
        file="remback_v4.pth",
        bytes=375_000_000,
        input_size=InputSize(side=1024, multiple=16),
        needs_feather=True,
        box_prompt=True,
        hair_prompt=True,
    ),
    ModelCard(
        key="depth-anything-v2-small",
        label="Depth Anything V2 Small",
        family="depth",
        task=Task.DEPTH,
        summary="How far everything in a photo is, relative to the rest: for a blur that grows with distance.",
        training_data="synthetic depth and 62 million unlabelled pictures",
        licence="Apache-2.0",
        commercial=True,
        mask_kind=MatteKind.ALPHA,
        adapter="arena.models.depth:DepthEstimator",
        repository="depth-anything/Depth-Anything-V2-Small-hf",
        revision="5426e4f0f36572d16453bbda7a8389317b1bef99",
        file="model.safetensors",
        bytes=99_173_660,
        sha256="3152477ce0d8d6978d76b995120de97cb5b928701fd0f817769f59e249a16b70",
        input_size=InputSize(multiple=14, minimum=518, maximum=1036),
    ),
    ModelCard(
        key="vitmatte-small",
        label="ViTMatte Small",
        family="vitmatte",
        task=Task.TRIMAP,
        summary="Turns the outline of any model, and an uncertain band about it, into hair.",
        training_data="Composition-1k",
        licence="Apache-2.0",
        commercial=True,
        mask_kind=MatteKind.ALPHA,
        adapter="arena.models.vitmatte:MattingNetwork",
        repository="hustvl/vitmatte-small-composition-1k",
        revision="6a58ad7646403c1df626fbd746900aec7361ea1d",
        file="model.safetensors",
        bytes=103_294_572,
        sha256="bda9289db1bb6762d978b42d1c62ae3f34daf7497171a347a1d09657efd788cb",
        input_size=InputSize(multiple=32, minimum=32, maximum=1024),
    ),
)
"""Every model this project knows, in the order in which users see them."""

DEFAULT_MODEL = "lite"
"""What runs when no model was chosen: it must be in the box."""

DEPTH_MODEL = "depth-anything-v2-small"
"""What is asked for depth unless another is named."""

MATTING_MODEL = "vitmatte-small"
"""What solves the edge where the refinement asks for a network."""

_BY_KEY = {card.key: card for card in CARDS}


def get_card(key: str) -> ModelCard:
    """Look a model up.

    Args:
        key: A model key, for instance ``"birefnet-portrait"``.

    Returns:
        Its card.

    Raises:
        UnknownModelError: No model has this key; the message names the nearest ones.
    """
    try:
        return _BY_KEY[key]
    except KeyError:
        near = difflib.get_close_matches(key, _BY_KEY, n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Known are: {', '.join(_BY_KEY)}."
        raise UnknownModelError(f'There is no model "{key}".', hint) from None


def list_models(
    pattern: str = "*",
    *,
    family: str | None = None,
    task: Task | str | None = None,
    mask_kind: MatteKind | str | None = None,
    commercial: bool | None = None,
    gated: bool | None = None,
    needs_download: bool | None = None,
    available: bool | None = None,
) -> list[ModelCard]:
    """The cards that pass all filters, in catalog order.

    Args:
        pattern: Shell-style pattern over the keys, for instance ``"birefnet*"``.
        family: Only this family.
        task: Only this task.
        mask_kind: Only mattes of this kind.
        commercial: Only models that may (True) or may not (False) be used commercially.
        gated: Only models behind (True) or not behind (False) a licence gate.
        needs_download: Only models with (True) or without (False) weights to download.
        available: Only models that this build can (True) or cannot (False) run.

    Returns:
        Model cards; empty if nothing passes.

    Raises:
        OptionError: ``task`` or ``mask_kind`` is none that exists.
    """
    try:
        wanted = {
            "family": family,
            "task": None if task is None else Task(task),
            "mask_kind": None if mask_kind is None else MatteKind(mask_kind),
            "commercial": commercial,
            "gated": gated,
            "needs_download": needs_download,
            "available": available,
        }
    except ValueError as error:
        raise OptionError(
            f"{error}.",
            f"Tasks: {', '.join(Task)}. Mask kinds: {', '.join(MatteKind)}.",
        ) from error
    return [
        card
        for card in CARDS
        if fnmatch.fnmatchcase(card.key, pattern)
        and all(value is None or getattr(card, name) == value for name, value in wanted.items())
    ]
