"""The model cards and how they are asked for."""

import re

import pytest

from arena.catalog import CARDS, DEFAULT_MODEL, InputSize, Task, get_card, list_models
from arena.errors import ArenaError, OptionError, UnknownModelError
from arena.matte import MatteKind

DESIGNED = {
    "lite",
    "classic",
    "sam3",
    "birefnet-portrait",
    "birefnet-hr-matting",
    "birefnet-dynamic",
    "birefnet-dynamic-matting",
    "rmbg-2.0",
    "ben2",
    "u2net",
    "u2net-human",
    "sam-vit-b",
    "remback",
}

UNPINNED = {"remback"}
"""Of its repository no commit was seen: the main branch is followed, as the card says."""


def test_every_model_of_the_design_has_a_card_and_keys_are_unique() -> None:
    keys = [card.key for card in CARDS]
    assert set(keys) >= DESIGNED
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.key)
def test_a_card_is_complete(card: object) -> None:
    from arena.catalog import ModelCard

    assert isinstance(card, ModelCard)
    assert card.summary.endswith(".")
    assert card.licence
    assert card.training_data
    if card.needs_download:
        assert card.file
        assert card.bytes > 1_000_000
        assert card.page.startswith("https://huggingface.co/")
        if card.available and card.key not in UNPINNED:
            # What can be run is pinned to a commit.
            assert re.fullmatch(r"[0-9a-f]{40}", card.revision)
    else:
        assert not card.page
    if card.sha256 is not None:
        assert re.fullmatch(r"[0-9a-f]{64}", card.sha256)
    if card.family == "birefnet":
        assert card.patch_order in ("legacy", "current")
    if card.mask_kind is MatteKind.BINARY:
        assert card.needs_feather


def test_the_default_model_is_in_the_box() -> None:
    card = get_card(DEFAULT_MODEL)
    assert card.available
    assert not card.needs_download
    assert card.commercial


def test_an_unknown_key_names_its_neighbours() -> None:
    with pytest.raises(UnknownModelError, match="Did you mean birefnet-portrait") as caught:
        get_card("birefnet-portait")
    assert isinstance(caught.value, ArenaError)
    assert str(caught.value).startswith('There is no model "birefnet-portait".')
    with pytest.raises(UnknownModelError, match="Known are: lite"):
        get_card("zzz")


def test_filters_narrow_the_list() -> None:
    assert [card.key for card in list_models("u2net*", commercial=True)] == ["u2net", "u2net-human", "u2netp"]
    assert [card.key for card in list_models(gated=True)] == ["rmbg-2.0"]
    assert {card.family for card in list_models(family="birefnet")} == {"birefnet"}
    assert all(card.mask_kind == "binary" for card in list_models(mask_kind="binary"))
    assert all(card.task is Task.DEPTH for card in list_models(task="depth"))
    assert [card.key for card in list_models(needs_download=False, available=True)] == ["lite", "classic"]
    assert list_models("nothing-*") == []


def test_a_filter_value_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(OptionError, match="Tasks: portrait"):
        list_models(task="landscape")


def test_input_sizes_explain_themselves_and_contradictions_are_refused() -> None:
    assert str(InputSize(side=1024, multiple=32)) == "1024 x 1024"
    assert str(InputSize(multiple=64, minimum=256, maximum=2304)) == "the photo's own, 256 to 2304 px"
    with pytest.raises(OptionError):
        InputSize(side=1000, multiple=64)
    with pytest.raises(OptionError):
        InputSize(minimum=512, maximum=256)
