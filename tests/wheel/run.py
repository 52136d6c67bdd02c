"""Build the wheel, install it alone in a fresh venv outside the tree, and run a part of the tests there.

The dependencies are borrowed from the venv that runs this script (one .pth line), so nothing is downloaded twice;
the editable install is not borrowed, because a .pth file in a borrowed folder is not read.
"""

import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("tests/conftest.py", "tests/wheel", "tests/laws", "tests/careplan", "tests/test_examples.py")
"""What runs from the wheel: what reads the R4 pack and profiles/, the served example, the laws of the mapping."""

OF_THE_TREE = ("tests/careplan/test_pathway_resources.py",)
"""Tests of the source files themselves."""


def main() -> int:
    """The exit status of pytest."""
    with tempfile.TemporaryDirectory(prefix="icops-wheel-") as name:
        outside = Path(name)
        subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", outside, ROOT], check=True)
        (wheel,) = outside.glob("icops_fhir-*.whl")

        venv.create(outside / "venv", with_pip=False)
        python = outside / "venv" / "bin" / "python"
        site = subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True, capture_output=True, text=True)
        Path(site.stdout.strip(), "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
        subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--force-reinstall", wheel], check=True)

        work = outside / "work"
        shutil.copytree(ROOT / "examples", work / "examples")
        parts = [part for part in PARTS if (ROOT / part).exists()]
        for part in parts:
            (work / part).parent.mkdir(parents=True, exist_ok=True)
            source = ROOT / part
            shutil.copytree(source, work / part) if source.is_dir() else shutil.copy(source, work / part)
        shutil.copy(ROOT / "pyproject.toml", work)

        chosen = [part for part in parts if part != "tests/conftest.py"]
        marks = "not faults and not bench and not long and not network"
        return subprocess.run([python, "-I", "-m", "pytest", "-m", marks, *(f"--ignore={part}" for part in OF_THE_TREE), *chosen], cwd=work, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
