"""The default cluster roles and who they are bound to: interface facts of Kubernetes 1.36, and ours beside them.

A line at the margin names a role; `aggregates=` that it takes in the roles labelled for it, `for=` which role it is
taken into. Indented lines are its rules, lists separated by commas; an empty group is the core group. The roles of
Kubernetes' controllers are in default_controller_roles.py, those of one namespace at the end.
"""

# ruff: noqa: E501

ROLES = """
cluster-admin
  groups=* resources=* verbs=*
  urls=* verbs=*
admin aggregates=admin
edit aggregates=edit for=admin
view aggregates=view for=edit
system:aggregate-to-admin for=admin
  groups=authorization.k8s.io resources=localsubjectaccessreviews verbs=create
  groups=rbac.authorization.k8s.io resources=rolebindings,roles verbs=create,delete,deletecollection,get,list,patch,update,watch
system:aggregate-to-edit for=edit
  groups= resources=pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy verbs=get,list,watch
  groups= resources=serviceaccounts verbs=impersonate
  groups= resources=pods,pods/attach,pods/exec,pods/portforward,pods/proxy verbs=create,delete,deletecollection,patch,update
  groups= resources=pods/eviction verbs=create
  groups= resources=configmaps,persistentvolumeclaims,replicationcontrollers,replicationcontrollers/scale,secrets,serviceaccounts,services,services/proxy verbs=create,delete,deletecollection,patch,update
  groups= resources=serviceaccounts/token verbs=create
  groups=,events.k8s.io resources=events verbs=create,delete,deletecollection,patch,update
  groups=apps resources=daemonsets,deployments,deployments/rollback,deployments/scale,replicasets,replicasets/scale,statefulsets,statefulsets/scale verbs=create,delete,deletecollection,patch,update
  groups=autoscaling resources=horizontalpodautoscalers verbs=create,delete,deletecollection,patch,update
  groups=batch resources=cronjobs,jobs verbs=create,delete,deletecollection,patch,update
  groups=extensions resources=daemonsets,deployments,deployments/rollback,deployments/scale,ingresses,networkpolicies,replicasets,replicasets/scale,replicationcontrollers/scale verbs=create,delete,deletecollection,patch,update
  groups=policy resources=poddisruptionbudgets verbs=create,delete,deletecollection,patch,update
  groups=networking.k8s.io resources=ingresses,networkpolicies verbs=create,delete,deletecollection,patch,update
  groups=coordination.k8s.io resources=leases verbs=create,delete,deletecollection,get,list,patch,update,watch
  groups=resource.k8s.io resources=resourceclaims,resourceclaimtemplates verbs=create,delete,deletecollection,patch,update
system:aggregate-to-view for=view
  groups= resources=configmaps,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,pods,replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/status verbs=get,list,watch
  groups= resources=bindings,limitranges,namespaces/status,pods/log,pods/status,replicationcontrollers/status,resourcequotas,resourcequotas/status verbs=get,list,watch
  groups= resources=namespaces verbs=get,list,watch
  groups=,events.k8s.io resources=events verbs=get,list,watch
  groups=discovery.k8s.io resources=endpointslices verbs=get,list,watch
  groups=apps resources=controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,replicasets,replicasets/scale,replicasets/status,statefulsets,statefulsets/scale,statefulsets/status verbs=get,list,watch
  groups=autoscaling resources=horizontalpodautoscalers,horizontalpodautoscalers/status verbs=get,list,watch
  groups=batch resources=cronjobs,cronjobs/status,jobs,jobs/status verbs=get,list,watch
  groups=extensions resources=daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,ingresses,ingresses/status,networkpolicies,replicasets,replicasets/scale,replicasets/status,replicationcontrollers/scale verbs=get,list,watch
  groups=policy resources=poddisruptionbudgets,poddisruptionbudgets/status verbs=get,list,watch
  groups=networking.k8s.io resources=ingresses,ingresses/status,networkpolicies verbs=get,list,watch
  groups=resource.k8s.io resources=resourceclaims,resourceclaims/status,resourceclaimtemplates verbs=get,list,watch
system:auth-delegator
  groups=authentication.k8s.io resources=tokenreviews verbs=create
  groups=authorization.k8s.io resources=subjectaccessreviews verbs=create
system:basic-user
  groups=authorization.k8s.io resources=selfsubjectaccessreviews,selfsubjectrulesreviews verbs=create
  groups=authentication.k8s.io resources=selfsubjectreviews verbs=create
system:certificates.k8s.io:certificatesigningrequests:nodeclient
  groups=certificates.k8s.io resources=certificatesigningrequests/nodeclient verbs=create
system:certificates.k8s.io:certificatesigningrequests:selfnodeclient
  groups=certificates.k8s.io resources=certificatesigningrequests/selfnodeclient verbs=create
system:certificates.k8s.io:kube-apiserver-client-approver
  groups=certificates.k8s.io resources=signers names=kubernetes.io/kube-apiserver-client verbs=approve
system:certificates.k8s.io:kube-apiserver-client-kubelet-approver
  groups=certificates.k8s.io resources=signers names=kubernetes.io/kube-apiserver-client-kubelet verbs=approve
system:certificates.k8s.io:kubelet-serving-approver
  groups=certificates.k8s.io resources=signers names=kubernetes.io/kubelet-serving verbs=approve
system:certificates.k8s.io:legacy-unknown-approver
  groups=certificates.k8s.io resources=signers names=kubernetes.io/legacy-unknown verbs=approve
system:discovery
  urls=/api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi,/openapi/*,/readyz,/version,/version/ verbs=get
system:heapster
  groups= resources=events,namespaces,nodes,pods verbs=get,list,watch
  groups=extensions resources=deployments verbs=get,list,watch
system:kube-aggregator
  groups= resources=endpoints,services verbs=get,list,watch
system:kube-controller-manager
  groups=,events.k8s.io resources=events verbs=create,patch,update
  groups=coordination.k8s.io resources=leases verbs=create
  groups=coordination.k8s.io resources=leases names=kube-controller-manager verbs=get,update
  groups= resources=secrets,serviceaccounts verbs=create
  groups= resources=secrets verbs=delete
  groups= resources=configmaps,namespaces,secrets,serviceaccounts verbs=get
  groups= resources=secrets,serviceaccounts verbs=update
  groups=authentication.k8s.io resources=tokenreviews verbs=create
  groups=authorization.k8s.io resources=subjectaccessreviews verbs=create
  groups=* resources=* verbs=list,watch
  groups= resources=serviceaccounts/token verbs=create
system:kube-dns
  groups= resources=endpoints,services verbs=list,watch
system:kube-scheduler
  groups=,events.k8s.io resources=events verbs=create,patch,update
  groups=coordination.k8s.io resources=leases verbs=create
  groups=coordination.k8s.io resources=leases names=kube-scheduler verbs=get,list,update,watch
  groups=coordination.k8s.io resources=leasecandidates verbs=create,delete,deletecollection,get,list,patch,update,watch
  groups= resources=nodes verbs=get,list,watch
  groups= resources=pods verbs=delete,get,list,watch
  groups= resources=bindings,pods/binding verbs=create
  groups= resources=pods/status verbs=patch,update
  groups= resources=replicationcontrollers,services verbs=get,list,watch
  groups=apps,extensions resources=replicasets verbs=get,list,watch
  groups=apps resources=statefulsets verbs=get,list,watch
  groups=policy resources=poddisruptionbudgets verbs=get,list,watch
  groups= resources=persistentvolumeclaims,persistentvolumes verbs=get,list,watch
  groups=authentication.k8s.io resources=tokenreviews verbs=create
  groups=authorization.k8s.io resources=subjectaccessreviews verbs=create
  groups=storage.k8s.io resources=csinodes verbs=get,list,watch
  groups=storage.k8s.io resources=volumeattachments verbs=get,list,watch
  groups= resources=namespaces verbs=get,list,watch
  groups=storage.k8s.io resources=csidrivers verbs=get,list,watch
  groups=storage.k8s.io resources=csistoragecapacities verbs=get,list,watch
  groups=resource.k8s.io resources=deviceclasses verbs=get,list,watch
  groups=resource.k8s.io resources=resourceclaims verbs=get,list,patch,update,watch
  groups=resource.k8s.io resources=resourceclaims/status verbs=get,list,patch,update,watch
  groups= resources=pods/finalizers verbs=update
  groups=resource.k8s.io resources=resourceslices verbs=get,list,watch
  groups=resource.k8s.io resources=resourceclaims verbs=create,delete
  groups=resource.k8s.io resources=resourceclaims/binding verbs=patch,update
system:kubelet-api-admin
  groups= resources=nodes verbs=get,list,watch
  groups= resources=nodes verbs=proxy
  groups= resources=nodes/log,nodes/metrics,nodes/proxy,nodes/stats verbs=*
  groups= resources=nodes/configz,nodes/healthz,nodes/pods verbs=*
system:monitoring
  urls=/flagz,/healthz,/healthz/*,/livez,/livez/*,/metrics,/metrics/slis,/readyz,/readyz/*,/statusz verbs=get
  groups= resources=nodes/metrics verbs=get
system:node
  groups=authentication.k8s.io resources=tokenreviews verbs=create
  groups=authorization.k8s.io resources=localsubjectaccessreviews,subjectaccessreviews verbs=create
  groups= resources=services verbs=get,list,watch
  groups= resources=nodes verbs=create,get,list,watch
  groups= resources=nodes/status verbs=patch,update
  groups= resources=nodes verbs=patch,update
  groups=,events.k8s.io resources=events verbs=create,patch,update
  groups= resources=pods verbs=get,list,watch
  groups= resources=pods verbs=create,delete
  groups= resources=pods/status verbs=patch,update
  groups= resources=pods/eviction verbs=create
  groups= resources=configmaps,secrets verbs=get,list,watch
  groups= resources=persistentvolumeclaims,persistentvolumes verbs=get
  groups= resources=endpoints verbs=get
  groups=certificates.k8s.io resources=certificatesigningrequests verbs=create,get,list,watch
  groups=coordination.k8s.io resources=leases verbs=create,delete,get,patch,update
  groups=storage.k8s.io resources=volumeattachments verbs=get
  groups= resources=serviceaccounts/token verbs=create
  groups= resources=persistentvolumeclaims/status verbs=get,patch,update
  groups=storage.k8s.io resources=csidrivers verbs=get,list,watch
  groups=storage.k8s.io resources=csinodes verbs=create,delete,get,patch,update
  groups=node.k8s.io resources=runtimeclasses verbs=get,list,watch
  groups=resource.k8s.io resources=resourceclaims verbs=get
  groups=resource.k8s.io resources=resourceslices verbs=deletecollection
  groups= resources=serviceaccounts verbs=get
system:node-bootstrapper
  groups=certificates.k8s.io resources=certificatesigningrequests verbs=create,get,list,watch
system:node-problem-detector
  groups= resources=nodes verbs=get
  groups= resources=nodes/status verbs=patch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:node-proxier
  groups= resources=endpoints,services verbs=list,watch
  groups= resources=nodes verbs=get,list,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
  groups=networking.k8s.io resources=servicecidrs verbs=list,watch
  groups=discovery.k8s.io resources=endpointslices verbs=list,watch
system:persistent-volume-provisioner
  groups= resources=persistentvolumes verbs=create,delete,get,list,watch
  groups= resources=persistentvolumeclaims verbs=get,list,update,watch
  groups=storage.k8s.io resources=storageclasses verbs=get,list,watch
  groups= resources=events verbs=watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:public-info-viewer
  urls=/healthz,/livez,/readyz,/version,/version/ verbs=get
system:service-account-issuer-discovery
  urls=/.well-known/openid-configuration,/.well-known/openid-configuration/,/openid/v1/jwks,/openid/v1/jwks/ verbs=get
system:volume-scheduler
  groups= resources=persistentvolumes verbs=get,list,patch,update,watch
  groups=storage.k8s.io resources=storageclasses verbs=get,list,watch
  groups= resources=persistentvolumeclaims verbs=get,list,patch,update,watch
"""

