"""Everything in one ZIP file. Knows nothing of Streamlit."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

from arena.render import EFFECT_PICTURES, Summary, result_files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from arena.comparison import Result
    from arena.finish import Finish
    from arena.render import Picture

ROOT = "results"


def results_zip(results: Iterable[Result], finish: Finish) -> bytes:
    """Pack the pictures of all results at full size.

    Args:
        results: What to pack.
        finish: Refinement and effect.

    Returns:
        A ZIP file: ``results/PHOTO/masks/KEY.png``, the effect's pictures as ``results/PHOTO/blurred/KEY.png``,
        ``replaced`` or ``cutout``, and ``results/results.json``, which says what could not be made.
    """
    summary = Summary(finish)
    pictures: tuple[Picture, ...] = "masks", EFFECT_PICTURES[finish.effect]
    with io.BytesIO() as buffer:
        # PNG files are compressed already.
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for result in results:
                made = result
                try:
                    for path, contents in result_files(result, finish, pictures):
                        archive.writestr(f"{ROOT}/{path}", contents)
                except Exception as error:  # noqa: BLE001 - one picture's failure must not end the archive
                    # The others are wanted all the same, and results.json says what is missing.
                    made = result.failed(error)
                summary.add(made)
            archive.writestr(f"{ROOT}/results.json", summary.to_json())
        return buffer.getvalue()
