"""Words that come from outside, as they are."""

import re

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-!|~$:])")


def plain(text: str) -> str:
    """Keep Streamlit from reading a file's name or an exception's words as Markdown.

    Args:
        text: Anything.

    Returns:
        Markdown that shows exactly this text: no emphasis, formula, link or picture comes of it.
    """
    return _MARKDOWN.sub(r"\\\1", text)
