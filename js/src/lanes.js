// Messages through a gate in both directions, each in order although sealing and
// opening may take a promise.

import { asSealError } from "./errors.js";
import { CALL, failure, PUBLISH } from "./gate.js";

let current; // what is told of the seal of what a client is being handed

/**
 * In a handler or endpoint, before it awaits anything: what the sealer tells of the seal
 * of the event or call, such as who made it. undefined if it has nothing to tell, or
 * nothing was sealed.
 */
export const currentSeal = () => current;

/**
 * The two directions of one connection. send(message) puts one to the router, and
 * deliver(message) hands one to the client.
 */
export class Lanes {
  #gate;
  #send;
  #deliver;
  #out = new Lane();
  #in = new Lane();

  constructor(gate, send, deliver) {
    this.#gate = gate;
    this.#send = send;
    this.#deliver = deliver;
  }

  /**
   * Sends what the client wants sent. What can't be sealed is not: a CALL, or a PUBLISH
   * that is to be acknowledged, is answered by an ERROR with the URI of the SealError.
   * Any other throws it, or reports it where it is known only later.
   */
  fromClient(message) {
    let thrown;
    let now = true;
    this.#out.run(
      () => this.#gate.outgoing(message),
      (sealed) => sealed && this.#send(sealed),
      (e) => {
        const error = asSealError(e);
        const [type, request, options] = message;
        if (type === CALL || (type === PUBLISH && options?.acknowledge)) {
          // Not at once: the client does not wait for an answer yet.
          queueMicrotask(() => this.#deliver(failure(type, request, error)));
        } else if (now) {
          thrown = error;
        } else {
          this.#gate.onError(error);
        }
      },
    );
    now = false;
    if (thrown) throw thrown;
  }

  /** Hands on what came from the router. */
  fromRouter(message) {
    this.#in.run(
      () => this.#gate.incoming(message),
      ({ message: opened, reply, seal }) => {
        if (reply) this.fromClient(reply);
        if (!opened) return;
        current = seal;
        try {
          this.#deliver(opened);
        } finally {
          current = undefined;
        }
      },
      (e) => this.#gate.onError(asSealError(e)),
    );
  }
}

// Runs one piece of work after the other; at once, as long as none takes a promise.
class Lane {
  #tail = null;

  run(work, done, failed) {
    if (this.#tail) {
      this.#wait(this.#tail.then(work).then(done, failed));
      return;
    }
    let value;
    try {
      value = work();
    } catch (e) {
      failed(e);
      return;
    }
    if (value instanceof Promise) this.#wait(value.then(done, failed));
    else done(value);
  }

  #wait(promise) {
    const tail = promise.catch((e) => console.error(e)).then(() => {
      if (this.#tail === tail) this.#tail = null;
    });
    this.#tail = tail;
  }
}
