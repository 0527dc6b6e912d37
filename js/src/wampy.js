// Sealed payloads for wampy.js, by a WebSocket and a serializer of its own interfaces:
// wampy hands whole messages to the WebSocket, which seals them and then uses the
// serializer.

import { Gate } from "./gate.js";
import { Lanes } from "./lanes.js";
import { follow } from "./scope.js";

const jsonSerializer = { protocol: "json", isBinary: false, encode: (message) => JSON.stringify(message), decode: (data) => JSON.parse(data) };

/**
 * The options of a Wampy, changed so that its session seals:
 *
 *     const wampy = new Wampy(url, sealWampy({ realm }, { keys }));
 *
 * The second argument is that of Gate.
 */
export function sealWampy(options, sealing) {
  new Gate(sealing); // says now what is wrong with it
  const serializer = options.serializer ?? jsonSerializer;
  const Socket = options.ws ?? globalThis.WebSocket;
  if (!Socket) throw new TypeError("no WebSocket here: give one as options.ws");
  return {
    ...options,
    ws: class extends SealedSocket {
      constructor(...args) {
        super(new Socket(...args), serializer, new Gate(sealing));
      }
    },
    serializer: { protocol: serializer.protocol, isBinary: serializer.isBinary, encode: (message) => message, decode: (message) => message },
  };
}

/** Has a Wampy that has connected fetch the lists of members of its scopes: follow, in scope.js. */
export function followWampy(wampy, scopes, onError = (e) => console.warn(e.message)) {
  return follow((topic, handler, options) => wampy.subscribe(topic, ({ argsList: [bundle] }) => handler(bundle), options), scopes, onError);
}

// As much of a WebSocket as wampy uses, which takes and gives messages.
class SealedSocket {
  #inner;
  #lanes;
  onopen = null;
  onmessage = null;
  onclose = null;
  onerror = null;

  constructor(inner, serializer, gate) {
    this.#inner = inner;
    gate.text = serializer.protocol === "json";
    this.#lanes = new Lanes(gate, (message) => inner.send(serializer.encode(message)), (message) => this.onmessage?.({ data: message }));
    inner.onopen = (event) => this.onopen?.(event);
    inner.onclose = (event) => this.onclose?.(event);
    inner.onerror = (event) => this.onerror?.(event);
    inner.onmessage = ({ data }) => this.#lanes.fromRouter(serializer.decode(data));
  }

  get readyState() {
    return this.#inner.readyState;
  }

  get protocol() {
    return this.#inner.protocol;
  }

  get binaryType() {
    return this.#inner.binaryType;
  }

  set binaryType(type) {
    this.#inner.binaryType = type;
  }

  send(message) {
    this.#lanes.fromClient(message);
  }

  close(code, reason) {
    this.#inner.close(code, reason);
  }
}
