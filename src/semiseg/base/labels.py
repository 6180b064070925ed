"""Constants of all label maps: the ignored value, and the default colours of classes."""

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
