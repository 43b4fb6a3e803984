"""Which controllers run in this process. Each may also run alone: nothing here is known to any of them."""

from __future__ import annotations

from pathlib import Path

from raftsman.controller import Controller
from raftsman.services.controllers.bootstrap_tokens import BootstrapSigner, TokenCleaner
from raftsman.services.controllers.certificate_approver import CertificateApprover
from raftsman.services.controllers.certificate_cleaner import CertificateCleaner
from raftsman.services.controllers.certificate_signer import Authority, CertificateSigner
from raftsman.services.controllers.cluster_role_aggregation import ClusterRoleAggregationController
from raftsman.services.controllers.deployment import DeploymentController
from raftsman.services.controllers.disruption import DisruptionController
from raftsman.services.controllers.endpoint_slices import EndpointSliceController
from raftsman.services.controllers.endpoints import EndpointsController
from raftsman.services.controllers.endpoints_mirror import EndpointsMirrorController
from raftsman.services.controllers.flow_schemas import FlowSchemaController
from raftsman.services.controllers.garbage_collector import GarbageCollector
from raftsman.services.controllers.namespace import NamespaceController
from raftsman.services.controllers.node_cidrs import NodeCidrController
from raftsman.services.controllers.node_lifecycle import NodeLifecycleController
from raftsman.services.controllers.pod_collector import PodCollector
from raftsman.services.controllers.replica_set import ReplicaSetController
from raftsman.services.controllers.resource_quotas import ResourceQuotaController
from raftsman.services.controllers.root_ca import RootCaController
from raftsman.services.controllers.service_accounts import ServiceAccountController
from raftsman.services.controllers.service_addresses import ServiceAddressController
from raftsman.services.controllers.taint_eviction import TaintEvictionController

from .config import Config


def controllers(config: Config) -> tuple[Controller, ...]:
    """All of them, in the order in which a new cluster needs them."""
    return (
        NodeCidrController(config.cluster_cidr, node_prefix=config.node_cidr_mask_size),
        NodeLifecycleController(),
        TaintEvictionController(),
        ServiceAccountController(),
        RootCaController(Path(config.root_ca_file).read_text(encoding="utf-8")),
        NamespaceController(),
        ResourceQuotaController(),
        DisruptionController(),
        DeploymentController(),
        ReplicaSetController(),
        EndpointSliceController(),
        EndpointsController(),
        EndpointsMirrorController(),
        PodCollector(),
        GarbageCollector(),
        ClusterRoleAggregationController(),
        FlowSchemaController(),
        ServiceAddressController(),
        CertificateApprover(),
        CertificateCleaner(),
        TokenCleaner(),
        BootstrapSigner(),
        *_signers(config),
    )


def _signers(config: Config) -> tuple[Controller, ...]:
    """OSError or ValueError if the authority's files are not what they should be."""
    if config.cluster_signing_cert_file is None or config.cluster_signing_key_file is None:
        return ()
    authority = Authority.load(config.cluster_signing_cert_file, config.cluster_signing_key_file)
    return (CertificateSigner(authority, duration=config.cluster_signing_duration),)
