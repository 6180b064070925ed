"""The data of the page of predictions; tests/browser/test_gallery.py tests its use."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from semiseg.inference.gallery import VIEW, Gallery, fitting


@pytest.mark.parametrize(
    ("size", "expected"), [((4000, 2000), (960, 480)), ((300, 200), (300, 200)), ((1, 5000), (1, 960))]
)
def test_pictures_keep_their_proportions_and_are_never_enlarged(size, expected):
    assert fitting(*size, VIEW) == expected


def test_the_page_carries_what_was_predicted(tmp_path):
    gallery = Gallery(tmp_path, "</script>", ["a", "b"], [[1, 2, 3], [250, 0, 0]])
    image = np.full((20, 40, 3), 100, np.uint8)
    label = np.zeros((20, 40), np.uint8)
    label[:, :10] = 1
    gallery.add("x/sure", image, label, np.full((20, 40), 255, np.uint8))
    gallery.add("unsure", image, label * 0, np.full((20, 40), 102, np.uint8), note="why")
    text = gallery.write().read_text()
    assert text.count("</script>") == 1
    content = json.loads(re.search(r"^const content = (.*);$", text, re.MULTILINE)[1])
    first, second = content["images"]
    assert [first["name"], first["confidence"], first["shares"], first["note"]] == ["unsure", 0.4, {"0": 1.0}, "why"]
    assert [second["name"], second["confidence"], second["shares"]] == ["x/sure", 1.0, {"0": 0.75, "1": 0.25}]
    mask = np.asarray(Image.open(tmp_path / "gallery/mask/x/sure.png").convert("RGB"))
    assert tuple(mask[0, 0]) == (250, 0, 0) and tuple(mask[0, 20]) == (1, 2, 3)
    for kind in ("image", "thumbnail", "confidence"):
        assert Image.open(tmp_path / f"gallery/{kind}/x/sure.jpg").size == (40, 20)
