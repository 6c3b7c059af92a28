"""Names as figures draw them."""

from potstill.evaluate.plots import canvas


def test_a_class_whose_name_the_font_lacks_is_drawn_by_its_id():
    assert canvas.drawable(["joy", "日本", "a\nb", "x" * 40]) == ["joy", "#1", "a b", "x" * 27 + "…"]