# Role: subjects, as Kind:name; service accounts are kube-system's. The bindings of controllers are made of their names.
BINDINGS = {
    "cluster-admin": "Group:system:masters",
    "system:basic-user": "Group:system:authenticated",
    "system:discovery": "Group:system:authenticated",
    "system:kube-controller-manager": "User:system:kube-controller-manager",
    "system:kube-dns": "ServiceAccount:kube-dns",
    "system:kube-scheduler": "User:system:kube-scheduler",
    "system:monitoring": "Group:system:monitoring",
    "system:node": "",
    "system:node-proxier": "User:system:kube-proxy",
    "system:public-info-viewer": "Group:system:authenticated,Group:system:unauthenticated",
    "system:service-account-issuer-discovery": "Group:system:serviceaccounts",
    "system:volume-scheduler": "User:system:kube-scheduler",
}

# Controllers run under one identity here, so the roles of those that exist are bound to it too.
_CONTROLLERS = (
    "namespace-controller", "service-account-controller", "root-ca-cert-publisher", "generic-garbage-collector",
    "node-controller", "endpointslice-controller", "endpointslicemirroring-controller", "endpoint-controller",
    "replicaset-controller", "deployment-controller", "pod-garbage-collector", "certificate-controller",
    "clusterrole-aggregation-controller",
)  # fmt: skip

