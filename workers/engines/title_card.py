"""What a storyboard's frames and pictures are made of: colours, a ground, and the prompt in letters."""

import colorsys
import textwrap
from typing import Final

from PIL import Image, ImageDraw, ImageFont

MARGIN: Final = 0.08
"""Of the width, left and right of the prompt."""

LARGEST_LETTERS: Final = 0.12
SMALLEST_LETTERS: Final = 0.03
"""Of the height."""

Colour = tuple[int, int, int]


def colour(hue: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, 0.6, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def ground(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    shade = Image.linear_gradient("L").resize(size)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), shade)


def write(image: Image.Image, prompt: str) -> None:
    """The prompt in the largest letters that it fits in, cut short where it fits in none."""
    width, height = image.size
    draw = ImageDraw.Draw(image)
    room = width * (1 - 2 * MARGIN), height * 0.66
    letters = height * LARGEST_LETTERS
    while True:
        font = ImageFont.load_default(max(6.0, letters))
        columns = max(1, int(room[0] / font.getlength("n")))
        text = textwrap.fill(" ".join(prompt.split()), columns)
        left, top, right, bottom = draw.multiline_textbbox((0, 0), text, font=font, align="center")
        if right - left <= room[0] and bottom - top <= room[1]:
            break
        if letters <= height * SMALLEST_LETTERS:
            lines = max(1, int(room[1] / (1.5 * letters)))
            text = textwrap.fill(" ".join(prompt.split()), columns, max_lines=lines, placeholder=" …")
            break
        letters *= 0.85
    draw.multiline_text((width / 2, height * 0.42), text, font=font, anchor="mm", align="center", fill="white")
