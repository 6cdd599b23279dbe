"""Find faces and their landmarks with MTCNN, from the weights that the PyPI package ``mtcnn`` carries.

The package itself needs TensorFlow as soon as it is imported, so it never is: its weight files are found through the
distribution's metadata and run in the networks of :mod:`arena.nets.mtcnn`. Everything here works in pixels with the
origin in the top-left corner, x to the right and y down.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import cv2
import lz4.frame
import numpy as np
import torch

from arena.errors import ChecksumError, OptionError, WeightsError, WeightsNotFoundError
from arena.nets.mtcnn import FACE_CLASS, ONet, PNet, RNet, state_from_keras

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    FloatArray = NDArray[np.float32]

WEIGHT_FILES = {
    "pnet": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}
"""SHA-256 of ``mtcnn/assets/weights/<name>.lz4`` in mtcnn 1.0.0."""

_DISTRIBUTION = "mtcnn"
_REINSTALL = 'Install it again: pip install --force-reinstall "mtcnn==1.0.0".'

# The published settings of the cascade.
_PYRAMID_FACTOR = 0.709
_SCORE_P, _SCORE_R, _SCORE_O = 0.6, 0.7, 0.8
_OVERLAP_P_LEVEL, _OVERLAP_P, _OVERLAP_R, _OVERLAP_O = 0.5, 0.7, 0.7, 0.7
_MIN_FACE_SIZE = 20.0

_CROPS_PER_BATCH = 256
"""Crops run through a network at once; bounds the memory of pictures with thousands of proposals."""


@dataclass(frozen=True, eq=False)
class Face:
    """One face in a picture."""

    box: FloatArray
    """x1, y1, x2, y2 in pixels, float32, clipped to the picture."""
    score: float
    """The last network's probability of a face, 0 to 1."""
    landmarks: FloatArray
    """5 x 2 pixels (x, y), float32: left eye, right eye, nose, left and right mouth corner; left is the smaller x of
    an upright face. Not clipped: a landmark of a cut-off face may lie outside the picture."""

    @property
    def width(self) -> float:
        """Width of the box in pixels."""
        return float(self.box[2] - self.box[0])

    @property
    def height(self) -> float:
        """Height of the box in pixels."""
        return float(self.box[3] - self.box[1])

    @property
    def size(self) -> float:
        """Root of the box's area in pixels, at least one: the unit in which people are measured by their faces."""
        return max(1.0, float(np.sqrt(self.width * self.height)))

    def scaled(self, factor_x: float, factor_y: float) -> Face:
        """The same face in a picture that was resized by these factors."""
        factors = np.array([factor_x, factor_y], dtype=np.float32)
        return Face(self.box * np.tile(factors, 2), self.score, self.landmarks * factors)


