"""Services: what Kubernetes refuses, in its words."""

from __future__ import annotations

import pytest
from raftsman.core import v1 as core

from tests.services.apiserver.strategies import changed, wrong


def a_service(spec: str) -> str:
    return f"{{apiVersion: v1, kind: Service, metadata: {{name: web}}, spec: {spec}}}"


@pytest.mark.parametrize(
    ("spec", "refused"),
    [
        ("{ports: [{port: 80}]}", {}),
        ("{}", {"spec.ports": "Required value"}),
        ("{clusterIP: None}", {}),
        (
            "{ports: [{name: a, port: 80}, {name: b, port: 80}]}",
            {
                "spec.ports[1]": (
                    'Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,'
                    '"NodePort":0}'
                )
            },
        ),
        (
            "{type: ExternalName, externalName: a.b, clusterIP: 10.0.0.1, ipFamilies: [IPv4]}",
            {
                "spec.clusterIP": "Forbidden: may not be set when `type` is 'ExternalName'",
                "spec.ipFamilies": "Forbidden: may not be set when `type` is 'ExternalName'",
            },
        ),
        (
            "{ports: [{port: 80}], ipFamilyPolicy: Any}",
            {
                "spec.ipFamilyPolicy": (
                    'Unsupported value: "Any": supported values: "PreferDualStack", "RequireDualStack", "SingleStack"'
                )
            },
        ),
        (
            "{ports: [{port: 80}], externalIPs: [127.0.0.1]}",
            {
                "spec.externalIPs[0]": (
                    'Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)'
                )
            },
        ),
    ],
)
def test_what_makes_it_no_service_is_told(spec: str, refused: dict[str, str]) -> None:
    assert wrong(core.Service, a_service(spec)) == refused


def test_the_address_stays() -> None:
    before, after = "{clusterIP: 10.96.0.7, ports: [{port: 80}]}", "{clusterIP: 10.96.0.8, ports: [{port: 80}]}"
    assert changed(core.Service, a_service(before), a_service(after)) == {
        "spec.clusterIPs[0]": 'Invalid value: ["10.96.0.8"]: may not change once set'
    }
