"""Storage classes, CSI drivers, attachments; runtime classes and flow control."""

from __future__ import annotations

import pytest
from raftsman.flowcontrol import v1 as flowcontrol
from raftsman.node import v1 as node
from raftsman.storage import v1 as storage

from tests.services.apiserver.strategies import changed, created, observed, wrong

GROUP = "storage.k8s.io/v1"


def a_class(rest: str = "provisioner: example.com/disk") -> str:
    return f"{{apiVersion: {GROUP}, kind: StorageClass, metadata: {{name: a}}, {rest}}}"


def test_volumes_of_a_class_are_made_at_once_and_go_with_their_claims() -> None:
    found = created(storage.StorageClass, a_class())
    assert (found.reclaim_policy, found.volume_binding_mode) == ("Delete", "Immediate")


@pytest.mark.parametrize(
    ("rest", "fields"),
    [
        ("provisioner: ''", {"provisioner"}),
        ("provisioner: a, reclaimPolicy: Recycle", {"reclaimPolicy"}),
        ("provisioner: a, volumeBindingMode: Later", {"volumeBindingMode"}),
        ("provisioner: a, parameters: {'': x}", {"parameters"}),
        (
            "provisioner: a, allowedTopologies: [{matchLabelExpressions: [{key: zone, values: [a, a]}]}]",
            {"allowedTopologies[0].matchLabelExpressions[0].values[1]"},
        ),
        (
            "provisioner: a, allowedTopologies: [{matchLabelExpressions: [{key: z, values: [a]}]},"
            "{matchLabelExpressions: [{key: z, values: [a]}]}]",
            {"allowedTopologies[1].matchLabelExpressions"},
        ),
    ],
)
def test_what_makes_it_no_class_is_told(rest: str, fields: set[str]) -> None:
    assert wrong(storage.StorageClass, a_class(rest)).keys() == fields


def test_only_growth_and_mounting_of_a_class_change() -> None:
    after = a_class(
        "provisioner: example.com/other, parameters: {a: b}, reclaimPolicy: Retain, "
        "volumeBindingMode: WaitForFirstConsumer, allowVolumeExpansion: true, mountOptions: [ro]"
    )
    assert changed(storage.StorageClass, a_class(), after) == {
        "parameters": "Forbidden: updates to parameters are forbidden.",
        "provisioner": "Forbidden: updates to provisioner are forbidden.",
        "reclaimPolicy": "Forbidden: updates to reclaimPolicy are forbidden.",
        "volumeBindingMode": 'Invalid value: "WaitForFirstConsumer": field is immutable',
    }


def a_driver(spec: str) -> str:
    return f"{{apiVersion: {GROUP}, kind: CSIDriver, metadata: {{name: a.example.com}}, spec: {spec}}}"


def test_a_driver_is_attached_and_persistent_unless_it_says_otherwise() -> None:
    spec = created(storage.CSIDriver, a_driver("{}")).spec
    assert (spec.attach_required, spec.pod_info_on_mount, list(spec.volume_lifecycle_modes)) == (
        True, False, ["Persistent"],
    )  # fmt: skip
    assert spec.fs_group_policy == "ReadWriteOnceWithFSType"
    assert changed(storage.CSIDriver, a_driver("{}"), a_driver("{attachRequired: false}")).keys() == {
        "spec.attachedRequired"
    }


def test_tokens_of_a_driver_are_for_different_audiences_and_last() -> None:
    text = a_driver("{fsGroupPolicy: Some, tokenRequests: [{audience: a, expirationSeconds: 60}, {audience: a}]}")
    assert wrong(storage.CSIDriver, text).keys() == {
        "spec.fsGroupPolicy", "spec.tokenRequests[0].expirationSeconds", "spec.tokenRequests[1].audience",
    }  # fmt: skip


def a_node(drivers: str) -> str:
    return f"{{apiVersion: {GROUP}, kind: CSINode, metadata: {{name: n}}, spec: {{drivers: {drivers}}}}}"


def test_the_drivers_of_a_node_keep_what_they_said() -> None:
    before = a_node("[{name: a.b, nodeID: n, allocatable: {count: 1}}]")
    assert changed(storage.CSINode, before, a_node("[{name: a.b, nodeID: n, allocatable: {count: 2}}]")) == {}
    assert changed(storage.CSINode, before, a_node("[{name: a.b, nodeID: m}]")).keys() == {"spec.drivers"}
    assert wrong(storage.CSINode, a_node("[{name: a.b}, {name: a.b, nodeID: n, topologyKeys: [a, a]}]")).keys() == {
        "spec.drivers[0].nodeID", "spec.drivers[1].name", "spec.drivers[1]",
    }  # fmt: skip


def an_attachment(source: str, status: str = "{}") -> str:
    return f"""
    apiVersion: {GROUP}
    kind: VolumeAttachment
    metadata: {{name: a}}
    spec: {{attacher: a.example.com, nodeName: n, source: {source}}}
    status: {status}
    """


def test_an_attachment_has_one_source_and_keeps_it() -> None:
    one = an_attachment("{persistentVolumeName: pv}")
    assert wrong(storage.VolumeAttachment, one) == {}
    assert wrong(storage.VolumeAttachment, an_attachment("{}")) == {
        "spec.source": "Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName"
    }
    assert changed(storage.VolumeAttachment, one, an_attachment("{persistentVolumeName: other}")).keys() == {"spec"}
    told = observed(
        storage.VolumeAttachment, one,
        an_attachment("{}", f"{{attached: true, attachError: {{message: {'x' * 1025}, errorCode: -1}}}}"),
    )  # fmt: skip
    assert told.keys() == {"status.attachError.message", "status.attachError.errorCode"}


