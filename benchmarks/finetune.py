"""``arena finetune`` on real pictures: does it learn, and what do kept features save.

    python -m benchmarks.finetune SHARED/data/ccp --out FOLDER [--side 256] [--epochs 20]
    python -m benchmarks.finetune SHARED/data/ccp --out FOLDER --times

The first trains a small SAM from random weights, all of it, on the upper bodies of Clothing Co-Parsing, asked about the
box of the face as Remback asks; the pictures whose number ends in 4 are for validation. The references in the same run
are that box itself, taken for a mask, and the network before its first step. No published weights are needed, so the
scores say that the trainer trains, not how good a tuned SAM is.

The second times steps of that network and of SAM ViT-B with and without the frozen blocks' features kept, in turns, in
seconds of one core's time, which other work on the machine does not lengthen.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from PIL import Image
from transformers.models.sam import SamConfig, SamMaskDecoderConfig, SamPromptEncoderConfig, SamVisionConfig

from arena.metrics import iou
from arena.nets.sam import build_sam, sam_config, to_segment_anything
from arena.training.finetune import FinetuneRun, FinetuneSettings, survey
from arena.training.pictures import find_pairs, read_samples, read_truth, upper_body
from arena.training.sam import SamRecipe, SamSettings
from arena.training.trainer import LOG, Progress

if TYPE_CHECKING:
    from arena.training.sam_views import Picture

LEARNING_RATE = 1e-3
"""From random weights; Remback's 3e-5 is for published ones."""


def small_config(side: int) -> SamConfig:
    """SAM at a sixteenth of ViT-B's cost for each patch: six blocks, of which two see the whole picture."""
    return SamConfig(
        vision_config=SamVisionConfig(
            hidden_size=192,
            output_channels=128,
            num_hidden_layers=6,
            num_attention_heads=3,
            image_size=side,
            window_size=8,
            global_attn_indexes=[2, 5],
            num_pos_feats=64,
        ),
        prompt_encoder_config=SamPromptEncoderConfig(hidden_size=128, image_size=side),
        mask_decoder_config=SamMaskDecoderConfig(hidden_size=128, mlp_dim=512, iou_head_hidden_dim=128),
    )


def random_weights(config: SamConfig, path: Path) -> Path:
    """A seeded checkpoint in segment-anything's layout."""
    if not path.is_file():
        torch.manual_seed(0)
        # Its default, 1e-10, makes everything denormal, which is slow, and learns late.
        cast("SamVisionConfig", config.vision_config).initializer_range = 0.02
        torch.save(to_segment_anything(build_sam(config).state_dict()), path)
    return path


def write_crops(data: Path, folder: Path) -> Path:
    """Upper bodies of the clean pictures as a folder of their own."""
    if folder.is_dir():
        return folder
    index = find_pairs(data)
    samples, _ = read_samples(index.training + index.validation)
    for name in ("photos", "masks"):
        (folder / name).mkdir(parents=True)
    for sample in samples:
        rgb, alpha = upper_body(sample)
        Image.fromarray(rgb).save(folder / "photos" / f"{sample.name}.jpg", quality=95)
        Image.fromarray(alpha).save(folder / "masks" / f"{sample.name}.png")
    return folder


def box_overlap(pictures: tuple[Picture, ...]) -> float:
    """Mean IoU of the prompts' boxes themselves."""
    overlaps = []
    for picture in pictures:
        truth = read_truth(picture.mask) > 0.5
        filled = np.zeros_like(truth)
        left, top, right, bottom = (round(edge) for edge in picture.prompt.box or (0, 0, 0, 0))
        filled[top:bottom, left:right] = True
        overlaps.append(iou(filled, truth))
    return statistics.fmean(overlaps)


