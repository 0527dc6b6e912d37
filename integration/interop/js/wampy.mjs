// Two sessions of wampy.js and what goes between them, clear and in the passthru
// form, a line of JSON for each thing that happened. Arguments: URL, serializer.
import { Wampy } from "wampy";
import { JsonSerializer } from "wampy/JsonSerializer.js";
import { MsgpackSerializer } from "wampy/MsgpackSerializer.js";
import { CborSerializer } from "wampy/CborSerializer.js";
import WebSocket from "ws";

const [url, name] = process.argv.slice(2);
const serializers = { json: new JsonSerializer(), msgpack: new MsgpackSerializer(), cbor: new CborSerializer() };
const say = (line) => console.log(JSON.stringify(line));

async function open() {
  const session = new Wampy(url, {
    realm: "realm1",
    ws: WebSocket,
    autoReconnect: false,
    serializer: serializers[name],
    payloadSerializers: serializers,
    onError: (e) => say({ error: e.name, message: e.message, details: e.details ?? e.errorUri }),
  });
  await session.connect();
  return session;
}

const alice = await open();
const bob = await open();
const prefix = "com.example.js.";

// A payload of its own serialization: what the router can't read, beside what it
// can.
const forms = { clear: {} };
// In JSON wampy has no way to write what a binary serializer made.
for (const inner of name === "json" ? ["json"] : ["json", "msgpack", "cbor"]) {
  forms[inner] = { ppt_scheme: "x_test", ppt_serializer: inner, ppt_keyid: "k1" };
}
forms.native = { ppt_scheme: "x_test" };

// What Bob returns is in the form that he was called in.
const asCalled = ({ ppt_scheme, ppt_serializer, ppt_keyid } = {}) =>
  ppt_scheme ? { ppt_scheme, ...(ppt_serializer ? { ppt_serializer } : {}), ...(ppt_keyid ? { ppt_keyid } : {}) } : {};
await bob.register(prefix + "echo", ({ argsList, argsDict, details }) => ({ options: asCalled(details), argsList, argsDict }));
await bob.register(prefix + "fail", () => {
  throw { error: prefix + "error", argsList: ["what went wrong"], argsDict: { code: 23 } };
});
let heard;
await bob.subscribe("com.example.js", ({ argsList, argsDict, details }) => {
  heard({ topic: details.topic, scheme: details.ppt_scheme, args: argsList, kwargs: argsDict });
}, { match: "prefix" });

for (const [form, options] of Object.entries(forms)) {
  const payload = { argsList: ["grüße", [1, 2]], argsDict: { key: { nested: true } } };
  try {
    const { argsList, argsDict, details } = await alice.call(prefix + "echo", payload, options);
    say({ call: form, scheme: details?.ppt_scheme, keyid: details?.ppt_keyid, args: argsList, kwargs: argsDict });
  } catch (e) {
    say({ call: form, error: e.message ?? String(e), uri: e.errorUri });
  }
  const event = new Promise((resolve) => (heard = resolve));
  await alice.publish(prefix + "topic", payload, options);
  say({ event: form, ...(await event) });
}
try {
  await alice.call(prefix + "fail");
} catch (e) {
  say({ call: "fail", error: e.errorUri, args: e.argsList, kwargs: e.argsDict });
}
const { argsList } = await alice.call("wamp.session.count");
say({ sessions: argsList[0] });
await alice.disconnect();
await bob.disconnect();
console.log("done");
