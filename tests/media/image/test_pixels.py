from __future__ import annotations

from typing import Any

import pytest
import torch

from nodes.media.files import MediaError
from nodes.media.image.pixels import check_batch

IMAGES = torch.zeros(2, 8, 8, 3)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (None, "image is None"),
        ([IMAGES[0]], "not an IMAGE but list"),
        ({"samples": IMAGES}, "not an IMAGE but dict"),
        (IMAGES.numpy(), "not an IMAGE but ndarray"),
        (IMAGES[0], "not an IMAGE but 8×8×3"),
        (IMAGES[..., 0], "not an IMAGE but 2×8×8"),
        (IMAGES[:0], "empty batch"),
        (IMAGES.to_sparse(), "cannot be read"),
        (IMAGES.to("meta"), "cannot be read"),
    ],
    ids=["None", "list", "latent", "numpy", "one image", "mask", "empty", "sparse", "meta"],
)
def test_check_batch_refuses_what_is_not_a_batch_of_images(image: Any, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        check_batch(image)


def test_check_batch_takes_a_batch() -> None:
    check_batch(IMAGES)
