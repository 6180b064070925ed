"""What label maps have in common everywhere: the value that is ignored, and the colours of classes without colours."""

from __future__ import annotations

IGNORE = 255


def voc_palette(classes: int) -> tuple[tuple[int, int, int], ...]:
    """The colour map of the PASCAL VOC development kit: the bits of the index, dealt to R, G, B from the top."""
    palette = []
    for index in range(classes):
        colour = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                colour[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
        palette.append((colour[0], colour[1], colour[2]))
    return tuple(palette)
