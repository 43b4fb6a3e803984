"""What is installed is what is on disk: setuptools leaves an unlisted package out of the wheel without a word."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def packages_on_disk() -> set[str]:
    found = set()
    for package, folder in SETUPTOOLS["package-dir"].items():
        top = ROOT / folder
        for init in top.rglob("__init__.py"):
            parts = init.parent.relative_to(top).parts
            found.add(".".join([package, *parts]))
    return found


def test_every_package_on_disk_is_listed() -> None:
    assert set(SETUPTOOLS["packages"]) == packages_on_disk()


def test_every_folder_with_code_is_a_package() -> None:
    folders = {path.parent for top in SETUPTOOLS["package-dir"].values() for path in (ROOT / top).rglob("*.py")}
    assert not [str(folder) for folder in folders if not (folder / "__init__.py").exists()]


def test_the_wheel_holds_the_whole_namespace_and_runs_from_a_clean_place(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--disable-pip-version-check", "-w", tmp_path, ROOT],
        check=True,
    )
    wheel = next(tmp_path.glob("raftsman-*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"raftsman"}
    for package in packages_on_disk():
        assert package.replace(".", "/") + "/__init__.py" in names
    assert "raftsman/py.typed" in names
    target = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(target)
    code = "import raftsman, raftsman.store, raftsman.services, raftsman.agents; print(raftsman.__file__)"
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(target)!r}); "
         "sys.meta_path = [f for f in sys.meta_path if '__editable__' not in str(f)]; " + code],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert ran.stdout.strip().startswith(str(target))
