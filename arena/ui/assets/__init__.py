"""What the page brings of its own: its picture, the layout of results, and the script and style of the canvas."""

from pathlib import Path

_FOLDER = Path(__file__).parent

# A Material icon would be fetched from another host; this one is drawn for the project.
ICON = _FOLDER / "icon.png"

CANVAS_SCRIPT = _FOLDER / "canvas.js"
CANVAS_STYLE = _FOLDER / "canvas.css"

# Styles the pictures of results; it has to be on the page before they are, or they jump.
RESULTS_STYLE = _FOLDER / "results.css"
