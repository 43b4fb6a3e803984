"""The default roles and bindings: complete, mended at every start, theirs who turn that off."""

from __future__ import annotations

from raftsman.rbac import v1 as rbac
from raftsman.services.apiserver import bootstrap_roles
from raftsman.services.apiserver.validation.causes import Causes

from .cluster import Api
from .strategies import kind, told


def wanted(name: str, message: type[rbac.ClusterRole] = rbac.ClusterRole) -> rbac.ClusterRole:
    return next(one for one in bootstrap_roles.all_of_them() if isinstance(one, message) and one.metadata.name == name)


def test_each_is_there_once_and_right() -> None:
    found = list(bootstrap_roles.all_of_them())
    paths = [(type(one), one.metadata.namespace, one.metadata.name) for one in found]
    assert len(set(paths)) == len(paths)
    names = {one.metadata.name for one in found if isinstance(one, rbac.ClusterRole)}
    bindings = [one for one in found if isinstance(one, rbac.ClusterRoleBinding)]
    assert {one.role_ref.name for one in bindings} <= names
    theirs = [name for name in names if not name.startswith("raftsman:")]
    bound = [one for one in bindings if not one.metadata.name.startswith("raftsman:")]
    assert (len(theirs), len(bound)) == (70, 51)
    aggregated = {name: len(wanted(name).rules) for name in ("admin", "edit", "view")}
    assert aggregated == {"admin": 29, "edit": 27, "view": 12}
    for one in found:
        causes = Causes()
        kind(type(one)).validate(one, causes)
        assert told(causes) == {}


def test_a_role_gets_back_what_it_lacks_and_keeps_what_was_added() -> None:
    role = wanted("system:node-proxier")
    found = wanted("system:node-proxier")
    del found.rules[0]
    found.rules.add(verbs=["get"], api_groups=[""], resources=["pods"])
    new = bootstrap_roles.mended(found, role)
    assert new.rules[-1] == role.rules[0]
    assert new.rules[-2].resources == ["pods"]
    assert bootstrap_roles.mended(new, role) is None


def test_what_is_allowed_in_other_words_is_not_added() -> None:
    role, found = wanted("system:kube-dns"), wanted("system:kube-dns")
    del found.rules[:]
    found.rules.add(verbs=["*"], api_groups=[""], resources=["endpoints"])
    found.rules.add(verbs=["list", "watch", "get"], api_groups=["*"], resources=["services"])
    assert bootstrap_roles.mended(found, role) is None


def test_who_turns_it_off_is_left_alone() -> None:
    role, found = wanted("system:kube-dns"), wanted("system:kube-dns")
    del found.rules[:]
    found.metadata.annotations[bootstrap_roles.AUTO_UPDATE] = "false"
    assert bootstrap_roles.mended(found, role) is None


def test_a_binding_gets_its_subjects_back() -> None:
    binding = wanted("system:discovery", rbac.ClusterRoleBinding)  # type: ignore[type-var]
    found = rbac.ClusterRoleBinding()
    found.CopyFrom(binding)  # type: ignore[arg-type]
    del found.subjects[:]
    found.subjects.add(kind="User", api_group="rbac.authorization.k8s.io", name="jane")
    new = bootstrap_roles.mended(found, binding)
    assert [subject.name for subject in new.subjects] == ["jane", "system:authenticated"]


async def test_a_new_cluster_has_them(api: Api) -> None:
    roles = {one.metadata.name for one in (await api.list(rbac.ClusterRole)).items}
    assert {one.metadata.name for one in bootstrap_roles.all_of_them() if isinstance(one, rbac.ClusterRole)} <= roles
    found = await api.get(rbac.RoleBinding, "system::leader-locking-kube-scheduler", "kube-system")
    assert [(one.kind, one.namespace) for one in found.subjects] == [("User", ""), ("ServiceAccount", "kube-system")]
