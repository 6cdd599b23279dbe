"""The networks on a GPU: on one that is there, and on one that has no float64, which PyTorch can imitate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from arena.nets import BEN2, BiRefNet, U2Net, ben2, birefnet, load_state
from arena.nets.swin import SwinTransformer
from tests.nets.recipe import make_input, make_state, normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

type Net = BEN2 | BiRefNet | U2Net

NETS: dict[str, tuple[Callable[[], Net], float, bool]] = {
    "birefnet-t": (lambda: BiRefNet("swin_v1_t"), 1.2, False),
    "ben2": (BEN2, 1.4, True),
    "u2net": (U2Net, 1.2, True),
    "u2netp": (lambda: U2Net("small"), 1.4, True),
}
"""How each is built, the gain of its made-up weights, and whether it ends in probabilities."""

HALF_TOLERANCE = (0.03, 0.003)
"""Largest and mean difference of a matte in float16; on a CPU they are 0.012 and 0.0009 at most."""
SINGLE_TOLERANCE = (1e-3, 1e-4)
"""The same in float32; CUDA's convolutions may use TF32."""


def accelerator() -> str | None:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None


def made_up(name: str, device: str, dtype: torch.dtype) -> Net:
    build, gain, _ = NETS[name]
    with torch.device("meta"):
        net = build()
    return load_state(net, make_state(net, gain), dtype=dtype).to(device).prepare()


def matte(name: str, device: str, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode():
        found: Tensor = made_up(name, device, dtype)(normalise(make_input(7, 128, 256)).to(device)).cpu()
    return found if NETS[name][2] else found.sigmoid()


@pytest.mark.skipif(accelerator() is None, reason="there is neither CUDA nor MPS")
@pytest.mark.parametrize("name", NETS)
def test_a_gpu_gives_the_matte_of_the_cpu(name: str) -> None:
    device = accelerator()
    assert device is not None
    dtype = torch.float16 if device == "cuda" else torch.float32
    difference = (matte(name, device, dtype) - matte(name, "cpu", torch.float32)).abs()
    largest, mean = HALF_TOLERANCE if dtype == torch.float16 else SINGLE_TOLERANCE
    assert difference.max() < largest
    assert difference.mean() < mean


class NoFloat64(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses what Apple's GPUs cannot do."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, result)):
            if isinstance(leaf, torch.Tensor) and leaf.device.type != "cpu":
                assert leaf.dtype != torch.float64, f"{func} in float64 on {leaf.device.type}"
        return result


def no_float64() -> NoFloat64:
    return NoFloat64()  # type: ignore[no-untyped-call]


@pytest.fixture
def _fresh_tables() -> Iterator[None]:
    """What the networks keep between calls must be imitated here, and nowhere else."""
    caches = (birefnet.resize_matrix, ben2.positional_code)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def test_the_imitated_device_refuses_float64() -> None:
    with FakeTensorMode(), no_float64(), pytest.raises(AssertionError, match="float64 on cuda"):
        torch.zeros(1, device="cuda").double()


def maps_of_the_right_size(backbone: SwinTransformer, x: Tensor) -> list[Tensor]:
    """Stands for the backbone, whose plan of windows depends on numbers, which imitated tensors have not."""
    height, width = x.shape[-2:]
    channels, strides = [*backbone.config.channels], [4, 8, 16, 32]
    if backbone.embedding:
        channels, strides = [channels[0], *channels], [4, *strides]
    return [
        x.new_zeros(len(x), height // stride, width // stride, channel).permute(0, 3, 1, 2)
        for channel, stride in zip(channels, strides, strict=True)
    ]


@pytest.mark.usefixtures("_fresh_tables")
@pytest.mark.parametrize("name", NETS)
def test_a_device_without_float64_is_not_asked_for_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(SwinTransformer, "forward", maps_of_the_right_size)
    # Imitated weights cannot be laid out anew in place.
    monkeypatch.setattr(BEN2, "to", lambda net, **_layout: net)
    # Shapes, data types and devices are followed, nothing is computed, so no GPU is needed. Builds of PyTorch without
    # MPS do not imitate it; to the networks, CUDA is as good a place that is not the CPU.
    with FakeTensorMode(), no_float64(), torch.no_grad():
        with torch.device("cuda"):
            net = NETS[name][0]()
        found = net.prepare()(torch.zeros(1, 3, 128, 256, device="cuda"))
    assert found.device.type == "cuda"
    assert found.dtype == torch.float32
    assert found.shape == (1, 1, 128, 256)
