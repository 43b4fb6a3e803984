"""Priority: the number behind a pod's priority class, and what a priority class may be.

A pod that names no class gets the one that is the default everywhere, or 0. The two classes that every cluster has are
known also before they are stored.
"""

from __future__ import annotations

from raftsman.core import v1 as core
from raftsman.scheduling import v1 as scheduling
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.validation import scheduling as priorities

from .attributes import WRITES, Attributes, Operation, Plugin

CLASSES_KIND = "priorityclasses.scheduling.k8s.io"
SYSTEM = priorities.SYSTEM_PRIORITIES
LOWER = "PreemptLowerPriority"


async def _admit(attributes: Attributes) -> None:
    """errors.Forbidden if there is no such class, or the pod names another number than its class."""
    pod: core.Pod = attributes.new
    if attributes.operation is Operation.UPDATE:
        _keep(pod, attributes.old)
        return
    value, policy = _resolved(attributes)
    if pod.spec.HasField("priority") and pod.spec.priority != value:
        raise _refused(
            attributes,
            f"the integer value of priority ({pod.spec.priority}) must not be provided in pod spec; "
            f"priority admission controller computed {value} from the given PriorityClass name",
        )
    pod.spec.priority = value
    if pod.spec.preemption_policy and pod.spec.preemption_policy != policy:
        raise _refused(
            attributes,
            f"the string value of PreemptionPolicy ({pod.spec.preemption_policy}) must not be provided in pod spec; "
            f"priority admission controller computed {policy} from the given PriorityClass name",
        )
    pod.spec.preemption_policy = policy


def _keep(pod: core.Pod, old: core.Pod) -> None:
    """An update by somebody who knows only of the class."""
    if pod.spec.priority_class_name == old.spec.priority_class_name:
        if not pod.spec.HasField("priority") and old.spec.HasField("priority"):
            pod.spec.priority = old.spec.priority
        if not pod.spec.preemption_policy and old.spec.preemption_policy:
            pod.spec.preemption_policy = old.spec.preemption_policy


def _resolved(attributes: Attributes) -> tuple[int, str]:
    """The number and the preemption policy; names the class if it is the default one."""
    api, spec = attributes.api, attributes.new.spec
    name = spec.priority_class_name
    if not name:
        default = default_class(api)
        if default is None:
            return 0, LOWER
        spec.priority_class_name = default.metadata.name
        return default.value, default.preemption_policy or LOWER
    found = api.cache(api.kinds[CLASSES_KIND]).get("", name)
    if found is not None:
        chosen: scheduling.PriorityClass = found.parsed()
        return chosen.value, chosen.preemption_policy or LOWER
    if name in SYSTEM:
        return SYSTEM[name], LOWER
    raise _refused(attributes, f"no PriorityClass with name {name} was found")


def default_class(api: Api) -> scheduling.PriorityClass | None:
    """Of several (a race) the lowest."""
    marked = [one.parsed() for one in api.cache(api.kinds[CLASSES_KIND]).values()]
    return min((one for one in marked if one.global_default), key=lambda one: one.value, default=None)


async def _validate_class(attributes: Attributes) -> None:
    """errors.Forbidden if another class is the default one already."""
    wanted: scheduling.PriorityClass = attributes.new
    if not wanted.global_default:
        return
    other = default_class(attributes.api)
    if other is not None and other.metadata.name != wanted.metadata.name:
        name = other.metadata.name
        raise _refused(attributes, f"PriorityClass {name} is already marked as default. Only one default can exist")


def _refused(attributes: Attributes, why: str) -> Exception:
    return failures.forbidden(attributes.call.kind.resource, attributes.name, why)


PODS = Plugin("Priority", WRITES, kinds=frozenset({"pods"}), mutate=_admit)
CLASSES = Plugin("PriorityClasses", WRITES, kinds=frozenset({CLASSES_KIND}), validate=_validate_class)