def test_capacity_is_not_negative_and_stays_where_it_is() -> None:
    def a_capacity(rest: str) -> str:
        return f"{{apiVersion: {GROUP}, kind: CSIStorageCapacity, metadata: {{name: a}}, {rest}}}"

    assert wrong(storage.CSIStorageCapacity, a_capacity("storageClassName: a, capacity: -1Gi")).keys() == {"capacity"}
    assert created(storage.CSIStorageCapacity, a_capacity("storageClassName: a, capacity: 1024Mi")).capacity.string == (
        "1Gi"
    )
    before, after = a_capacity("storageClassName: a"), a_capacity("storageClassName: b, nodeTopology: {}")
    assert changed(storage.CSIStorageCapacity, before, after).keys() >= {"storageClassName"}


def test_attributes_are_of_a_driver_and_never_change() -> None:
    def attributes(rest: str) -> str:
        return f"{{apiVersion: {GROUP}, kind: VolumeAttributesClass, metadata: {{name: a}}, {rest}}}"

    assert wrong(storage.VolumeAttributesClass, attributes("driverName: a")) == {
        "parameters": "Required value: must contain at least one key/value pair"
    }
    before, after = attributes("driverName: a, parameters: {x: y}"), attributes("driverName: b, parameters: {x: z}")
    assert changed(storage.VolumeAttributesClass, before, after).keys() == {"driverName", "parameters"}


def test_the_handler_of_a_runtime_class_is_a_label_and_stays() -> None:
    def runtime(handler: str, rest: str = "") -> str:
        return f"{{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {{name: a}}, handler: {handler}{rest}}}"

    assert wrong(node.RuntimeClass, runtime("runc")) == {}
    assert wrong(node.RuntimeClass, runtime("Run_C", ", overhead: {podFixed: {cpu: -1}}")).keys() == {
        "handler", "overhead.podFixed[cpu]",
    }  # fmt: skip
    assert changed(node.RuntimeClass, runtime("runc"), runtime("kata")).keys() == {"handler"}


def a_schema(rest: str) -> str:
    return f"""
    apiVersion: flowcontrol.apiserver.k8s.io/v1
    kind: FlowSchema
    metadata: {{name: mine}}
    spec: {{priorityLevelConfiguration: {{name: system}}, {rest}}}
    """


def test_a_flow_schema_is_in_the_middle_unless_it_says_where() -> None:
    assert created(flowcontrol.FlowSchema, a_schema("rules: []")).spec.matching_precedence == 1000
    assert wrong(flowcontrol.FlowSchema, a_schema("matchingPrecedence: 1")) == {
        "spec.matchingPrecedence": ("Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1")
    }


def test_the_rules_of_a_flow_schema_are_checked() -> None:
    text = a_schema(
        "distinguisherMethod: {type: ByName}, rules: [{subjects: [{kind: User, group: {name: a}}, {kind: Robot}],"
        "resourceRules: [{verbs: ['*', get], apiGroups: [''], resources: [pods], namespaces: []}],"
        "nonResourceRules: [{verbs: [fly], nonResourceURLs: [healthz, '/a*b']}]}]"
    )
    at = "spec.rules[0]"
    assert wrong(flowcontrol.FlowSchema, text).keys() == {
        "spec.distinguisherMethod.type", f"{at}.subjects[0].user", f"{at}.subjects[0].group", f"{at}.subjects[1].kind",
        f"{at}.resourceRules[0].verbs", f"{at}.resourceRules[0].namespaces", f"{at}.nonResourceRules[0].verbs",
        f"{at}.nonResourceRules[0].nonResourceURLs[0]", f"{at}.nonResourceRules[0].nonResourceURLs[1]",
    }  # fmt: skip


def a_level(spec: str, name: str = "mine") -> str:
    return f"""
    apiVersion: flowcontrol.apiserver.k8s.io/v1
    kind: PriorityLevelConfiguration
    metadata: {{name: {name}}}
    spec: {spec}
    """


def test_a_level_that_queues_has_queues() -> None:
    found = created(
        flowcontrol.PriorityLevelConfiguration,
        a_level("{type: Limited, limited: {limitResponse: {type: Queue, queuing: {}}}}"),
    )
    queuing = found.spec.limited.limit_response.queuing
    assert (found.spec.limited.nominal_concurrency_shares, found.spec.limited.lendable_percent) == (30, 0)
    assert (queuing.queues, queuing.hand_size, queuing.queue_length_limit) == (64, 8, 50)


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ("{type: Exempt}", {"spec.type"}),
        ("{type: Limited}", {"spec.limited"}),
        ("{type: Unlimited}", {"spec.type"}),
        ("{type: Limited, limited: {limitResponse: {type: Queue}}}", {"spec.limited.limitResponse.queuing"}),
        (
            "{type: Limited, limited: {limitResponse: {type: Queue, queuing: {queues: 1000, handSize: 9}}}}",
            {"spec.limited.limitResponse.queuing.handSize"},
        ),
        (
            "{type: Limited, limited: {nominalConcurrencyShares: -1, lendablePercent: 101, borrowingLimitPercent: -1,"
            "limitResponse: {type: Reject}}}",
            {
                "spec.limited.nominalConcurrencyShares", "spec.limited.lendablePercent",
                "spec.limited.borrowingLimitPercent",
            },
        ),
    ],
)  # fmt: skip
def test_what_makes_it_no_level_is_told(spec: str, fields: set[str]) -> None:
    assert wrong(flowcontrol.PriorityLevelConfiguration, a_level(spec)).keys() == fields
