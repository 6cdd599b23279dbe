"""Everything in one ZIP file. Knows nothing of Streamlit."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

from arena.render import Summary, result_files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from arena.comparison import Result
    from arena.render import Picture

ROOT = "results"
ZIPPED: tuple[Picture, ...] = ("masks", "blurred")


def results_zip(results: Iterable[Result], kernel: int) -> bytes:
    """Pack the pictures of all results at full size.

    Args:
        results: What to pack.
        kernel: Blur strength in pixels of the photos.

    Returns:
        A ZIP file: ``results/PHOTO/masks/KEY.png``, ``results/PHOTO/blurred/KEY.png`` and ``results/results.json``.
    """
    summary = Summary(kernel)
    with io.BytesIO() as buffer:
        # PNG files are compressed already.
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for result in results:
                summary.add(result)
                for path, contents in result_files(result, kernel, ZIPPED):
                    archive.writestr(f"{ROOT}/{path}", contents)
            archive.writestr(f"{ROOT}/results.json", summary.to_json())
        return buffer.getvalue()
