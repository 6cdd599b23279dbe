"""The page on a machine whose hub is the emulator: cards get the sizes and checksums of the files that it serves.

Started by ``tests/e2e/test_downloads.py`` with ``ARENA_TEST_CARDS`` naming a JSON file of card fields by key.
"""

import dataclasses
import json
import os
import runpy
from pathlib import Path

from arena import catalog

changes = json.loads(Path(os.environ["ARENA_TEST_CARDS"]).read_text("utf-8"))
cards = tuple(dataclasses.replace(card, **changes.get(card.key, {})) for card in catalog.CARDS)
catalog.CARDS = cards
catalog._BY_KEY.update({card.key: card for card in cards})

runpy.run_path(str(Path(__file__).resolve().parents[2] / "app.py"), run_name="__main__")
