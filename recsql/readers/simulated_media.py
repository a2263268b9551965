"""Drawn images and synthesised sounds whose look and timbre follow the genre."""

import base64
import colorsys
import importlib.util
import io
import math
import wave

import numpy as np

IMAGE_PIXELS = 48
SAMPLE_RATE = 8000
SECONDS = 1.0

N_GENRES = 6
# (pitch in Hz, strength of the harmonics, share of noise, pulses a second, sharpness of the attack)
_TIMBRES: tuple[tuple[float, tuple[float, ...], float, float, float], ...] = (
    (220.0, (1.0, 0.0, 0.6, 0.0, 0.4, 0.0, 0.3), 0.01, 8.0, 12.0),
    (175.0, (1.0, 0.7, 0.2, 0.4, 0.1), 0.08, 3.0, 4.0),
    (260.0, (1.0, 0.3, 0.1), 0.01, 1.0, 1.0),
    (390.0, (1.0, 0.5, 0.5, 0.2), 0.03, 4.0, 8.0),
    (82.0, (1.0, 0.9, 0.9, 0.8, 0.8, 0.7, 0.7, 0.6), 0.35, 10.0, 3.0),
    (330.0, (1.0, 0.6, 0.3, 0.15, 0.08), 0.02, 2.0, 9.0),
)


def has_pillow() -> bool:
    """Whether images can be drawn."""
    return importlib.util.find_spec("PIL") is not None


def medium(modality: str, mime: str, content: bytes) -> dict[str, str]:
    """A medium as it stands in the payload of an item."""
    return {"modality": modality, "mime": mime, "base64": base64.b64encode(content).decode("ascii")}


def draw(genre_index: int, rng: np.random.Generator) -> bytes:
    """A PNG of 48 × 48 pixels: the shape and the colours of the genre, its place and size of the item."""
    from PIL import Image, ImageDraw

    hue = (genre_index + rng.uniform(-0.2, 0.2)) / N_GENRES
    image = Image.new("RGB", (IMAGE_PIXELS, IMAGE_PIXELS), _rgb(hue, 0.5, rng.uniform(0.15, 0.35)))
    pen = ImageDraw.Draw(image)
    ink = _rgb(hue + rng.uniform(-0.03, 0.03), rng.uniform(0.6, 0.9), rng.uniform(0.85, 1.0))
    x, y = rng.uniform(18, 30, 2)
    radius = rng.uniform(10, 16)
    box = (x - radius, y - radius, x + radius, y + radius)
    match genre_index:
        case 0:
            pen.ellipse(box, fill=ink)
            pen.ellipse((x - radius * 1.5, y - 3, x + radius * 1.5, y + 3), outline=ink, width=1)
        case 1:
            for offset in range(-IMAGE_PIXELS, IMAGE_PIXELS, 8):
                pen.line((offset + x, 0, offset + x + IMAGE_PIXELS, IMAGE_PIXELS), fill=ink, width=3)
        case 2:
            pen.ellipse((x - radius, y - radius, x, y), fill=ink)
            pen.ellipse((x, y - radius, x + radius, y), fill=ink)
            pen.polygon([(x - radius, y - radius / 2), (x + radius, y - radius / 2), (x, y + radius)], fill=ink)
        case 3:
            for angle in np.linspace(0, 2 * math.pi, 8, endpoint=False):
                dot_x, dot_y = x + radius * math.cos(angle), y + radius * math.sin(angle)
                pen.ellipse((dot_x - 4, dot_y - 4, dot_x + 4, dot_y + 4), fill=ink)
        case 4:
            pen.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=ink)
            pen.line((0, y, IMAGE_PIXELS, y), fill=ink, width=2)
        case _:
            for step in (1.0, 0.7, 0.4):
                pen.rectangle((x - radius * step, y - radius * step, x + radius * step, y + radius * step), outline=ink)
            pen.rectangle((0, 40, IMAGE_PIXELS, IMAGE_PIXELS), fill=ink)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def synthesise(genre_index: int, rng: np.random.Generator) -> bytes:
    """A WAV of one second, mono, 16 bits, 8 kHz: the timbre of the genre, the pitch of the item."""
    pitch, harmonics, noise, pulses, attack = _TIMBRES[genre_index % len(_TIMBRES)]
    pitch *= 2 ** (rng.integers(-4, 5) / 12)
    seconds = np.arange(int(SAMPLE_RATE * SECONDS)) / SAMPLE_RATE
    tone = np.zeros_like(seconds)
    for number, strength in enumerate(harmonics, 1):
        if pitch * number < SAMPLE_RATE / 2:
            tone += strength * np.sin(2 * np.pi * pitch * number * seconds + rng.uniform(0, 2 * np.pi))
    tone = tone / np.abs(tone).max() * (1 - noise) + noise * rng.uniform(-1, 1, len(seconds))
    envelope = 0.15 + 0.85 * np.exp(-attack * ((seconds * pulses) % 1.0))
    samples = np.int16(np.clip(tone * envelope, -1, 1) * 0.8 * np.iinfo(np.int16).max)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


def _rgb(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return int(red * 255), int(green * 255), int(blue * 255)
