// Just enough WAMP for a browser: one session, publish and subscribe, over
// WebSocket and JSON (WAMP, "Basic Profile"; subprotocol wamp.2.json).

const HELLO = 1, WELCOME = 2, ABORT = 3, GOODBYE = 6, ERROR = 8;
const PUBLISH = 16, PUBLISHED = 17, SUBSCRIBE = 32, SUBSCRIBED = 33, EVENT = 36;

const features = { payload_passthru_mode: true, payload_transparency: true, payload_encryption_cryptobox: true };

export class Session {
  // connect resolves with a session that has been welcomed. onsend gets each
  // frame as it is sent; onclose, once, that the session is over and why.
  static connect(url, realm, { onsend = () => {}, onclose = () => {} } = {}) {
    return new Promise((resolve, reject) => {
      const s = new Session();
      s.socket = new WebSocket(url, ["wamp.2.json"]);
      s.onsend = onsend;
      s.next = 1;
      s.waiting = new Map(); // request id → [resolve, reject]
      s.handlers = new Map(); // subscription id → function
      s.early = new Map(); // subscription id → events that came before its function
      s.socket.onopen = () => s.send([HELLO, realm, { agent: "blindfold-demo", roles: { publisher: { features }, subscriber: { features } } }]);
      s.socket.onmessage = (e) => s.receive(JSON.parse(e.data), resolve, reject);
      s.socket.onclose = () => {
        s.over ??= "the connection was lost";
        reject(new Error(s.id ? s.over : `no session: ${s.over}`));
        for (const [, no] of s.waiting.values()) no(new Error(s.over));
        if (s.id) onclose(s.over);
      };
    });
  }

  send(message) {
    const frame = JSON.stringify(message);
    this.socket.send(frame);
    return frame;
  }

  receive(m, welcomed, refused) {
    switch (m[0]) {
      case WELCOME:
        this.id = m[1];
        welcomed(this);
        return;
      case ABORT:
        this.over = `${m[2]}: ${m[1].message ?? ""}`;
        refused(new Error(this.over));
        return;
      case GOODBYE:
        this.over = m[2];
        this.send([GOODBYE, {}, "wamp.close.goodbye_and_out"]);
        return;
      case PUBLISHED:
      case SUBSCRIBED:
        this.settle(m[1])?.[0](m[2]);
        return;
      case ERROR:
        this.settle(m[2])?.[1](new Error(`${m[4]}: ${m[5]?.[0] ?? ""}`));
        return;
      case EVENT: // [EVENT, subscription, publication, details, args|payload, kwargs]
        if (this.handlers.has(m[1])) this.handlers.get(m[1])(m[4], m[3]);
        else this.early.set(m[1], [...(this.early.get(m[1]) ?? []), [m[4], m[3]]].slice(-20));
    }
  }

  settle(request) {
    const w = this.waiting.get(request);
    this.waiting.delete(request);
    return w;
  }

  ask(type, ...rest) {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, [resolve, reject]);
      const frame = this.send([type, id, ...rest]);
      if (type === PUBLISH) this.onsend(frame);
    });
  }

  async subscribe(topic, handler, options = {}) {
    const id = await this.ask(SUBSCRIBE, options, topic);
    this.handlers.set(id, handler);
    // Retained events may have come together with the answer.
    for (const [payload, details] of this.early.get(id) ?? []) handler(payload, details);
    this.early.delete(id);
  }

  // publish takes what stands behind the topic: a list of arguments, or the
  // string of an opaque payload with the options that declare it.
  publish(topic, payload, options = {}) {
    return this.ask(PUBLISH, { acknowledge: true, ...options }, topic, payload);
  }

  close() {
    this.socket.onclose = null;
    this.socket.close();
    for (const [, no] of this.waiting.values()) no(new Error("left"));
  }
}
