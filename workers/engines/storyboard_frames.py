"""Title cards: the prompt on a coloured ground, with something that moves."""

import colorsys
import hashlib
import math
import textwrap
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from schemas.media import Film

MARGIN: Final = 0.08
"""Of the width, left and right of the prompt."""

LARGEST_LETTERS: Final = 0.12
SMALLEST_LETTERS: Final = 0.03
"""Of the height."""

Colour = tuple[int, int, int]


class Storyboard:
    """The frames of one film, each drawn when it is asked for; equal films have equal frames."""

    def __init__(self, film: Film) -> None:
        width, height = (int(each) for each in film.size.split("x"))
        self.size = width, height
        self.frames = max(1, round(film.seconds * film.fps))
        digest = hashlib.sha256(f"{film.prompt}\0{film.seed}".encode()).digest()
        self._phase = digest[1] / 256
        hue = digest[0] / 256
        self._accent = _colour(hue + 0.5, 0.85)
        self._ground = _ground(self.size, _colour(hue, 0.25), _colour(hue + 0.08, 0.45))
        _write(self._ground, film.prompt)

    def frame(self, number: int) -> Image.Image:
        image = self._ground.copy()
        draw = ImageDraw.Draw(image)
        width, height = self.size
        done = (number + 1) / self.frames
        radius = max(2, height // 24)
        angle = 2 * math.pi * (self._phase + 2 * number / self.frames)
        x, y = width / 2 + 0.42 * width * math.cos(angle), height * 0.86 + 0.04 * height * math.sin(2 * angle)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=self._accent)
        draw.rectangle((0, height - max(2, height // 60), width * done, height), fill=self._accent)
        return image


def _colour(hue: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, 0.6, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _ground(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    shade = Image.linear_gradient("L").resize(size)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), shade)


def _write(image: Image.Image, prompt: str) -> None:
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
