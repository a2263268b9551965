"""Audio: excerpts from all over a file by libsndfile, mono and resampled, under limits."""

import io
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from recsql.errors import ContentError, ModelError
from recsql.settings import get_settings

MAX_CHANNELS = 32
MIN_RATE, MAX_RATE = 1_000, 400_000
"""Samples a second; what is beyond is a damaged file, or one that is made to waste memory."""


@dataclass(frozen=True)
class Excerpts:
    """Parts of a sound.

    Attributes:
        samples: each excerpt mono, float32, of the same length, the last one filled up with silence; shape
            ``(n_excerpts, n_samples)``.
        seconds: how long the whole sound lasts.
    """

    samples: NDArray[np.float32]
    seconds: float


def decode_audio(content: bytes, rate: int, n_samples: int, n_excerpts: int) -> Excerpts:
    """Excerpts of a sound: all of it where that many suffice, else as many, evenly from the beginning to the end.

    What the file is follows from its content, not from a name or a declared type. Only the excerpts are held.

    Args:
        content: the file (WAV, FLAC, Ogg, MP3, AIFF and what else libsndfile reads).
        rate: samples a second of the result.
        n_samples: length of an excerpt.
        n_excerpts: how many there are at most.

    Raises:
        ContentError: it is no sound that can be read, lasts no time or longer than ``RECSQL_MEDIA_SECONDS``, or is
            silent.
        ModelError: soundfile is not installed.
    """
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise ModelError("Audio needs soundfile: pip install 'recsql[media]'.") from error

    if not content:
        raise ContentError("the audio is empty: it has 0 bytes")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            seconds = _check(file.frames, file.samplerate, file.channels)
            ratio = Fraction(rate, file.samplerate).limit_denominator(1000)
            length = math.ceil(n_samples / ratio)
            parts = []
            for start in _starts(file.frames, length, n_excerpts):
                file.seek(start)
                read = file.read(length, dtype="float32", always_2d=True).mean(axis=1)
                parts.append(_resampled(read, ratio, n_samples))
    except ContentError:
        raise
    except Exception as error:  # libsndfile's reasons, and whatever a damaged file makes of sizes
        raise ContentError(f"it is no audio that can be read ({_reason(error)})") from error
    samples = np.stack(parts)
    if not np.isfinite(samples).all():
        raise ContentError("the audio is damaged: its samples are not numbers")
    if not samples.any():
        raise ContentError("the audio is silent")
    return Excerpts(samples, seconds)


def _check(n_frames: int, rate: int, channels: int) -> float:
    """How long a sound lasts, in seconds, if it may be read."""
    if n_frames <= 0:
        raise ContentError("the audio lasts 0 seconds")
    if not (MIN_RATE <= rate <= MAX_RATE and channels <= MAX_CHANNELS):
        raise ContentError(f"the audio is damaged: it claims {channels} channels at {rate:,} samples a second")
    seconds = n_frames / rate
    limit = get_settings().media_seconds
    if seconds > limit:
        raise ContentError(
            f"the audio lasts {seconds:,.0f} seconds, longer than the {limit:,.0f} of RECSQL_MEDIA_SECONDS"
        )
    return seconds


def _starts(n_frames: int, length: int, n_excerpts: int) -> list[int]:
    if n_frames <= length * n_excerpts:
        return list(range(0, n_frames, length))
    return np.linspace(0, n_frames - length, n_excerpts).astype(int).tolist()


def _resampled(samples: NDArray[np.float32], ratio: Fraction, n_samples: int) -> NDArray[np.float32]:
    from scipy.signal import resample_poly

    if ratio != 1 and len(samples):
        samples = resample_poly(samples, ratio.numerator, ratio.denominator)
    samples = samples[:n_samples].astype(np.float32)
    return np.pad(samples, (0, n_samples - len(samples)))


def _reason(error: Exception) -> str:
    reason = getattr(error, "error_string", "") or str(error) or type(error).__name__
    return reason.rstrip(".")
