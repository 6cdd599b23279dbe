"""Runs and their results, for whichever page asked for them. Knows nothing of Streamlit's widgets."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from arena.catalog import DEPTH_MODEL, Task, get_card
from arena.devices import resolve_device
from arena.errors import DeviceError
from arena.ui.job import Job, Order
from arena.ui.sketch import Prompts
from arena.ui.state import Column, ResultKey, session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arena.comparison import Result
    from arena.errors import ArenaError
    from arena.photo import Photo
    from arena.ui.state import Workspace

ANY_PERSON = Prompts(text="person")
"""What models that take a text look for unless told otherwise."""


def busy_workspace() -> Workspace | None:
    """The page whose run is under way; there is one at a time."""
    for space in session().workspaces:
        if space.job is not None and space.job.running:
            return space
    return None


def start(
    space: Workspace, photos: Sequence[Photo], models: Sequence[str], device: str, prompts: Prompts = ANY_PERSON
) -> None:
    """Run what is missing; if nothing is, run all of it again.

    Args:
        space: The page's memory.
        photos: What to run on.
        models: Keys of what to run, in column order.
        device: A device key or ``"auto"``.
        prompts: What to tell those that listen.
    """
    pairs = [(model, photo) for model in models for photo in photos]
    missing = [(model, photo) for model, photo in pairs if not _is_done(space, model, photo, device, prompts)]
    space.earlier = list(dict.fromkeys(column for photo in space.at_hand.values() for column in _on_page(space, photo)))
    space.shown = [Column(model, device, prompts) for model in models]
    _launch(space, missing or pairs, device, prompts)


def retry(space: Workspace, key: ResultKey) -> None:
    """Run a model on a photo once more.

    Args:
        space: The page's memory.
        key: The result that was not to be had.
    """
    result = space.results.get(key)
    if result is not None and result.photo is not None:
        _launch(space, [(key.model, result.photo)], key.device, key.prompts)


def find_depths(space: Workspace, photos: Sequence[Photo], device: str) -> None:
    """Find out how far everything in photos is.

    Args:
        space: The page's memory.
        photos: The photos.
        device: A device key or ``"auto"``.
    """
    for photo in photos:
        space.depth_errors.pop(photo.digest, None)
    space.job = Job([Order(DEPTH_MODEL, photos)], device)
    space.job.start()


def collect() -> None:
    """Take over what runs have finished, unless its photo is gone by now; what it replaces was kept until here."""
    for space in session().workspaces:
        if space.job is None:
            continue
        for result in space.job.take():
            if result.photo is None or result.photo.digest not in space.at_hand:
                continue
            if get_card(result.model).task is Task.DEPTH:
                # A map that was uploaded meanwhile stays.
                if result.photo.digest not in space.depths:
                    take_depth(space, result.photo, result.error)
                continue
            key = _key(result.model, result.photo.digest, result.device, space.prompts)
            # What another device or prompt gave is dropped with it: each result holds a matte of the photo's size.
            for old in [k for k in space.results if (k.model, k.digest) == (key.model, key.digest)]:
                del space.results[old]
                space.previews.pop(old, None)
            space.results[key] = result


def take_depth(space: Workspace, photo: Photo, error: ArenaError | None = None) -> None:
    """Keep what has become known of a photo's depth.

    Args:
        space: The page's memory.
        photo: The photo, with its depth if that was found out.
        error: Why it was not.
    """
    # What the photo's file says of its depth may have been forgotten on purpose.
    if error is not None:
        space.depth_errors[photo.digest] = error
        return
    if photo.depth is None:
        return
    space.depths[photo.digest] = photo.depth
    space.depth_errors.pop(photo.digest, None)
    # They hold the photo without it.
    for key in [key for key in space.previews if key.digest == photo.digest]:
        del space.previews[key]


def forget_depths(space: Workspace) -> None:
    """Let go of the depth of all photos.

    Args:
        space: The page's memory.
    """
    for digest in space.depths:
        for key in [key for key in space.previews if key.digest == digest]:
            del space.previews[key]
    space.depths.clear()
    space.depth_errors.clear()
    space.depths_forgotten += 1


def shown_results(space: Workspace) -> list[tuple[ResultKey, Result]]:
    """The results of the last run's columns, whatever is chosen by now; of the columns before while it has given none.

    Args:
        space: The page's memory.

    Returns:
        Pairs by photo and then in column order; the results bear the photos' present names.
    """
    shown = []
    for photo in space.at_hand.values():
        for column in _on_page(space, photo):
            key = _key_of(column, photo)
            shown.append((key, completed(space, space.results[key])))
    return shown


def completed(space: Workspace, result: Result) -> Result:
    """A result with what has become known of its photo since.

    Args:
        space: The page's memory.
        result: A result of a photo at hand.

    Returns:
        The same with the photo's depth, if that was found out, and its present name: names are told apart anew when
        photos come and go.
    """
    if result.photo is None:
        return result
    digest = result.photo.digest
    photo = result.photo.with_depth(space.depths.get(digest))
    return dataclasses.replace(result, photo_name=space.at_hand[digest].name, photo=photo)


def _on_page(space: Workspace, photo: Photo) -> list[Column]:
    """The columns that a photo has on the page."""
    for columns in (space.shown, space.earlier):
        if there := [column for column in columns if _key_of(column, photo) in space.results]:
            return there
    return []


def _key_of(column: Column, photo: Photo) -> ResultKey:
    return _key(column.model, photo.digest, _place(column.device), column.prompts)


def _launch(space: Workspace, wanted: Sequence[tuple[str, Photo]], device: str, prompts: Prompts) -> None:
    models = list(dict.fromkeys(model for model, _ in wanted))
    orders = [Order(model, [photo for m, photo in wanted if m == model]) for model in models]
    told = {model: prompts.taken_by(get_card(model)).keywords() for model in models}
    space.job = Job(orders, device, told)
    space.prompts = prompts
    space.job.start()


def _key(model: str, digest: str, device: str, prompts: Prompts) -> ResultKey:
    return ResultKey(digest, model, device, prompts.taken_by(get_card(model)))


def _place(device: str) -> str:
    """What a choice comes to by now; a device that has failed meanwhile is what it was."""
    try:
        return resolve_device(device)
    except DeviceError:
        return device


def _is_done(space: Workspace, model: str, photo: Photo, device: str, prompts: Prompts) -> bool:
    result = space.results.get(_key(model, photo.digest, _place(device), prompts))
    return result is not None and result.error is None
