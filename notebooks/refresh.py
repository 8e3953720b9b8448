"""Run a notebook and store its outputs, so that only what changed differs: no times, no run counters left over.

    python notebooks/refresh.py [notebook.ipynb ...]        all in notebooks/ by default
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

HERE = Path(__file__).resolve().parent
SECONDS = 120  # for one cell


def execute(path: Path) -> nbformat.NotebookNode:
    """The notebook of this file with fresh outputs, run in its own folder. A cell that raises raises here."""
    notebook = nbformat.read(path, as_version=4)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the kernel takes it over: small matrices need no more
    with tempfile.TemporaryDirectory() as sockets:  # in place of network ports
        settings = Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}})
        folder = {"metadata": {"path": str(path.parent)}}
        NotebookClient(notebook, timeout=SECONDS, resources=folder, config=settings).execute()
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # the times
        if cell.cell_type == "code":
            joined(cell)
    return notebook


def joined(cell: nbformat.NotebookNode) -> None:
    """What was printed as one output: in how many parts it came is chance."""
    outputs: list[nbformat.NotebookNode] = []
    for output in cell.outputs:
        last = outputs[-1] if outputs else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            outputs.append(output)
    cell.outputs = outputs


def main() -> None:
    for path in [Path(name) for name in sys.argv[1:]] or sorted(HERE.glob("*.ipynb")):
        nbformat.write(execute(path), path)
        print(f"{path}: {path.stat().st_size / 1000:,.0f} kB")


if __name__ == "__main__":
    main()
