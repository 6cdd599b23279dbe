"""``arena finetune``: Remback's recipe on SAM, with pictures of one's own."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from arena.cli.console import err, out, print_licence_notices
from arena.cli.options import DeviceOption
from arena.cli.train import print_skipped, training_bars
from arena.errors import OptionError
from arena.paths import expanded

if TYPE_CHECKING:
    from arena.training.finetune import FinetuneSettings
    from arena.training.trainer import Progress

_PICTURES = "The pictures"
_TRAINING = "The training"


def finetune(
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATA...",
            show_default=False,
            help="Folders with photos/ and masks/ (or images/ and masks/, or NAME.jpg beside NAME.alpha.png), an index "
            "(JSON with a list clean) or a table (CSV with columns image, mask and perhaps split).",
        ),
    ] = None,
    result: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FOLDER", show_default=False, help="Where everything goes."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            show_default=False,
            help="Settings, TOML, such as the config.toml of another run. What a flag says comes before it.",
        ),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="The SAM to begin with: .pth or .safetensors, of segment-anything or transformers.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="KEY",
            show_default=False,
            help="The published SAM to begin with instead. Default: sam-vit-b.",
        ),
    ] = None,
    validation: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATA",
            show_default=False,
            help="Pictures to validate with; repeat for more. Default: every tenth of DATA.",
            rich_help_panel=_PICTURES,
        ),
    ] = None,
    prompts: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="Boxes and points, JSON by picture, or a folder of NAME.json. Default: what lies in DATA.",
            rich_help_panel=_PICTURES,
        ),
    ] = None,
    boxes: Annotated[
        Literal["face", "mask"] | None,
        typer.Option(
            show_default=False,
            help="Where other boxes come from: the face, as `remback` draws them, or the mask. Default: face.",
            rich_help_panel=_PICTURES,
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(show_default=False, help="At most. Default: 10.", rich_help_panel=_TRAINING)
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(show_default=False, help="Pictures in a step. Default: 4.", rich_help_panel=_TRAINING),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(show_default=False, help="Default: 3e-5.", rich_help_panel=_TRAINING)
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            show_default=False,
            help="End after this many epochs without a better mean IoU, 0 never. Default: 2.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    trained_blocks: Annotated[
        int | None,
        typer.Option(
            show_default=False,
            help="How many of the encoder's last blocks learn; the rest is frozen. Default: 3.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"] | None,
        typer.Option(
            show_default=False,
            help="What is multiplied in. Default: auto, which is float16 on CUDA and float32 elsewhere.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    cache_features: Annotated[
        int | None,
        typer.Option(
            metavar="VIEWS",
            show_default=False,
            help="Keep what the frozen blocks make of this many views of each picture: 1 itself, 2 its mirror image "
            "too, more made up once. 6 MB on the disk each.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(show_default=False, help="Default: 0.", rich_help_panel=_TRAINING)] = None,
    device: DeviceOption = "auto",
) -> None:
    """Tune SAM on pictures with masks, as Remback was.

    The folder of --out gets sam.pth (the best weights, in segment-anything's
    layout; `remback --checkpoint` takes them), log.csv, curves.png, config.toml
    and pictures.json. A run that was broken off goes on where it was, if it is
    started the same way. Started by `torchrun`, several processes share each
    batch, on the GPUs of one machine or of several that share the folder.
    """
    # Imported here so that --help does not wait for them.
    from arena.training.finetune import FinetuneRun, FinetuneSettings, read_settings  # noqa: PLC0415
    from arena.training.launch import distributed, own_device, training_device  # noqa: PLC0415

    if result is None:
        raise OptionError("It is not clear where the run goes.", "Name a folder: --out RUN.")
    if checkpoint and model:
        raise OptionError("--checkpoint and --model both say what to begin with.", "Leave one of them out.")
    given: dict[str, Any] = {
        "data": tuple(str(expanded(path)) for path in data or ()),
        "validation": tuple(str(expanded(path)) for path in validation or ()),
        "prompts": prompts,
        "boxes": boxes,
        "checkpoint": checkpoint and str(expanded(checkpoint)),
        "model": model,
        "epochs": epochs,
        "batch": batch,
        "learning_rate": learning_rate,
        "patience": patience,
        "trained_blocks": trained_blocks,
        "precision": precision,
        "cached_views": cache_features,
        "seed": seed,
    }
    settings = read_settings(config) if config else FinetuneSettings()
    settings = _changed(settings, {name: value for name, value in given.items() if value not in (None, ())})
    if not settings.data:
        raise OptionError("It is not clear what to learn from.", "Name a folder that has photos/ and masks/ in it.")
    if not settings.checkpoint:
        print_licence_notices([settings.model])
    place = training_device(device)
    with distributed(place) as first, training_bars(shown=first) as bars:
        run = FinetuneRun(settings, expanded(result), own_device(place), bars.count if first else None)
        if first:
            print_skipped(run.survey.skipped)
            counts = len(run.survey.training), len(run.survey.validation)
            err.print(f"{counts[0]} pictures to learn from, {counts[1]} to validate with.", markup=False)

        def show(progress: Progress) -> None:
            bars.show("training", progress)

        weights = run.run(show if first else None)
    if first:
        out.print(str(weights), markup=False, soft_wrap=True)


def _changed(settings: FinetuneSettings, values: dict[str, Any]) -> FinetuneSettings:
    # A checkpoint that the file names is meant no longer once a model is asked for.
    if "model" in values and "checkpoint" not in values:
        values = values | {"checkpoint": ""}
    return dataclasses.replace(settings, **values)
