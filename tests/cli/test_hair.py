from __future__ import annotations

import pytest

from arena.cli.options import is_told, prompts_for
from arena.errors import OptionError


def test_hair_goes_to_the_models_that_follow_it() -> None:
    told = prompts_for(["lite", "classic", "remback", "sam-vit-b"], boxes=["1,2,30,40"], hair=True)
    assert told["remback"] == {"boxes": [(1, 2, 30, 40)], "hair": True}
    assert told["sam-vit-b"] == {"boxes": [(1, 2, 30, 40)], "hair": True}
    assert told["lite"] == {"hair": True}
    assert "classic" not in told
    assert prompts_for(["remback"]) == {}


def test_hair_alone_tells_sam_nothing_of_where_to_look() -> None:
    with pytest.raises(OptionError, match="SAM ViT-B"):
        prompts_for(["sam-vit-b"], hair=True)


def test_where_no_model_follows_hair_the_refinement_is_named_instead() -> None:
    with pytest.raises(OptionError, match="--refine hair"):
        prompts_for(["classic"], hair=True)


def test_how_to_look_is_not_what_to_look_for() -> None:
    assert not is_told(prompts_for(["remback"], hair=True), "remback")
    assert is_told(prompts_for(["remback"], boxes=["1,2,30,40"], hair=True), "remback")
    assert not is_told({}, "remback")
