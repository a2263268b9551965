"""The unified space: what it learns, what it does with missing modalities, and what becomes of it in an artifact."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from recsql.errors import ContentError, ModelError
from workers.encoders.unified import UnifiedEncoder
from workers.models.base import FloatArray, Sequences, TrainingOptions
from workers.unified.artifact import Projection, Source, load_projection, save_projection
from workers.unified.model import Unified, unit
from workers.unified.network import UnifiedConfig

TEXT, IMAGE = Source("words", "1", 12), Source("pixels", "1", 16)
SMALL: dict[str, Any] = {
    "dim": 16,
    "input_dropout": 0.0,
    "learning_rate": 0.01,
    "batch_size": 64,
    "epochs": 30,
    "validation_share": 0.0,
}
N_GROUPS = 8


def new(sources: tuple[Source, ...] = (TEXT, IMAGE), **options: Any) -> Projection:
    return Projection.new(sources, UnifiedConfig(**{**SMALL, **options}))


def rotations(n_items: int = 300, seed: int = 3) -> tuple[FloatArray, FloatArray]:
    """Two modalities that are one latent vector an item, each turned by a rotation of its own."""
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((n_items, 10))
    return tuple((latent @ np.linalg.qr(rng.standard_normal((dim, 10)))[0].T).astype(np.float32) for dim in (12, 16))


def nothing_happened() -> Sequences:
    return Sequences.from_lists([[]])


def missing(vectors: FloatArray) -> FloatArray:
    return np.full_like(vectors, np.nan)


def ranks_of_own(queries: FloatArray, candidates: FloatArray) -> np.ndarray:
    cosines = queries @ candidates.T
    return (cosines >= np.diag(cosines)[:, None]).sum(axis=1)


def groups(n_users: int = 200, n_items: int = 96) -> Sequences:
    """Users who each stay within one of eight groups of items; the group of item ``i`` is ``i % 8``."""
    rng = np.random.default_rng(5)
    return Sequences.from_lists(
        [(rng.permutation(n_items // N_GROUPS)[:8] * N_GROUPS + user % N_GROUPS).tolist() for user in range(n_users)]
    )


@pytest.fixture(scope="module")
def aligned() -> tuple[Projection, FloatArray, FloatArray]:
    """Learnt from the first 200 of 300 items."""
    text, image = rotations()
    projection = new()
    projection.model.fit([text[:200], image[:200]], nothing_happened(), TrainingOptions(seed=1))
    return projection, text, image


def test_modalities_of_an_item_that_training_never_saw_find_each_other(
    aligned: tuple[Projection, FloatArray, FloatArray],
) -> None:
    projection, text, image = aligned
    by_text = projection.project([text[200:], missing(image[200:])])
    by_image = projection.project([missing(text[200:]), image[200:]])
    # By chance, one of a hundred is first.
    assert (ranks_of_own(by_text, by_image) == 1).mean() > 0.9
    assert (ranks_of_own(by_image, by_text) == 1).mean() > 0.9


def test_vectors_have_length_1_whatever_is_missing(aligned: tuple[Projection, FloatArray, FloatArray]) -> None:
    projection, text, image = (aligned[0], aligned[1].copy(), aligned[2].copy())
    text[0], image[1] = np.nan, np.nan
    text[2], image[2] = np.nan, np.nan
    vectors = projection.project([text, image])
    assert vectors.shape == (300, 16)
    assert vectors.dtype == np.float32
    assert np.isnan(vectors[2]).all()
    assert np.allclose(np.linalg.norm(np.delete(vectors, 2, axis=0), axis=1), 1, atol=1e-5)


def test_vector_of_an_item_does_not_depend_on_the_others(aligned: tuple[Projection, FloatArray, FloatArray]) -> None:
    projection, text, image = aligned
    alone = projection.project([text[7:8], image[7:8]])
    assert np.allclose(alone[0], projection.project([text, image])[7], atol=1e-6)


def test_what_is_consumed_together_comes_together() -> None:
    # Half of each vector says which group the item is of, in a low voice; the other half is noise.
    group = np.arange(96) % N_GROUPS
    noise = np.random.default_rng(2).standard_normal((96, 8))
    vectors = np.concatenate([0.5 * np.eye(N_GROUPS)[group], noise], axis=1).astype(np.float32)

    def share_of_own_group(vectors: FloatArray) -> float:
        cosines = unit(vectors) @ unit(vectors).T - 2 * np.eye(96)
        return float((group[np.argsort(-cosines, axis=1)[:, :5]] == group[:, None]).mean())

    projection = new((IMAGE,))
    projection.model.fit([vectors], groups(), TrainingOptions(seed=1))
    # By chance, 11 of 95.
    assert share_of_own_group(vectors) < 0.3
    assert share_of_own_group(projection.project([vectors])) > 0.8


def test_same_seed_gives_the_same_projection() -> None:
    text, image = rotations(120)

    def trained(seed: int) -> FloatArray:
        projection = new(epochs=3)
        projection.model.fit([text, image], groups(), TrainingOptions(seed=seed))
        return projection.project([text, image])

    assert np.array_equal(trained(1), trained(1))
    assert not np.allclose(trained(1), trained(2))


def test_held_out_items_say_when_to_stop() -> None:
    text, image = rotations()
    told: list[str] = []
    projection = new(validation_share=0.2, patience=2, epochs=6)
    options = TrainingOptions(seed=1, progress=lambda done, total, note: told.append(note))
    metrics = projection.model.fit([text, image], groups(), options)
    # Once to see how many passes, once more on all items.
    n_validated = sum("ndcg@10" in note for note in told)
    assert n_validated >= metrics["epochs"] >= 1
    assert len(told) == n_validated + metrics["epochs"]
    assert 0 < metrics["ndcg@10"] <= 1


def test_saved_equals_loaded(aligned: tuple[Projection, FloatArray, FloatArray]) -> None:
    projection, text, image = aligned
    blob = save_projection(projection)
    loaded = load_projection(blob)
    assert loaded.sources == (TEXT, IMAGE)
    assert np.array_equal(loaded.project([text, image]), projection.project([text, image]))
    assert save_projection(loaded) == blob


@pytest.mark.parametrize("place", [20, -5])
def test_damaged_artifact_is_refused(aligned: tuple[Projection, FloatArray, FloatArray], place: int) -> None:
    blob = bytearray(save_projection(aligned[0]))
    blob[place] ^= 1
    with pytest.raises(ModelError, match="damaged"):
        load_projection(bytes(blob))
    with pytest.raises(ModelError, match="damaged"):
        load_projection(b"")


def test_artifact_of_another_model_is_refused() -> None:
    from workers.models.ease import Ease
    from workers.models.registry import save_artifact

    with pytest.raises(ModelError, match="artifact of ease, not of a unified space"):
        load_projection(save_artifact(Ease()))


def test_state_that_lacks_an_array_is_refused() -> None:
    model = Unified([12, 16], UnifiedConfig(**SMALL))
    state = model.state()
    state.popitem()
    with pytest.raises(ModelError, match="do not fit"):
        Unified([12, 16], UnifiedConfig(**SMALL)).restore(state)


def test_spaces_of_a_joint_model_are_averaged_as_they_are() -> None:
    joint = Source("clip", "1", 4)
    projection = new((joint, joint))
    text = np.array([[2, 0, 0, 0], [1, 0, 0, 0]], dtype=np.float32)
    image = np.array([[0, 1, 0, 0], [np.nan] * 4], dtype=np.float32)
    assert projection.model.fit(projection.inputs([text, image]), nothing_happened())["epochs"] == 0
    # (1, 0) and (0, 1) have their mean direction at 1/√2 each, whatever their lengths; what stands alone stays.
    assert np.allclose(projection.project([text, image]), [[0.5**0.5, 0.5**0.5, 0, 0], [1, 0, 0, 0]])
    assert np.allclose(load_projection(save_projection(projection)).project([text, image])[1], [1, 0, 0, 0])


def test_joint_model_beside_another_is_one_input() -> None:
    joint = Source("clip", "1", 12)
    projection = new((joint, IMAGE, joint))
    assert projection.model.widths == [12, 16]
    text, image = rotations(20)
    inputs = projection.inputs([text, image, missing(text)])
    assert np.allclose(inputs[0], text / np.linalg.norm(text, axis=1, keepdims=True), atol=1e-6)
    assert np.array_equal(inputs[1], image)


def test_encoder_takes_any_of_an_items_vectors(aligned: tuple[Projection, FloatArray, FloatArray]) -> None:
    projection, text, image = aligned
    encoder = UnifiedEncoder("unified", save_projection(projection), [5, 9])
    assert (encoder.modality, encoder.dim) == ("unified", 16)
    both, one = encoder.decode({9: image[0], 5: text[0]}), encoder.decode({9: image[1]})
    expected = projection.project([np.stack([text[0], text[1] * np.nan]), image[:2]])
    assert np.allclose(encoder.encode([both, one]), expected, atol=1e-6)


def test_encoder_refuses_what_it_does_not_project(aligned: tuple[Projection, FloatArray, FloatArray]) -> None:
    blob = save_projection(aligned[0])
    encoder = UnifiedEncoder("unified", blob, [5, 9])
    with pytest.raises(ContentError, match="no vector"):
        encoder.decode({7: np.ones(12, dtype=np.float32)})
    with pytest.raises(ContentError, match="13 dimensions, not 12"):
        encoder.decode({5: np.ones(13, dtype=np.float32)})
    with pytest.raises(ModelError, match="projects 2 spaces, not 1"):
        UnifiedEncoder("unified", blob, [5])


def test_nothing_to_learn_from_is_an_error() -> None:
    text, image = rotations(10)
    with pytest.raises(ModelError, match="nothing to learn"):
        new().model.fit([text, missing(image)], nothing_happened())


def test_unknown_hyperparameter_is_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        UnifiedConfig(**{"temperatur": 1})
