"""Build localhost/raftsman-demo:1 and :2 from this machine's busybox and load them into an instance's image store.

Reads /bin/busybox (static) and rootfs/ beside this file; writes the image store below --data-dir through
`podman load`, whether or not the agent runs. The build is reproducible, so an image that is there already is found by
its id and nothing is done. The two differ in the file /www/version and in RAFTSMAN_DEMO_VERSION.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import platform
import shutil
import struct
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from raftsman.agents.node.runtime import errors, podman_config
from raftsman.agents.node.runtime.layout import DEFAULT_DATA_DIR, Layout

NAME = "localhost/raftsman-demo"
PT_INTERP = 3
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
VERSIONS = ("1", "2")
SOURCE = Path(__file__).parent / "rootfs"
ETC = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
}
DIRECTORIES = (
    "bin",
    "dev",
    "etc",
    "home",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "tmp",
    "usr",
    "var",
    "www",
    "www/cgi-bin",
)


@dataclass(frozen=True, slots=True)
class Built:
    tag: str
    config: bytes
    layers: tuple[bytes, ...]

    @property
    def id(self) -> str:
        return hashlib.sha256(self.config).hexdigest()


class Archive:
    """A tar whose bytes depend on nothing but what was put in."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self._buffer, mode="w", format=tarfile.USTAR_FORMAT)

    def file(self, name: str, data: bytes, *, mode: int = 0o644) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(data), mode
        self._tar.addfile(entry, io.BytesIO(data))

    def directory(self, name: str, *, mode: int = 0o755) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode = tarfile.DIRTYPE, mode
        self._tar.addfile(entry)

    def link(self, name: str, target: str) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
        self._tar.addfile(entry)

    def bytes(self) -> bytes:
        self._tar.close()
        return self._buffer.getvalue()


def tools() -> bytes:
    """The layer that both images share: busybox under all its names, and the web server."""
    found = shutil.which("busybox")
    if found is None:
        sys.exit("busybox is not installed; `apt-get install busybox-static`")
    binary = Path(found).read_bytes()
    if not is_static(binary):
        sys.exit(f"{found} needs shared libraries; `apt-get install busybox-static`")
    names = subprocess.run([found, "--list"], capture_output=True, text=True, check=True).stdout.split()
    archive = Archive()
    for name in DIRECTORIES:
        archive.directory(name, mode=0o1777 if name == "tmp" else 0o755)
    archive.file("bin/busybox", binary, mode=0o755)
    for name in sorted(set(names) - {"busybox"}):
        archive.link(f"bin/{name}", "busybox")
    for name, text in ETC.items():
        archive.file(name, text.encode())
    for path in sorted(path for path in SOURCE.rglob("*") if path.is_file()):
        mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
        archive.file(str(path.relative_to(SOURCE)), path.read_bytes(), mode=mode)
    return archive.bytes()


def is_static(binary: bytes) -> bool:
    """Whether a 64-bit ELF file asks for no interpreter (PT_INTERP), elf(5)."""
    start, size, count = *struct.unpack_from("<Q", binary, 32), *struct.unpack_from("<HH", binary, 54)
    return all(struct.unpack_from("<I", binary, start + size * index)[0] != PT_INTERP for index in range(count))


def build(shared: bytes, version: str) -> Built:
    archive = Archive()
    archive.file("www/version", f"{version}\n".encode())
    layers = (shared, archive.bytes())
    config = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Cmd": ["/bin/serve"],
            "Env": ["PATH=/bin:/sbin:/usr/bin:/usr/sbin", f"RAFTSMAN_DEMO_VERSION={version}"],
            "ExposedPorts": {"8080/tcp": {}},
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "examples/demo-image"} for _ in layers],
    }
    return Built(f"{NAME}:{version}", json.dumps(config, sort_keys=True).encode(), layers)


def docker_archive(images: list[Built]) -> bytes:
    """What `podman load` reads: configs, layers and a manifest that names them."""
    archive, written, manifest = Archive(), set[str](), []
    for image in images:
        names = [f"{hashlib.sha256(layer).hexdigest()}.tar" for layer in image.layers]
        for name, data in zip((f"{image.id}.json", *names), (image.config, *image.layers), strict=True):
            if name not in written:
                archive.file(name, data)
                written.add(name)
        manifest.append({"Config": f"{image.id}.json", "RepoTags": [image.tag], "Layers": names})
    archive.file("manifest.json", json.dumps(manifest).encode())
    return archive.bytes()


def present(layout: Layout, image: Built) -> bool:
    try:
        entries = json.loads((layout.graph_root / "overlay-images" / "images.json").read_bytes())
    except (OSError, ValueError):
        return False
    return any(entry["id"] == image.id and image.tag in (entry.get("names") or ()) for entry in entries)


def main() -> None:
    parser = argparse.ArgumentParser(description="Put the demo images into a node's image store.")
    parser.add_argument("--data-dir", type=Path, default=DEFAULT_DATA_DIR)
    layout = Layout.of(parser.parse_args().data_dir)
    shared = tools()
    images = [build(shared, version) for version in VERSIONS]
    missing = [image for image in images if not present(layout, image)]
    if not missing:
        print(f"{NAME}:1 and :2 are there already")
        return
    try:
        environment = podman_config.write(layout, podman_config.detect())
    except errors.Unavailable as reason:
        sys.exit(str(reason))
    loaded = subprocess.run(
        ["podman", "load", "--quiet"], input=docker_archive(missing), env=environment, capture_output=True
    )
    if loaded.returncode:
        sys.exit(f"podman could not load the demo images: {loaded.stderr.decode(errors='replace').strip()}")
    print(f"loaded {', '.join(image.tag for image in missing)} into {layout.graph_root}")


if __name__ == "__main__":
    main()
