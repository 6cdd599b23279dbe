from __future__ import annotations

import torch

from arena.nets.layers import exact, fold_batch_norm


def test_exact_is_float64_on_the_cpu_and_detached() -> None:
    found = exact(torch.ones(2, dtype=torch.bfloat16, requires_grad=True))
    assert found.dtype == torch.float64
    assert found.device.type == "cpu"
    assert not found.requires_grad


def test_a_variance_beyond_float16_folds_into_half_weights() -> None:
    norm = torch.nn.BatchNorm2d(3).eval()
    torch.nn.init.constant_(norm.running_var, 1e5)  # type: ignore[arg-type]
    weight, bias = fold_batch_norm(torch.ones(3, 2, 1, 1).half(), None, norm)
    assert weight.dtype == bias.dtype == torch.float16
    torch.testing.assert_close(weight.float(), torch.full((3, 2, 1, 1), 1e5**-0.5), rtol=1e-3, atol=0)
