"""The roles of Kubernetes' controllers, each bound to the service account of its name: interface facts of Kubernetes 1.36.

Written as in default_roles.py. A controller that runs here finds its rights among them.
"""

# ruff: noqa: E501

ROLES = """
system:controller:attachdetach-controller
  groups= resources=persistentvolumeclaims,persistentvolumes verbs=list,watch
  groups= resources=nodes verbs=get,list,watch
  groups= resources=nodes/status verbs=patch,update
  groups= resources=pods verbs=list,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
  groups=storage.k8s.io resources=volumeattachments verbs=create,delete,get,list,watch
  groups=storage.k8s.io resources=csidrivers verbs=get,list,watch
  groups=storage.k8s.io resources=csinodes verbs=get,list,watch
system:controller:certificate-controller
  groups=certificates.k8s.io resources=certificatesigningrequests verbs=delete,get,list,watch
  groups=certificates.k8s.io resources=certificatesigningrequests/approval,certificatesigningrequests/status verbs=update
  groups=certificates.k8s.io resources=signers names=kubernetes.io/kube-apiserver-client-kubelet verbs=approve
  groups=certificates.k8s.io resources=signers names=kubernetes.io/kube-apiserver-client,kubernetes.io/kube-apiserver-client-kubelet,kubernetes.io/kubelet-serving,kubernetes.io/legacy-unknown verbs=sign
  groups=authorization.k8s.io resources=subjectaccessreviews verbs=create
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:clusterrole-aggregation-controller
  groups=rbac.authorization.k8s.io resources=clusterroles verbs=escalate,get,list,patch,update,watch
system:controller:cronjob-controller
  groups=batch resources=cronjobs verbs=get,list,update,watch
  groups=batch resources=jobs verbs=create,delete,get,list,patch,update,watch
  groups=batch resources=cronjobs/status verbs=update
  groups=batch resources=cronjobs/finalizers verbs=update
  groups= resources=pods verbs=delete,list,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:daemon-set-controller
  groups=apps,extensions resources=daemonsets verbs=get,list,watch
  groups=apps,extensions resources=daemonsets/status verbs=update
  groups=apps,extensions resources=daemonsets/finalizers verbs=update
  groups= resources=nodes verbs=list,watch
  groups= resources=pods verbs=create,delete,list,patch,watch
  groups= resources=pods/binding verbs=create
  groups=apps resources=controllerrevisions verbs=create,delete,get,list,patch,update,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:deployment-controller
  groups=apps,extensions resources=deployments verbs=get,list,update,watch
  groups=apps,extensions resources=deployments/status verbs=update
  groups=apps,extensions resources=deployments/finalizers verbs=update
  groups=apps,extensions resources=replicasets verbs=create,delete,get,list,patch,update,watch
  groups= resources=pods verbs=get,list,update,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:device-taint-eviction-controller
  groups= resources=pods verbs=delete,get,list,watch
  groups= resources=pods/status verbs=patch,update
  groups=resource.k8s.io resources=resourceclaims verbs=get,list,watch
  groups=resource.k8s.io resources=resourceslices verbs=get,list,watch
  groups=resource.k8s.io resources=deviceclasses verbs=get,list,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:disruption-controller
  groups=apps,extensions resources=deployments verbs=get,list,watch
  groups=apps,extensions resources=replicasets verbs=get,list,watch
  groups= resources=replicationcontrollers verbs=get,list,watch
  groups=policy resources=poddisruptionbudgets verbs=get,list,watch
  groups=apps resources=statefulsets verbs=get,list,watch
  groups=policy resources=poddisruptionbudgets/status verbs=update
  groups= resources=pods/status verbs=patch,update
  groups=* resources=*/scale verbs=get
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:endpoint-controller
  groups= resources=pods,services verbs=get,list,watch
  groups= resources=endpoints verbs=create,delete,get,list,update,watch
  groups= resources=endpoints/restricted verbs=create
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:endpointslice-controller
  groups= resources=nodes,pods,services verbs=get,list,watch
  groups= resources=services/finalizers verbs=update
  groups=discovery.k8s.io resources=endpointslices verbs=create,delete,get,list,update,watch
  groups=discovery.k8s.io resources=endpointslices/restricted verbs=create
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:endpointslicemirroring-controller
  groups= resources=endpoints,services verbs=get,list,watch
  groups= resources=services/finalizers verbs=update
  groups= resources=endpoints/finalizers verbs=update
  groups=discovery.k8s.io resources=endpointslices verbs=create,delete,get,list,update,watch
  groups=discovery.k8s.io resources=endpointslices/restricted verbs=create
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:ephemeral-volume-controller
  groups= resources=pods verbs=get,list,watch
  groups= resources=pods/finalizers verbs=update
  groups= resources=persistentvolumeclaims verbs=create,get,list,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:expand-controller
  groups= resources=persistentvolumes verbs=get,list,patch,update,watch
  groups= resources=persistentvolumeclaims/status verbs=patch,update
  groups= resources=persistentvolumeclaims verbs=get,list,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:generic-garbage-collector
  groups=* resources=* verbs=delete,get,list,patch,update,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:horizontal-pod-autoscaler
  groups=autoscaling resources=horizontalpodautoscalers verbs=get,list,watch
  groups=autoscaling resources=horizontalpodautoscalers/status verbs=update
  groups=* resources=*/scale verbs=get,update
  groups= resources=pods verbs=list,watch
  groups=metrics.k8s.io resources=pods verbs=list,watch
  groups=custom.metrics.k8s.io resources=* verbs=get,list,watch
  groups=external.metrics.k8s.io resources=* verbs=get,list,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:job-controller
  groups=batch resources=jobs verbs=get,list,patch,update,watch
  groups=batch resources=jobs/status verbs=update
  groups=batch resources=jobs/finalizers verbs=update
  groups= resources=pods verbs=create,delete,list,patch,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:legacy-service-account-token-cleaner
  groups= resources=configmaps names=kube-apiserver-legacy-service-account-token-tracking verbs=get
  groups= resources=secrets verbs=delete,patch
system:controller:namespace-controller
  groups= resources=namespaces verbs=delete,get,list,watch
  groups= resources=namespaces/finalize,namespaces/status verbs=update
  groups=* resources=* verbs=delete,deletecollection,get,list,watch
system:controller:node-controller
  groups= resources=nodes verbs=delete,get,list,patch,update,watch
  groups= resources=nodes/status verbs=patch,update
  groups= resources=pods/status verbs=patch,update
  groups= resources=pods verbs=delete,get,list,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:persistent-volume-binder
  groups= resources=persistentvolumes verbs=create,delete,get,list,update,watch
  groups= resources=persistentvolumes/status verbs=update
  groups= resources=persistentvolumeclaims verbs=get,list,update,watch
  groups= resources=persistentvolumeclaims/status verbs=update
  groups= resources=pods verbs=create,delete,get,list,watch
  groups=storage.k8s.io resources=storageclasses verbs=get,list,watch
  groups= resources=nodes verbs=list,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
  groups= resources=events verbs=watch
system:controller:pod-garbage-collector
  groups= resources=pods verbs=delete,list,watch
  groups= resources=nodes verbs=get,list,watch
  groups= resources=pods/status verbs=patch
system:controller:pv-protection-controller
  groups= resources=persistentvolumes verbs=get,list,update,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:pvc-protection-controller
  groups= resources=persistentvolumeclaims verbs=get,list,update,watch
  groups= resources=persistentvolumeclaims/status verbs=update
  groups= resources=pods verbs=get,list,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:replicaset-controller
  groups=apps,extensions resources=replicasets verbs=get,list,update,watch
  groups=apps,extensions resources=replicasets/status verbs=update
  groups=apps,extensions resources=replicasets/finalizers verbs=update
  groups= resources=pods verbs=create,delete,list,patch,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:replication-controller
  groups= resources=replicationcontrollers verbs=get,list,update,watch
  groups= resources=replicationcontrollers/status verbs=update
  groups= resources=replicationcontrollers/finalizers verbs=update
  groups= resources=pods verbs=create,delete,list,patch,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:resource-claim-controller
  groups= resources=pods verbs=get,list,watch
  groups= resources=pods/finalizers verbs=update
  groups=resource.k8s.io resources=resourceclaims verbs=create,delete,get,list,watch
  groups=resource.k8s.io resources=resourceclaims,resourceclaims/status verbs=patch,update
  groups= resources=pods/status verbs=patch,update
  groups=,events.k8s.io resources=events verbs=create,patch,update
  groups=resource.k8s.io resources=resourceclaims/binding verbs=patch,update
system:controller:resourcequota-controller
  groups=* resources=* verbs=list,watch
  groups= resources=resourcequotas/status verbs=update
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:root-ca-cert-publisher
  groups= resources=configmaps verbs=create,update
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:route-controller
  groups= resources=nodes verbs=list,watch
  groups= resources=nodes/status verbs=patch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:selinux-warning-controller
  groups=,events.k8s.io resources=events verbs=create,patch,update
  groups= resources=persistentvolumes verbs=get,list,watch
  groups= resources=persistentvolumeclaims verbs=get,list,watch
  groups= resources=pods verbs=get,list,watch
  groups=storage.k8s.io resources=csidrivers verbs=get,list,watch
system:controller:service-account-controller
  groups= resources=serviceaccounts verbs=create
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:service-ca-cert-publisher
  groups= resources=configmaps verbs=create,update
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:service-cidrs-controller
  groups=networking.k8s.io resources=servicecidrs verbs=get,list,patch,update,watch
  groups=networking.k8s.io resources=servicecidrs/finalizers verbs=patch,update
  groups=networking.k8s.io resources=servicecidrs/status verbs=patch,update
  groups=networking.k8s.io resources=ipaddresses verbs=get,list,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:service-controller
  groups= resources=services verbs=get,list,watch
  groups= resources=services/status verbs=patch,update
  groups= resources=nodes verbs=list,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:statefulset-controller
  groups= resources=pods verbs=list,watch
  groups=apps resources=statefulsets verbs=get,list,watch
  groups=apps resources=statefulsets/status verbs=update
  groups=apps resources=statefulsets/finalizers verbs=update
  groups= resources=pods verbs=create,delete,get,patch,update
  groups=apps resources=controllerrevisions verbs=create,delete,get,list,patch,update,watch
  groups= resources=persistentvolumeclaims verbs=create,get,list,watch
  groups= resources=persistentvolumeclaims verbs=delete,update
  groups= resources=pods/finalizers verbs=update
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:ttl-after-finished-controller
  groups=batch resources=jobs verbs=delete,get,list,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:ttl-controller
  groups= resources=nodes verbs=list,patch,update,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:validatingadmissionpolicy-status-controller
  groups=admissionregistration.k8s.io resources=validatingadmissionpolicies verbs=get,list,watch
  groups=admissionregistration.k8s.io resources=validatingadmissionpolicies/status verbs=get,patch,update
  groups=,events.k8s.io resources=events verbs=create,patch,update
system:controller:volumeattributesclass-protection-controller
  groups= resources=persistentvolumeclaims verbs=get,list,watch
  groups= resources=persistentvolumes verbs=get,list,watch
  groups=storage.k8s.io resources=volumeattributesclasses verbs=get,list,update,watch
  groups=,events.k8s.io resources=events verbs=create,patch,update
"""
