// Stands between a WAMP client and its connection, and seals and opens payloads. A
// gate works on WAMP messages as arrays, so it knows no client and no serializer.
// What it hands to the client looks as if it had come in the clear.

import { asBytes } from "./bytes.js";
import { Box, Passthru } from "./cryptobox.js";
import { asSealError, CLEARTEXT_REFUSED, FEATURE_NOT_SUPPORTED, INVALID_ARGUMENT, NO_KEY, PROTOCOL_VIOLATION, SealError } from "./errors.js";
import { KeyRing, longestPrefix, validPrefix } from "./keyring.js";
import { binaryText, textBinary } from "./values.js";

export const HELLO = 1, WELCOME = 2, ERROR = 8, PUBLISH = 16, SUBSCRIBE = 32, SUBSCRIBED = 33, UNSUBSCRIBE = 34, EVENT = 36,
  CALL = 48, CANCEL = 49, RESULT = 50, REGISTER = 64, REGISTERED = 65, UNREGISTER = 66, INVOCATION = 68,
  INTERRUPT = 69, YIELD = 70;

const FEATURES = { payload_passthru_mode: true, payload_transparency: true, payload_encryption_cryptobox: true };
// The gate answers for a callee that is interrupted, which neither client does; only so
// does a router let it send progressive results.
const CALLEE_FEATURES = { ...FEATURES, call_canceling: true, progressive_call_results: true };
const ATTRIBUTES = ["enc_algo", "enc_key", "enc_serializer", "ppt_scheme", "ppt_serializer", "ppt_cipher", "ppt_keyid"];

const LISTS = ["exclude", "exclude_authid", "exclude_authrole", "eligible", "eligible_authid", "eligible_authrole"];

// Where the options or details stand, and where the payload begins.
const PLACES = { [PUBLISH]: [2, 4], [CALL]: [2, 4], [EVENT]: [3, 4], [INVOCATION]: [3, 4], [YIELD]: [2, 3], [RESULT]: [2, 3], [ERROR]: [3, 5] };

/** Whether the router speaks for itself under this error URI. */
const routersOwn = (error) => error.startsWith("wamp.") || error.startsWith("blindfold.");

/** Says on the console what was not opened or sealed where nobody waits for it. */
const report = (error) => console.warn(error.message);

// Calls ok with what work returns, or fail with what it throws; later, where it
// returns a promise.
function attempt(work, ok, fail) {
  let value;
  try {
    value = work();
  } catch (e) {
    return fail(e);
  }
  return value instanceof Promise ? value.then(ok, fail) : ok(value);
}

/**
 * One connection's gate; a HELLO begins it anew.
 *
 * A URI that one of the sealers covers is always sealed, and clear text on it is
 * refused. Any other is sent and accepted in the clear only if it begins with one of
 * the prefixes of clear. What begins with "wamp." is between client and router, and
 * is always clear.
 */
export class Gate {
  #sealers;
  #clear;
  #realm = "";
  #router = {};
  #asked; // SUBSCRIBE and REGISTER by request: {uri, match}
  #topics; // by subscription
  #procedures; // by registration
  #calls; // by request: {uri, sealed, state}
  #invocations;

  /**
   * @param {object} options
   * @param {object | object[]} options.keys sealers, of which the first that covers a
   *   URI seals it. A KeyRing stands for Box and then Passthru with its keys.
   * @param {string[]} [options.clear] prefixes that are clear; [""] is all that has no key
   * @param {(error: SealError) => void} [options.onError] is told what was not opened
   *   or sealed where nobody waits for it
   */
  constructor({ keys, clear = [], onError = report }) {
    this.#sealers = [keys ?? []].flat().flatMap((sealer) => (sealer instanceof KeyRing ? [new Box(sealer), new Passthru(sealer)] : [sealer]));
    if (this.#sealers.length === 0) throw new TypeError("nothing given to seal with");
    if (!Array.isArray(clear)) throw new TypeError("clear is a list of prefixes");
    this.#clear = new Set(clear);
    for (const prefix of clear) {
      if (!validPrefix(prefix)) throw new TypeError(`clear: ${JSON.stringify(prefix)} is not a prefix of a URI`);
      if (this.#covering({ uri: prefix, kind: "event" })) throw new TypeError(`clear: ${JSON.stringify(prefix)} has a key, so it is never clear`);
    }
    this.onError = onError;
    /** Whether binaries travel as text: the session's serializer is JSON. */
    this.text = false;
    this.#begin("");
  }

  #begin(realm) {
    this.#realm = realm;
    this.#router = {};
    this.#asked = new Map();
    this.#topics = new Map();
    this.#procedures = new Map();
    this.#calls = new Map();
    this.#invocations = new Map();
  }

  #covering(subject) {
    return this.#sealers.find((sealer) => sealer.covers(subject));
  }