_JOINING = "system:bootstrappers:kubeadm:default-node-token"

# Roles of this project alone: what Kubernetes' API server does of itself is a controller here.
OWN_ROLES = """
raftsman:controllers:flow-schemas
  groups=flowcontrol.apiserver.k8s.io resources=flowschemas,prioritylevelconfigurations verbs=get,list,watch
  groups=flowcontrol.apiserver.k8s.io resources=flowschemas/status verbs=update
raftsman:controllers:service-addresses
  groups= resources=services verbs=get,list,watch
  groups=networking.k8s.io resources=ipaddresses verbs=create,delete,get,list,watch
"""

# Name: role and subjects, of this project alone.
OWN_BINDINGS = {
    "raftsman:controllers:service-addresses": (
        "raftsman:controllers:service-addresses",
        "User:system:kube-controller-manager",
    ),
    "raftsman:controllers:flow-schemas": (
        "raftsman:controllers:flow-schemas",
        "User:system:kube-controller-manager",
    ),
    # There is no graph of what belongs to which node yet, which would narrow this further.
    "raftsman:nodes": ("system:node", "Group:system:nodes"),
    # The proxy and the DNS server run in the node agent, under the node's identity.
    "raftsman:nodes:proxy": ("system:node-proxier", "Group:system:nodes"),
    "raftsman:nodes:dns": ("system:kube-dns", "Group:system:nodes"),
    # A bootstrap token of this group lets a machine ask to be a node, and it is one; a node renews its own certificate.
    "raftsman:nodes:bootstrap": ("system:node-bootstrapper", f"Group:{_JOINING}"),
    "raftsman:nodes:join": ("system:certificates.k8s.io:certificatesigningrequests:nodeclient", f"Group:{_JOINING}"),
    "raftsman:nodes:renew": (
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        "Group:system:nodes",
    ),
    **{
        f"raftsman:controllers:{name}": (f"system:controller:{name}", "User:system:kube-controller-manager")
        for name in _CONTROLLERS
    },
}

