// Sealed payloads for Autobahn|JS, by a transport of its own interface.

import { Gate } from "./gate.js";
import { Lanes } from "./lanes.js";
import { follow } from "./scope.js";

let registered = 0;

/**
 * The options of an autobahn.Connection, changed so that its sessions seal:
 *
 *     const connection = new autobahn.Connection(sealAutobahn(autobahn, { url, realm }, { keys }));
 *
 * The third argument is that of Gate.
 */
export function sealAutobahn(autobahn, options, sealing) {
  new Gate(sealing); // says now what is wrong with it
  const transports = (options.transports ?? [{ type: "websocket", url: options.url }]).map((transport) => {
    const type = `sealed-${transport.type}-${++registered}`;
    autobahn.transports.register(type, factory(autobahn.transports.get(transport.type), sealing));
    return { ...transport, type };
  });
  return { ...options, transports };
}

/** Has a session that has joined fetch the lists of members of its scopes: follow, in scope.js. */
export function followAutobahn(session, scopes, onError = (e) => console.warn(e.message)) {
  return follow((topic, handler, options) => session.subscribe(topic, ([bundle]) => handler(bundle), options), scopes, onError);
}

// A factory of transports, as Autobahn|JS calls it: with new.
function factory(Inner, sealing) {
  return function SealedFactory(options) {
    const inner = new Inner(options);
    this.type = inner.type;
    this.create = () => sealed(inner.create(), new Gate(sealing));
  };
}

function sealed(inner, gate) {
  const ignore = () => {};
  const outer = {
    info: inner.info,
    onopen: ignore,
    onmessage: ignore,
    onclose: ignore,
    send: (message) => lanes.fromClient(message),
    close: (code, reason) => inner.close(code, reason),
  };
  const lanes = new Lanes(gate, (message) => inner.send(message), (message) => outer.onmessage(message));
  inner.onopen = () => {
    gate.text = inner.info.protocol?.endsWith(".json") ?? inner.serializer?.SERIALIZER_ID === "json";
    outer.onopen();
  };
  inner.onmessage = (message) => lanes.fromRouter(message);
  inner.onclose = (event) => outer.onclose(event);
  return outer;
}
