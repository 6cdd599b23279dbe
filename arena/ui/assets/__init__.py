"""Pictures of the page's own."""

from pathlib import Path

# A Material icon would be fetched from another host; this one is drawn for the project.
ICON = Path(__file__).with_name("icon.png")
