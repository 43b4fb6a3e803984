"""Image names as users write them."""

import pytest
from raftsman.agents.node.runtime import errors, image_names

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("written", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("grafana/grafana", "docker.io/grafana/grafana:latest"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
        ("registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9"),
        ("localhost/demo", "localhost/demo:latest"),
        ("localhost:5000/a/b:x", "localhost:5000/a/b:x"),
        (f"nginx@{DIGEST}", f"docker.io/library/nginx@{DIGEST}"),
        (f"nginx:1@{DIGEST}", f"docker.io/library/nginx@{DIGEST}"),
        ("127.0.0.1:5000/x", "127.0.0.1:5000/x:latest"),
    ],
)
def test_a_name_is_completed_as_kubernetes_completes_it(written, full):
    assert str(image_names.parse(written)) == full


@pytest.mark.parametrize("written", ["", "Nginx", "a:", "a b", "a@sha256:12", "a//b", ":x", "a:b:c", "x/" + "y" * 300])
def test_what_is_no_name_is_refused(written):
    with pytest.raises(errors.InvalidImageName):
        image_names.parse(written)


def test_only_localhost_without_a_port_is_local():
    assert image_names.parse("localhost/a").local
    assert not image_names.parse("localhost:5000/a").local
    assert image_names.parse("localhost:5000/a").insecure
    assert not image_names.parse("quay.io/a").insecure