def learn(data: Path, out: Path, side: int, epochs: int, batch: int) -> None:
    """Train, and print the validation curve as a table."""
    checkpoint = random_weights(small_config(side), out / f"small-{side}.pth")
    settings = FinetuneSettings(
        data=(str(write_crops(data, out / "crops")),),
        checkpoint=str(checkpoint),
        epochs=epochs,
        batch=batch,
        learning_rate=LEARNING_RATE,
        weight_decay=1e-2,
        trained_blocks=6,
        patience=0,
    )
    run = FinetuneRun(settings, out / f"run-{side}", report=_show)
    recipe = SamRecipe(run.survey.training, run.survey.validation, checkpoint, settings.recipe())
    net = recipe.build().eval()
    with torch.inference_mode():
        before = recipe.validate(net)
    counts = len(run.survey.training), len(run.survey.validation), len(run.survey.skipped)
    print(f"{counts[0]} pictures to learn from, {counts[1]} to validate with, {counts[2]} not used")

    def show(progress: Progress) -> None:
        if progress.scores:
            print(f"step {progress.step}: loss {progress.loss:.4f}, {progress.scores}", flush=True)

    run.run(show)
    with (out / f"run-{side}" / LOG).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    print("\n| epoch | loss | IoU | median | tenth percentile |\n| ---: | ---: | ---: | ---: | ---: |")
    print(f"| the box alone | | {box_overlap(run.survey.validation):.3f} | | |")
    print(f"| before | | {before['iou']:.3f} | {before['iou_median']:.3f} | {before['iou_p10']:.3f} |")
    for number, row in enumerate(rows, 1):
        scores = (f"{float(row[name]):.3f}" for name in ("loss", "iou", "iou_median", "iou_p10"))
        print(f"| {number} | {' | '.join(scores)} |")


def _show(name: str, done: int, total: int) -> None:
    if done % 100 == 0 or done == total:
        print(f"{name}: {done} of {total}", flush=True)


def step_times(recipe: SamRecipe, steps: int) -> list[float]:
    """Processor seconds of each step, without reading the pictures, which another thread does meanwhile."""
    net = recipe.build().train()
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], fused=True)
    seconds = []
    for step in range(steps):
        batch = recipe.batch(step)
        start = time.process_time()
        loss = recipe.loss(net, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        seconds.append(time.process_time() - start)
    return seconds


def times(data: Path, out: Path, side: int, steps: int) -> None:
    """Print what kept features save."""
    torch.set_num_threads(1)
    crops = write_crops(data, out / "crops")
    print("| network | batch | a step | features kept | of it | keeping a view | on the disk |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    pictures = survey(FinetuneSettings(data=(str(crops),), boxes="mask"))
    for name, config, batch, blocks in (
        (f"small, {side} px, 6 blocks", small_config(side), 4, 2),
        ("SAM ViT-B, 1024 px", sam_config("vit_b"), 1, 3),
    ):
        checkpoint = random_weights(config, out / f"random-{batch}.pth")
        settings = SamSettings(batch=batch, trained_blocks=blocks)
        few = pictures.training[:2]
        plain = SamRecipe(few, pictures.validation[:1], checkpoint, settings)
        kept = SamRecipe(few, pictures.validation[:1], checkpoint, replace(settings, cached_views=1))
        start = time.process_time()
        kept.keep_features(out / f"features-{batch}", "cpu")
        # The first row is computed once more, for its shape.
        view = (time.process_time() - start) / 4
        rounds = [(step_times(plain, 1)[0], step_times(kept, 1)[0]) for _ in range(steps + 1)][1:]
        without, cached = (statistics.median(column) for column in zip(*rounds, strict=True))
        size = (out / f"features-{batch}" / "features.npy").stat().st_size / 3 / 1e6
        steps_told = f"{without:.2f} s | {cached:.2f} s | {cached / without:.2f}"
        print(
            f"| {name}, the last {blocks} trained | {batch} | {steps_told} | {view:.2f} s | {size:.1f} MB |", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--side", type=int, default=256, help="of the small network's input, in pixels")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--times", action="store_true", help="time steps instead")
    parser.add_argument("--steps", type=int, default=3, help="of each kind that are timed")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.times:
        times(arguments.data, arguments.out, arguments.side, arguments.steps)
    else:
        learn(arguments.data, arguments.out, arguments.side, arguments.epochs, arguments.batch)


if __name__ == "__main__":
    main()
