"""What is handed to the browser as text."""

import base64
import re

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-!|~$:&])")


def plain(text: str) -> str:
    """Keep Streamlit from reading a file's name or an exception's words as Markdown.

    Args:
        text: Anything.

    Returns:
        Markdown that shows exactly this text: no emphasis, formula, picture or link with words of its own comes of
        it. An address that is spelled out becomes a link to itself.
    """
    return _MARKDOWN.sub(r"\\\1", text)


def data_url(jpeg: bytes) -> str:
    """A picture inside the page's own messages.

    Streamlit serves pictures as files that it forgets as soon as a rerun shows others: a slider that is dragged would
    leave the browser asking for pictures which are gone.

    Args:
        jpeg: A JPEG file.

    Returns:
        A ``data:`` address.
    """
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
