// A peer of the matrix in Node.js. Arguments: the folder whose node_modules to use,
// URL, serializer, form, name, keyring file, client: "wampy", or the package of an
// Autobahn|JS.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import readline from "node:readline";
import { pathToFileURL } from "node:url";
import { overAutobahn, overWampy, plain, run, sealing } from "./peer.js";

const [modules, url, serializer, form, name, keyring, client] = process.argv.slice(2);
const resolve = createRequire(path.join(modules, "x.js")).resolve;
const load = (name) => import(pathToFileURL(resolve(name)));
const lib = await load("@blindfold/seal");
const say = (line) => console.log(JSON.stringify(plain(line)));
const setup = { url, sealing: await sealing(lib, await readFile(keyring, "utf8"), form, say) };

let session;
if (client === "wampy") {
  const { Wampy } = await load("wampy");
  const serializers = { json: "Json", msgpack: "Msgpack", cbor: "Cbor" };
  const { [`${serializers[serializer]}Serializer`]: Serializer } = await load(`wampy/${serializers[serializer]}Serializer.js`);
  const { default: ws } = await load("ws");
  session = await overWampy(Wampy, lib, { ...setup, ws, serializer: new Serializer() });
} else {
  const { default: autobahn } = await load(client);
  const serializers = { json: "JSONSerializer", msgpack: "MsgpackSerializer", cbor: "CBORSerializer" };
  session = await overAutobahn(autobahn, lib, { ...setup, serializers: [new autobahn.serializer[serializers[serializer]]()] });
}
const order = await run(session, name, say, setup.sealing.scope);
console.log("ready");
for await (const line of readline.createInterface({ input: process.stdin })) {
  await order(...line.split(" "));
  if (line === "leave") break;
}
process.stdin.destroy();
