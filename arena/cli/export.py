"""``arena export``: a model as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arena.catalog import get_card
from arena.cli.console import err, out, print_licence_notices
from arena.cli.fetch import download
from arena.paths import expanded
from arena.wording import format_bytes, format_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arena.export.exporter import Exported


def export(
    key: Annotated[
        str, typer.Argument(metavar="KEY", show_default=False, help="The model; `arena models` lists them.")
    ],
    onnx: Annotated[
        Path,
        typer.Option(
            "--onnx",
            metavar="FILE",
            show_default=False,
            help="The file to write. A model of several networks gets FILE.encoder.onnx and the like.",
        ),
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            show_default=False,
            help="Other weights of the same network, for instance those of `arena finetune`.",
        ),
    ] = None,
) -> None:
    """Write a model's networks as ONNX, and verify them against PyTorch.

    Every file is run in onnxruntime and compared with what this program makes
    of the same input; one that differs is not kept. Its metadata_props say how
    a photo becomes its input and what its outputs are. It holds the network
    alone: what a model does before and after it is not in it.
    """
    # Imported here so that --help does not wait for them.
    from arena.export.exporter import check_exportable, export_onnx  # noqa: PLC0415

    card = get_card(key)
    onnx, checkpoint = expanded(onnx), checkpoint and expanded(checkpoint)
    check_exportable(card, onnx, checkpoint)
    if checkpoint is None:
        print_licence_notices([key])
        download(card)
    with err.status("") as status:
        for file in export_onnx(card, onnx, checkpoint=checkpoint, say=status.update):
            out.print("\n".join(_lines(file)), markup=False, soft_wrap=True)


def _lines(file: Exported) -> Iterator[str]:
    from arena.export.exporter import OPSET, TOLERANCE  # noqa: PLC0415 - --help does not wait for it

    yield f"{file.path}: {format_bytes(file.bytes)}, ONNX operators of version {OPSET}"
    yield f"  dynamic axes: {'; '.join(file.axes) or 'none'}"
    yield f"  differs from PyTorch by at most {file.difference:.1e}; {TOLERANCE:.0e} is allowed"
    yield (
        f"  onnxruntime {format_seconds(file.onnx_seconds)}, PyTorch {format_seconds(file.torch_seconds)} on the CPU: "
        f"ratio {file.ratio:.2f}; exported in {format_seconds(file.export_seconds)}"
    )
