"""Execute the notebooks in place, and leave in them nothing that another machine or another day would change.

    python notebooks/execute.py            # all of them
    python notebooks/execute.py 02_does_it_hold.ipynb

Run it after the results changed; it needs the `test` extra (nbformat, nbclient, ipykernel). Each notebook runs in a
fresh kernel of this very Python, with the folder of this file as its working directory. Timings and the kernel's own
metadata are dropped, so that a diff shows what changed in the results. A cell that raises ends it with its
traceback, and that notebook stays as it was.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook with fresh outputs, cleaned."""
    notebook = nbformat.read(path, as_version=4)
    # No kernel spec of the machine is asked for: any Python with ipykernel knows `python3` as itself.
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(HERE)}})
    client.execute()
    return cleaned(notebook)


def cleaned(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The same without what differs between machines and runs."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
    return notebook


def main(names: list[str]) -> None:
    """Execute these notebooks, or all."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models: more threads only wait for each other
    paths = [HERE / name for name in names] or sorted(HERE.glob("*.ipynb"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # a kernel each: most of the time goes into starting it
        for path, notebook in zip(paths, pool.map(executed, paths), strict=True):
            nbformat.validate(notebook)
            nbformat.write(notebook, path)
            print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