# Namespace/name, and rules as above.
NAMESPACED_ROLES = """
kube-system/extension-apiserver-authentication-reader
  groups= resources=configmaps names=extension-apiserver-authentication verbs=get,list,watch
kube-system/system:controller:bootstrap-signer
  groups= resources=secrets verbs=get,list,watch
kube-system/system:controller:cloud-provider
  groups= resources=configmaps verbs=create,get,list,watch
kube-system/system:controller:token-cleaner
  groups= resources=secrets verbs=delete,get,list,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
kube-system/system::leader-locking-kube-controller-manager
  groups= resources=configmaps verbs=watch
  groups= resources=configmaps names=kube-controller-manager verbs=get,update
kube-system/system::leader-locking-kube-scheduler
  groups= resources=configmaps verbs=watch
  groups= resources=configmaps names=kube-scheduler verbs=get,update
kube-public/system:controller:bootstrap-signer
  groups= resources=configmaps verbs=get,list,watch
  groups= resources=configmaps names=cluster-info verbs=update
  groups=,events.k8s.io resources=events verbs=create,patch,update
"""

# Namespace/name: role and subjects.
NAMESPACED_BINDINGS = {
    "kube-system/system::extension-apiserver-authentication-reader": (
        "extension-apiserver-authentication-reader", "User:system:kube-controller-manager,User:system:kube-scheduler",
    ),
    "kube-system/system::leader-locking-kube-controller-manager": (
        "system::leader-locking-kube-controller-manager",
        "User:system:kube-controller-manager,ServiceAccount:kube-controller-manager",
    ),
    "kube-system/system::leader-locking-kube-scheduler": (
        "system::leader-locking-kube-scheduler", "User:system:kube-scheduler,ServiceAccount:kube-scheduler",
    ),
    "kube-system/system:controller:bootstrap-signer": (
        "system:controller:bootstrap-signer", "ServiceAccount:bootstrap-signer",
    ),
    "kube-system/system:controller:cloud-provider": (
        "system:controller:cloud-provider", "ServiceAccount:cloud-provider",
    ),
    "kube-system/system:controller:token-cleaner": ("system:controller:token-cleaner", "ServiceAccount:token-cleaner"),
    "kube-system/raftsman:controllers:token-cleaner": (
        "system:controller:token-cleaner", "User:system:kube-controller-manager",
    ),
    "kube-system/raftsman:controllers:bootstrap-signer": (
        "system:controller:bootstrap-signer", "User:system:kube-controller-manager",
    ),
    "kube-public/system:controller:bootstrap-signer": (
        "system:controller:bootstrap-signer", "ServiceAccount:bootstrap-signer",
    ),
    "kube-public/raftsman:controllers:bootstrap-signer": (
        "system:controller:bootstrap-signer", "User:system:kube-controller-manager",
    ),
}  # fmt: skip