class FaceDetector:
    """MTCNN with its weights loaded. Any number of threads may share one."""

    def __init__(self, folder: Path | None = None, device: torch.device | str = "cpu") -> None:
        """Read and check the weights.

        Args:
            folder: Holds ``pnet.lz4``, ``rnet.lz4`` and ``onet.lz4``; by default that of the installed distribution.
            device: Where the networks run.

        Raises:
            WeightsNotFoundError: The distribution or one of its files is missing.
            ChecksumError: A file is not the published one.
        """
        folder = weights_folder() if folder is None else folder
        self._device = torch.device(device)
        self._pnet, self._rnet, self._onet = PNet(), RNet(), ONet()
        for name, net in zip(WEIGHT_FILES, (self._pnet, self._rnet, self._onet), strict=True):
            net.load_state_dict(state_from_keras(net, read_weights(folder / f"{name}.lz4", WEIGHT_FILES[name])))
            net.eval().requires_grad_(False).to(self._device)

    @property
    def networks(self) -> tuple[PNet, RNet, ONet]:
        """The cascade's three networks in the order in which they run."""
        return self._pnet, self._rnet, self._onet

    @torch.inference_mode()
    def detect(
        self, rgb: NDArray[np.uint8], *, min_face_size: float = _MIN_FACE_SIZE, min_score: float = _SCORE_O
    ) -> list[Face]:
        """Find the faces of one upright picture.

        Args:
            rgb: uint8, H x W x 3, sRGB.
            min_face_size: Shortest face to look for in pixels, at least 12. The work grows with its inverse square.
            min_score: Faces of this probability or less are dropped; the published setting is 0.8.

        Returns:
            The faces, the most certain first.

        Raises:
            OptionError: The picture is not uint8 H x W x 3, or ``min_face_size`` is below 12.
        """
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise OptionError(
                f"Faces are looked for in uint8 arrays of H x W x 3, not in {rgb.dtype} of {rgb.shape}.",
                "Convert the picture to 8-bit RGB first.",
            )
        if min_face_size < PNet.WINDOW:
            raise OptionError(
                f"min_face_size is {min_face_size}, but MTCNN finds no face below {PNet.WINDOW} pixels.",
                "Enlarge the picture instead.",
            )
        height, width = rgb.shape[:2]
        # As _propose has it, rounding included.
        if min(height, width) * (PNet.WINDOW / min_face_size) < PNet.WINDOW:
            return []
        # The original normalises before it resamples, so that its padding of 0 is mid-grey.
        normalised = (rgb.astype(np.float32) - 127.5) / 128.0
        boxes = self._propose(normalised, min_face_size)
        picture = torch.from_numpy(normalised).permute(2, 0, 1).to(self._device)
        boxes = self._refine(picture, boxes)
        return self._output(picture, boxes, min_score)

    def _propose(self, normalised: FloatArray, min_face_size: float) -> Tensor:
        """Stage P: square windows N x 4 that may hold a face, from every level of the pyramid."""
        height, width = normalised.shape[:2]
        scale = PNet.WINDOW / min_face_size
        boxes: list[Tensor] = []
        scores: list[Tensor] = []
        # A level below the window's size has no cell; the original crashes there and reports no face.
        while min(height, width) * scale >= PNet.WINDOW:
            size = (int(width * scale), int(height * scale))
            level = cv2.resize(normalised, size, interpolation=cv2.INTER_AREA)
            found, score = self._windows(torch.from_numpy(level).permute(2, 0, 1).to(self._device))
            keep = _suppress(found, score, _OVERLAP_P_LEVEL)
            boxes.append(found[keep] / scale)
            scores.append(score[keep])
            scale *= _PYRAMID_FACTOR
        found, score = torch.cat(boxes), torch.cat(scores)
        return _square(found[_suppress(found, score, _OVERLAP_P)])

    def _windows(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """Corrected windows N x 4 in pixels of one level, and their scores N."""
        regression, probability = self._pnet(level[None])
        score = probability[0, FACE_CLASS]
        rows, columns = torch.nonzero(score > _SCORE_P, as_tuple=True)
        left, top = PNet.STRIDE * columns + 1, PNet.STRIDE * rows + 1
        side = PNet.WINDOW - 1
        corners = torch.stack([left, top, left + side, top + side], dim=1)
        return corners + side * regression[0][:, rows, columns].T, score[rows, columns]

    def _refine(self, picture: Tensor, boxes: Tensor) -> Tensor:
        """Stage R: corrected square boxes N x 4."""
        if len(boxes) == 0:
            return boxes
        regression, probability = _in_batches(self._rnet, picture, boxes, RNet.INPUT)
        score = probability[:, FACE_CLASS]
        keep = score > _SCORE_R
        boxes, score = _corrected(boxes, regression)[keep], score[keep]
        return _square(boxes[_suppress(boxes, score, _OVERLAP_R)])

    def _output(self, picture: Tensor, boxes: Tensor, min_score: float) -> list[Face]:
        """Stage O: the faces, the most certain first."""
        if len(boxes) == 0:
            return []
        regression, fractions, probability = _in_batches(self._onet, picture, boxes, ONet.INPUT)
        score = probability[:, FACE_CLASS]
        # Landmarks are fractions of the box as it was before its correction.
        sides = boxes[:, 2:] - boxes[:, :2] + 1
        landmarks = fractions.reshape(-1, 2, 5).transpose(1, 2) * sides[:, None] + boxes[:, None, :2] - 1
        keep = score > min_score
        boxes, landmarks, score = _corrected(boxes, regression)[keep], landmarks[keep], score[keep]
        order = _suppress(boxes, score, _OVERLAP_O, by_smaller=True)
        height, width = picture.shape[1:]
        limits = torch.tensor([width - 1, height - 1, width - 1, height - 1], device=boxes.device)
        boxes = torch.minimum(boxes.clamp_min(0), limits)
        return [
            Face(boxes[i].cpu().numpy(), float(score[i]), landmarks[i].cpu().numpy())
            for i in order.tolist()
            if bool(boxes[i, 2] > boxes[i, 0]) and bool(boxes[i, 3] > boxes[i, 1])
        ]


@functools.cache
def default_detector() -> FaceDetector:
    """The detector that all callers share: on the CPU, with the installed weights, loaded on the first call."""
    return FaceDetector()


def detect_faces(
    rgb: NDArray[np.uint8], *, min_face_size: float = _MIN_FACE_SIZE, min_score: float = _SCORE_O
) -> list[Face]:
    """Find the faces of one upright picture with the shared detector; see :meth:`FaceDetector.detect`."""
    return default_detector().detect(rgb, min_face_size=min_face_size, min_score=min_score)


def weights_folder() -> Path:
    """The folder of the weight files in the installed ``mtcnn`` distribution, found without importing it.

    Raises:
        WeightsNotFoundError: The distribution is not installed or does not carry them.
    """
    try:
        distribution = importlib.metadata.distribution(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError as error:
        raise WeightsNotFoundError(
            "Face detection needs the weights in the Python package mtcnn, which is not installed.",
            'Install it: pip install "mtcnn==1.0.0".',
        ) from error
    folder = Path(str(distribution.locate_file("mtcnn/assets/weights")))
    if not folder.is_dir():
        raise WeightsNotFoundError(f"The Python package mtcnn has no folder {folder}.", _REINSTALL)
    return folder


def read_weights(path: Path, sha256: str) -> list[FloatArray]:
    """Read the arrays of one weight file: an LZ4 frame around a joblib stream of a list of arrays.

    Args:
        path: The file.
        sha256: The checksum that it must have, in hexadecimal.

    Returns:
        The float32 arrays in file order.

    Raises:
        WeightsNotFoundError: The file cannot be read.
        ChecksumError: Its contents are others.
    """
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise WeightsNotFoundError(f"The face detector's {path.name} cannot be read: {error}.", _REINSTALL) from error
    if hashlib.sha256(packed).hexdigest() != sha256:
        raise ChecksumError(f"The face detector's {path.name} is not the published file.", _REINSTALL)
    return load_arrays(io.BytesIO(lz4.frame.decompress(packed)))


def load_arrays(stream: BinaryIO) -> list[FloatArray]:
    """Read a joblib stream of a list of arrays without running any code that it could name.

    A joblib stream is a pickle with each array's bytes laid between its opcodes, right behind the state of a wrapper
    object. The unpickler knows the three names that such a stream needs and refuses all others.

    Args:
        stream: The uncompressed stream. It must not be buffered ahead (no ``peek``), for the wrapper reads from it.

    Raises:
        WeightsError: The stream names anything else, or is not a list of arrays.
    """

    class Wrapper:
        """Stands for joblib's ``NumpyArrayWrapper``; reads its array when its state arrives."""

        array: FloatArray

        def __setstate__(self, state: dict[str, Any]) -> None:
            stream.read(stream.read(1)[0])  # a count, then as many bytes of alignment
            dtype, shape = np.dtype(state["dtype"]), tuple(state["shape"])
            raw = stream.read(int(np.prod(shape)) * dtype.itemsize)
            self.array = np.frombuffer(raw, dtype=dtype).reshape(shape, order=state["order"])

    known: dict[tuple[str, str], type] = {
        ("joblib.numpy_pickle", "NumpyArrayWrapper"): Wrapper,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    class ArraysOnly(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> type:
            try:
                return known[module, name]
            except KeyError:
                raise pickle.UnpicklingError(f"the stream names {module}.{name}") from None

    try:
        wrappers = ArraysOnly(stream).load()
        return [wrapper.array for wrapper in wrappers]
    except (pickle.UnpicklingError, AttributeError, KeyError, IndexError, TypeError, ValueError, EOFError) as error:
        raise WeightsError(f"The face detector's weights cannot be read: {error}.", _REINSTALL) from error


def _in_batches(
    net: Callable[[Tensor], tuple[Tensor, ...]], picture: Tensor, boxes: Tensor, side: int
) -> tuple[Tensor, ...]:
    """Run a network over crops of all boxes and join its outputs."""
    parts = [net(_crops(picture, some, side)) for some in torch.split(boxes, _CROPS_PER_BATCH)]
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


def _crops(picture: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Sample boxes bilinearly at ``side`` x ``side`` points, corners included; points outside become 0.

    Args:
        picture: 3 x H x W, normalised.
        boxes: N x 4 in pixels; they may reach outside.
        side: Side of a crop.

    Returns:
        N x 3 x side x side.
    """
    height, width = picture.shape[1:]
    steps = torch.linspace(0, 1, side, device=boxes.device)

    def along(first: Tensor, last: Tensor, extent: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        # The original gives its sampler x / W and the sampler multiplies by W - 1; the factor stays for parity.
        at = (first[:, None] + steps * (last - first)[:, None]) * ((extent - 1) / extent)
        inside = (at >= 0) & (at <= extent - 1)
        low = at.floor().clamp(0, extent - 1)
        return low.long(), (low.long() + 1).clamp_max(extent - 1), (at - low) * inside, inside

    top, bottom, fy, inside_y = along(boxes[:, 1], boxes[:, 3], height)
    left, right, fx, inside_x = along(boxes[:, 0], boxes[:, 2], width)

    def at(rows: Tensor, columns: Tensor) -> Tensor:
        return picture[:, rows[:, :, None], columns[:, None, :]]

    fx, fy = fx[:, None, :], fy[:, :, None]
    upper = at(top, left) * (1 - fx) + at(top, right) * fx
    lower = at(bottom, left) * (1 - fx) + at(bottom, right) * fx
    crops = (upper * (1 - fy) + lower * fy) * (inside_y[:, :, None] & inside_x[:, None, :])
    return crops.transpose(0, 1)


def _corrected(boxes: Tensor, regression: Tensor) -> Tensor:
    """Move the edges of boxes N x 4 by fractions N x 4 of their sides; a side counts both end pixels."""
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    return boxes + regression * sides.repeat(1, 2)


def _square(boxes: Tensor) -> Tensor:
    """Grow the shorter side of boxes N x 4 to the longer one about the centre."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longest = sides.max(dim=1, keepdim=True).values
    corner = boxes[:, :2] + (sides - longest) / 2
    return torch.cat([corner, corner + longest], dim=1)


def _suppress(boxes: Tensor, scores: Tensor, limit: float, *, by_smaller: bool = False) -> Tensor:
    """Drop each box that any more certain box, kept or not, overlaps by more than ``limit``.

    Args:
        boxes: N x 4.
        scores: N.
        limit: Intersection over union (or over the smaller area) that is still allowed.
        by_smaller: Measure the overlap against the smaller box.

    Returns:
        Indices of the boxes that stay, the most certain first.
    """
    order = scores.argsort(descending=True, stable=True)
    x1, y1, x2, y2 = boxes[order].unbind(dim=1)
    areas = (x2 - x1) * (y2 - y1)
    dropped = torch.zeros(len(order), dtype=torch.bool, device=boxes.device)
    # Row by row: the full N x N matrix of a large photo's proposals would not fit.
    for i in range(len(order) - 1):
        rest = slice(i + 1, None)
        overlap_x = (torch.minimum(x2[i], x2[rest]) - torch.maximum(x1[i], x1[rest])).clamp_min(0)
        overlap_y = (torch.minimum(y2[i], y2[rest]) - torch.maximum(y1[i], y1[rest])).clamp_min(0)
        common = overlap_x * overlap_y
        base = torch.minimum(areas[i], areas[rest]) if by_smaller else areas[i] + areas[rest] - common
        dropped[rest] |= common > limit * base
    return order[~dropped]
