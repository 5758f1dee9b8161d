"""Title cards: the prompt on a coloured ground, with something that moves."""

import hashlib
import math

from PIL import Image, ImageDraw

from schemas.media import Film
from workers.engines.title_card import colour, ground, write


class Storyboard:
    """The frames of one film, each drawn when it is asked for; equal films have equal frames."""

    def __init__(self, film: Film) -> None:
        width, height = (int(each) for each in film.size.split("x"))
        self.size = width, height
        self.frames = max(1, round(film.seconds * film.fps))
        digest = hashlib.sha256(f"{film.prompt}\0{film.seed}".encode()).digest()
        self._phase = digest[1] / 256
        hue = digest[0] / 256
        self._accent = colour(hue + 0.5, 0.85)
        self._ground = ground(self.size, colour(hue, 0.25), colour(hue + 0.08, 0.45))
        write(self._ground, film.prompt)

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
