from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor

from arena.nets import deform
from arena.nets.deform import DeformableAspp, PreparedAspp, deform_conv2d, pad_table, sample_taps
from arena.nets.layers import fold_batch_norm
from tests.nets.recipe import make_state


def noise(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kernel", [1, 3, 7])
@pytest.mark.parametrize("spread", [0.3, 4.0, 1000.0], ids=["near", "over the border", "far outside"])
def test_equals_torchvision(kernel: int, spread: float) -> None:
    x, weight = noise(2, 8, 13, 9, seed=1), noise(5, 8, kernel, kernel, seed=2) / kernel
    offset = spread * noise(2, 2 * kernel**2, 13, 9, seed=3)
    mask = torch.rand(2, kernel**2, 13, 9, generator=torch.Generator().manual_seed(4))
    expected = torchvision.ops.deform_conv2d(x, offset, weight, padding=kernel // 2, mask=mask)
    torch.testing.assert_close(deform_conv2d(x, offset, mask, weight), expected, atol=5e-5, rtol=0)


@pytest.mark.parametrize("edge", [-1.0, -0.5, 0.0, 7.0, 7.5, 8.0])
def test_borders_fade_to_zero_as_in_torchvision(edge: float) -> None:
    x, weight = torch.ones(1, 4, 8, 8), torch.ones(1, 4, 1, 1)
    rows = torch.arange(8.0)[:, None].expand(8, 8)
    offset = torch.stack((edge - rows, torch.zeros(8, 8)))[None]
    mask = torch.ones(1, 1, 8, 8)
    expected = torchvision.ops.deform_conv2d(x, offset, weight, mask=mask)
    torch.testing.assert_close(deform_conv2d(x, offset, mask, weight), expected)


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    x, offset = noise(1, 8, 12, 10, seed=1), noise(1, 18, 12, 10, seed=2)
    mask, weight = torch.ones(1, 9, 12, 10), noise(4, 8, 3, 3, seed=3)
    whole = deform_conv2d(x, offset, mask, weight)
    monkeypatch.setitem(deform.CHUNK_BYTES, "cpu", 7 * 9 * 8 * 4)
    assert deform.chunk_pixels(x, 3) == 7
    torch.testing.assert_close(deform_conv2d(x, offset, mask, weight), whole, atol=1e-5, rtol=0)


def test_positions_are_float32_in_a_half_network() -> None:
    ramp = torch.arange(400.0).expand(2, 400)
    table = pad_table(ramp[..., None] % 8).bfloat16()
    fields = torch.zeros(800, 3)
    fields[:, 1], fields[:, 2] = 0.25, 1
    found = sample_taps(table, (2, 400), 0, fields.bfloat16()).view(2, 400)[0].float()
    inside = (torch.arange(400) % 8) < 7
    inside[-1] = False
    # Rounded to bfloat16, position 300.25 would be 300 and the quarter would be lost.
    assert ((found - ramp[0] % 8)[inside] - 0.25).abs().max() < 0.03


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_positions_that_are_no_numbers_read_nothing_outside_the_table(bad: float) -> None:
    x, offset = torch.ones(1, 4, 6, 5), torch.zeros(1, 18, 6, 5)
    offset[:, :, 2, 3] = bad
    found = deform_conv2d(x, offset, torch.ones(1, 9, 6, 5), torch.ones(1, 4, 3, 3))
    # All taps of that pixel are outside; its neighbours are not touched.
    assert found[0, 0, 2, 3] == 0
    assert found[0, 0, 2, 2] == 36


def made_up_aspp() -> DeformableAspp:
    aspp = DeformableAspp(16, 24).eval().requires_grad_(False)
    aspp.load_state_dict(make_state(aspp, 1.2), strict=False)
    return aspp


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 1, 1), (1, 9, 14), (2, 16, 5)])
def test_prepared_pyramid_equals_the_published_one(batch: int, height: int, width: int) -> None:
    aspp, x = made_up_aspp(), noise(batch, 16, height, width, seed=5)
    expected = aspp(x)
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(PreparedAspp(aspp)(x), expected, atol=2e-5, rtol=0)


def test_folding_equals_convolution_and_normalisation() -> None:
    conv, norm = torch.nn.Conv2d(4, 6, 3), torch.nn.BatchNorm2d(6).eval()
    for module in (conv, norm):
        module.load_state_dict(make_state(module, 1.2))
    x = noise(1, 4, 8, 8, seed=6)
    folded = torch.nn.functional.conv2d(x, *fold_batch_norm(conv.weight, conv.bias, norm))
    torch.testing.assert_close(folded, norm(conv(x)), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="running statistics"):
        fold_batch_norm(conv.weight, conv.bias, torch.nn.BatchNorm2d(6, track_running_stats=False))