  /**
   * What to send in place of the client's message, null if nothing; a promise of it
   * where sealing takes one. A SealError is thrown where it can't be sealed, and must
   * not be sent.
   */
  outgoing(message) {
    switch (message[0]) {
      case HELLO:
        return this.#hello(message);
      case SUBSCRIBE:
      case REGISTER:
        this.#asked.set(message[1], { uri: message[3], match: message[2]?.match ?? "exact" });
        return message;
      case UNSUBSCRIBE:
        this.#topics.delete(message[2]);
        return message;
      case UNREGISTER:
        this.#procedures.delete(message[2]);
        return message;
      case PUBLISH:
        return this.#publish(message);
      case CALL:
        return this.#call(message);
      case YIELD:
        return this.#yield(message);
      case ERROR:
        return message[1] === INVOCATION ? this.#error(message) : message;
      default:
        return message;
    }
  }

  #subject(uri, kind, originator, more = {}) {
    return { uri, kind, originator, realm: this.#realm, exchange: {}, ...more };
  }

  #hello([, realm, details, ...rest]) {
    this.#begin(realm);
    const roles = Object.entries(details.roles ?? {}).map(([name, role]) => [
      name,
      { ...role, features: { ...role?.features, ...(name === "callee" ? CALLEE_FEATURES : FEATURES) } },
    ]);
    return [HELLO, realm, { ...details, roles: Object.fromEntries(roles) }, ...rest];
  }

  #publish(message) {
    const options = message[2] ?? {};
    const more = { listed: LISTS.some((name) => options[name] != null), toSelf: options.exclude_me === false };
    return this.#seal(message, this.#subject(message[3], "event", true, more), false);
  }

  #call(message) {
    const [, request, options, uri] = message;
    // A call that is known goes on: it is progressive.
    const call = this.#calls.get(request) ?? { uri, sealed: false, state: {} };
    this.#calls.set(request, call);
    return attempt(
      () => this.#seal(message, this.#subject(call.uri, "call", true, { more: Boolean(options?.progress), exchange: call.state }), call.sealed),
      (sealed) => {
        call.sealed ||= sealed !== message;
        return sealed;
      },
      (e) => {
        this.#calls.delete(request);
        throw e;
      },
    );
  }

  #yield(message) {
    const [, request, options] = message;
    const invocation = this.#invocations.get(request);
    if (!invocation) return null; // answered already, or never handed on
    const progress = Boolean(options?.progress);
    if (!progress) this.#invocations.delete(request);
    return attempt(
      () => this.#seal(message, this.#subject(invocation.uri, progress ? "progress" : "result", false, { exchange: invocation.state }), invocation.sealed),
      (sealed) => sealed,
      (e) => {
        const error = asSealError(e, invocation.uri);
        this.#invocations.delete(request);
        this.onError(error);
        return [ERROR, INVOCATION, request, {}, error.error];
      },
    );
  }

  #error(message) {
    const [, , request, , uri, args, kwargs] = message;
    const invocation = this.#invocations.get(request);
    if (!invocation) return null;
    this.#invocations.delete(request);
    const subject = this.#subject(uri, "error", false, { exchange: invocation.state });
    const secret = invocation.sealed || Boolean(this.#covering(this.#subject(invocation.uri, "call", false)));
    const empty = [ERROR, INVOCATION, request, {}, uri];
    if (isEmpty(args) && isEmpty(kwargs) && !this.#covering(subject)) return secret ? empty : message;
    return attempt(
      () => this.#seal(message, subject, secret),
      (sealed) => sealed,
      (e) => {
        // The arguments could tell what was sealed. The router's own errors come to
        // any callee that fails, so there is nothing to report.
        if (!routersOwn(uri)) this.onError(asSealError(e, uri));
        return empty;
      },
    );
  }

  // The message, sealed if its URI has to be. sealed: it answers a sealed one.
  #seal(message, subject, sealed) {
    const [optionsAt, payloadAt] = PLACES[message[0]];
    const args = message[payloadAt] ?? null;
    const kwargs = message[payloadAt + 1] ?? null;
    const reserved = subject.kind !== "error" && subject.uri.startsWith("wamp.");
    const sealer = reserved ? undefined : this.#covering(subject);
    if (!sealer) {
      if (sealed) throw new SealError(NO_KEY, "the call was sealed, and this has no key", subject.uri);
      if (!this.#isClear(subject)) throw new SealError(NO_KEY, "no key for this URI, and it is not declared as clear", subject.uri);
      return message;
    }
    if (!(args === null || Array.isArray(args)) || ATTRIBUTES.some((name) => message[optionsAt]?.[name])) {
      throw new SealError(INVALID_ARGUMENT, "the payload is encoded already", subject.uri);
    }
    return attempt(
      () => sealer.seal(subject, args, kwargs),
      ({ attributes, payload }) => {
        const passthru = "ppt_scheme" in attributes;
        if (subject.originator && !this.#carries(passthru, subject.kind, attributes)) {
          throw new SealError(FEATURE_NOT_SUPPORTED, "the router does not announce this form of sealed payload", subject.uri);
        }
        const out = message.slice(0, payloadAt);
        out[optionsAt] = { ...out[optionsAt], ...attributes };
        const binary = this.#binary(payload);
        out.push(passthru ? [binary] : binary);
        return out;
      },
      (e) => {
        throw asSealError(e, subject.uri);
      },
    );
  }

  // A Buffer is what the serializers of Node.js write as a plain binary.
  #binary(payload) {
    if (this.text) return binaryText(payload);
    return globalThis.Buffer ? globalThis.Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength) : payload;
  }

  #isClear({ uri, kind }) {
    return (kind === "error" && routersOwn(uri)) || uri.startsWith("wamp.") || longestPrefix(this.#clear, uri) !== undefined;
  }

  // Whether the router announces the form. One that does not may drop the message
  // without a word, or mangle it.
  #carries(passthru, kind, attributes) {
    const features = this.#router[kind === "event" ? "broker" : "dealer"]?.features ?? {};
    if (passthru) return Boolean(features.payload_passthru_mode);
    return Boolean(features.payload_transparency || (attributes.enc_algo === "cryptobox" && features.payload_encryption_cryptobox));
  }

  /**
   * What to do with a message of the router, or a promise of it: message is what the
   * client is handed, if anything, reply what is to be sent through outgoing, if
   * anything, and seal what the sealer tells of the seal.
   */
  incoming(message) {
    const [detailsAt] = PLACES[message[0]] ?? [];
    if (message[detailsAt]?.seal !== undefined) {
      // It is where a client hands on what the sealer tells of the seal.
      const { seal, ...details } = message[detailsAt];
      message = message.with(detailsAt, details);
    }
    switch (message[0]) {
      case WELCOME:
        this.#router = message[2]?.roles ?? {};
        this.#realm = message[2]?.realm ?? this.#realm;
        return { message };
      case SUBSCRIBED:
      case REGISTERED:
        return this.#accepted(message);
      case EVENT:
        return this.#event(message);
      case INVOCATION:
        return this.#invocation(message);
      case INTERRUPT:
        return this.#invocations.has(message[1]) ? { reply: [ERROR, INVOCATION, message[1], {}, "wamp.error.canceled"] } : {};
      case RESULT:
        return this.#result(message);
      case ERROR:
        return this.#failed(message);
      default:
        return { message };
    }
  }

  #accepted(message) {
    const [kind, request, id] = message;
    const known = kind === SUBSCRIBED ? this.#topics : this.#procedures;
    const asked = this.#asked.get(request);
    this.#asked.delete(request);
    const before = known.get(id);
    if (asked && before && (before.uri !== asked.uri || before.match !== asked.match)) {
      // The client would hand what comes for one topic to the handler of another.
      return { message: [ERROR, kind === SUBSCRIBED ? SUBSCRIBE : REGISTER, request, {}, PROTOCOL_VIOLATION] };
    }
    if (asked) known.set(id, asked);
    return { message };
  }

  #event(message) {
    const asked = this.#topics.get(message[1]);
    if (!asked) return {}; // it was on its way while the subscription ended
    return attempt(
      () => {
        const topic = actual(asked, message[3]?.topic);
        return this.#open(message, this.#subject(topic, "event", false, { retained: Boolean(message[3]?.retained) }), null);
      },
      (opened) => opened,
      (e) => {
        this.onError(asSealError(e, asked.uri));
        return {};
      },
    );
  }

  #invocation(message) {
    const [, request, registration, details] = message;
    const asked = this.#procedures.get(registration);
    let invocation = this.#invocations.get(request); // known: a progressive call goes on
    return attempt(
      () => {
        if (!asked) throw new SealError("wamp.error.no_such_registration", "nothing is registered so");
        const uri = actual(asked, details?.procedure);
        if (!invocation) {
          invocation = { uri, registration, sealed: false, state: {} };
          this.#invocations.set(request, invocation);
        } else if (invocation.uri !== uri || invocation.registration !== registration) {
          throw new SealError(PROTOCOL_VIOLATION, "the invocation goes on as another procedure's");
        }
        const subject = this.#subject(invocation.uri, "call", false, { more: Boolean(details?.progress), exchange: invocation.state });
        return this.#open(message, subject, invocation);
      },
      (opened) => opened,
      (e) => {
        const error = asSealError(e, asked?.uri);
        this.onError(error);
        this.#invocations.set(request, invocation ?? { uri: "", sealed: true, state: {} });
        return { reply: [ERROR, INVOCATION, request, {}, error.error] };
      },
    );
  }

  #result(message) {
    const [, request, details] = message;
    const progress = Boolean(details?.progress);
    const call = this.#calls.get(request);
    if (!call) return {}; // its end was told already
    if (!progress) this.#calls.delete(request);
    return attempt(
      () => this.#open(message, this.#subject(call.uri, progress ? "progress" : "result", true, { exchange: call.state }), call),
      (opened) => opened,
      (e) => {
        this.#calls.delete(request);
        return { message: failure(CALL, request, asSealError(e, call.uri)), reply: progress ? [CANCEL, request, {}] : undefined };
      },
    );
  }

  #failed(message) {
    const [, asked, request, , uri] = message;
    if (asked !== CALL) {
      this.#asked.delete(request);
      return { message };
    }
    const call = this.#calls.get(request);
    if (!call) return {};
    this.#calls.delete(request);
    return attempt(
      () => this.#open(message, this.#subject(uri, "error", true, { exchange: call.state }), call),
      (opened) => opened,
      (e) => ({ message: failure(CALL, request, asSealError(e, uri)) }),
    );
  }

  #open(message, subject, exchange) {
    const [detailsAt, payloadAt] = PLACES[message[0]];
    const details = message[detailsAt] ?? {};
    const attributes = Object.fromEntries(ATTRIBUTES.filter((name) => typeof details[name] === "string").map((name) => [name, details[name]]));
    const payload = message.slice(payloadAt);
    const passthru = "ppt_scheme" in attributes;
    if (!passthru && !this.#asBinary(payload[0]) && !("enc_algo" in attributes)) {
      this.#acceptClear(subject, exchange);
      return { message };
    }
    return attempt(
      () => this.#opened(subject, attributes, payload, passthru),
      ({ args, kwargs, seal }) => {
        if (exchange) exchange.sealed = true;
        const out = message.slice(0, payloadAt);
        out[detailsAt] = Object.fromEntries(Object.entries(details).filter(([name]) => !ATTRIBUTES.includes(name)));
        if (seal !== undefined) out[detailsAt].seal = seal;
        if (!isEmpty(args) || !isEmpty(kwargs)) out.push(args ?? []);
        if (!isEmpty(kwargs)) out.push(kwargs);
        return { message: out, seal };
      },
      (e) => {
        throw asSealError(e, subject.uri);
      },
    );
  }

  #opened(subject, attributes, payload, passthru) {
    const sealer = this.#sealers.find((s) => s.speaks(attributes) && s.covers(subject));
    if (!sealer) {
      throw new SealError(NO_KEY, this.#covering(subject) ? "the payload is of a scheme that the keys of this URI don't open" : "no key for this URI");
    }
    const binary = this.#asBinary(passthru && Array.isArray(payload[0]) && payload[0].length === 1 ? payload[0][0] : payload[0]);
    if (!binary || !payload.slice(1).every(isEmpty)) throw new SealError(NO_KEY, "the payload is not one binary");
    return sealer.open(subject, attributes, binary);
  }

  #asBinary(value) {
    return this.text ? textBinary(value) : asBytes(value);
  }

  // Refuses clear text where it may not be: someone without the key put it in.
  #acceptClear(subject, exchange) {
    if (subject.uri.startsWith("wamp.") || (subject.kind === "error" && routersOwn(subject.uri))) return;
    if (exchange?.sealed || this.#covering(subject) || !this.#isClear(subject)) {
      throw new SealError(CLEARTEXT_REFUSED, "the payload is in the clear, and this URI is not declared so", subject.uri);
    }
  }
}

/** The ERROR by which a client is told what became of its request. */
export const failure = (type, request, error) => [ERROR, type, request, {}, error.error, [error.message]];

function isEmpty(value) {
  return value == null || (Array.isArray(value) ? value : Object.keys(value)).length === 0;
}

// What a message is about: what was asked for, or for a pattern what the details
// name. The router has no say beyond the pattern: it could otherwise choose a URI
// without a key.
function actual({ uri, match }, named) {
  if (match === "exact" && (named == null || named === uri)) return uri;
  if (typeof named === "string" && matches(uri, match, named)) return named;
  throw new SealError(PROTOCOL_VIOLATION, "the router names no URI that was asked for", uri);
}

function matches(pattern, match, uri) {
  if (match === "prefix") return uri.startsWith(pattern);
  if (match !== "wildcard") return uri === pattern;
  const [wanted, parts] = [pattern.split("."), uri.split(".")];
  return wanted.length === parts.length && wanted.every((w, i) => w === "" || w === parts[i]);
}
