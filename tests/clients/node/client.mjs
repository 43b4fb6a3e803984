// One scene of @kubernetes/client-node: `node client.mjs NAMESPACE`; prints what it saw as one JSON object.
import * as k8s from "@kubernetes/client-node";

const [namespace] = process.argv.slice(2);
const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const objects = k8s.KubernetesObjectApi.makeApiClient(config);
const seen = {};

const configMap = (name, data) => ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace }, data });
const deployment = (image, replicas) => ({
  apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "web", namespace },
  spec: {
    replicas, selector: { matchLabels: { app: "web" } },
    template: { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "app", image }] } },
  },
});
const refused = (call) => call.then(() => "accepted", (error) => error.code);
const until = (emitter, condition) => new Promise((resolve) => {
  const look = () => condition() && resolve();
  for (const event of ["add", "update", "delete"]) emitter.on(event, look);
  look();
});

// Typed calls, errors, lists.
await core.createNamespacedConfigMap({ namespace, body: configMap("c", { a: "1" }) });
seen.twice = await refused(core.createNamespacedConfigMap({ namespace, body: configMap("c") }));
const listed = await core.listNamespacedConfigMap({ namespace });
seen.listed = listed.items.map((one) => one.metadata.name).includes("c");

// A watch from the list's revision.
const watched = [];
seen.watched = await new Promise((resolve, reject) => {
  new k8s.Watch(config).watch(
    `/api/v1/namespaces/${namespace}/configmaps`, { resourceVersion: listed.metadata.resourceVersion },
    (type, one) => {
      watched.push(`${type} ${one.metadata.name}`);
      if (type === "DELETED") resolve(watched);
    },
    (error) => reject(error ?? new Error("the watch ended")),
  ).then(async () => {
    await core.patchNamespacedConfigMap(
      { namespace, name: "c", body: { data: { b: "2" } } },
      k8s.setHeaderOptions("Content-Type", k8s.PatchStrategy.MergePatch),
    );
    await core.deleteNamespacedConfigMap({ namespace, name: "c" });
  });
});

// An informer, and server-side apply whose conflicts are told.
const list = () => apps.listNamespacedDeployment({ namespace });
const informer = k8s.makeInformer(config, `/apis/apps/v1/namespaces/${namespace}/deployments`, list);
const images = () => informer.list(namespace).map((one) => one.spec.template.spec.containers[0].image);
await informer.start();
const apply = (manager, force, image) => objects.patch(
  deployment(image, 1), undefined, undefined, manager, force, k8s.PatchStrategy.ServerSideApply,
);
await apply("one", false, "x:1");
await until(informer, () => images().includes("x:1"));
seen.conflict = await refused(apply("two", false, "x:2"));
await apply("two", true, "x:2");
await until(informer, () => images().includes("x:2"));
await objects.delete(deployment("x:2", 1), undefined, undefined, undefined, undefined, "Foreground");
await until(informer, () => images().length === 0);
seen.informed = true;
console.log(JSON.stringify(seen));
process.exit(0);
