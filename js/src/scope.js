// Sealed scopes, as a member sees them: docs/sealed-scopes.md.

import { encode } from "cborg";
import { sameBytes, toBase64, toHex } from "./bytes.js";
import { verify } from "./ed25519.js";
import { INVALID_ARGUMENT, SealError } from "./errors.js";
import { Public } from "./identity.js";
import { array, isBytes, malformed, Manifest, MAX_BUNDLE, openBundle, scopeError, scopeID, TOPIC_PREFIX } from "./manifest.js";
import {
  ATTRIBUTES, BOUND, CALLED, CALLED_INPUTS_FOLLOW, decrypt, encodeBody, encrypt, EVENT, EVENT_TO_SOME, HEAD, importKey, INPUT, kinds, LAST_INPUT, leaf,
  MIN_PAYLOAD, NO_CALL, parseBody, PROGRESS, right, root, signed, STREAM, uriDigest,
} from "./message.js";
import { normalize } from "./values.js";
import { encodeState, parseState, Windows } from "./window.js";

const MAX_EPOCHS = 16;
const MAX_STREAMS = 4096;
const MAX_VERIFIED = 1024;
const BUNDLE_ATTRIBUTES = { ppt_scheme: "x_blindfold_1", ppt_serializer: "cbor" };

// What belongs to one call, at either end.
export class ScopedCall {
  inputs = 1; // sealed or accepted, with the first
  answers = 0; // progressive ones, sealed or accepted

  /** peer is the id of who called, at the callee; of who answered, at the caller. */
  constructor(scope, leaf, peer = null) {
    Object.assign(this, { scope, leaf, peer });
  }

  next(kind) {
    if (kind === INPUT || kind === LAST_INPUT) return this.inputs++;
    if (kind === PROGRESS) return this.answers++;
    return this.answers;
  }

  accept({ kind, index }, sender) {
    const isInput = kind === INPUT || kind === LAST_INPUT;
    const expected = isInput ? this.inputs : this.answers;
    if (this.peer !== null && this.peer !== sender) throw scopeError("wrong_sender", "another member than the one that belongs to the call");
    if (index < expected) throw scopeError("repeated", "was accepted before");
    if (index > expected) throw scopeError("missing", "something of this call is missing before it");
    this.peer = sender;
    if (isInput) this.inputs++;
    else if (kind === PROGRESS) this.answers++;
  }
}

/** A store of what a member keeps, which forgets it when the program ends. */
export function memoryStore() {
  const values = new Map();
  return { load: (name) => values.get(name) ?? null, save: (name, bytes) => void values.set(name, bytes) };
}

/**
 * A scope that one is a member of.
 *
 * What must outlive the program, the lists of members, is kept in a store. The windows
 * are kept in memory: messages that were sealed before the program began are refused as
 * too old, for they could be repetitions.
 */
export class Scope {
  #identity;
  #store;
  #names;
  #window;
  #clock;
  #manifests = []; // newest first
  #epoch = 0; // the highest ever accepted
  #windows;
  #streams = new Map(); // one's own, by kind and URI
  #mine = new Map(); // the same, by id
  #keys = new Map(); // of messages, by epoch and stream
  #verified = new Set(); // of roots
  #busy = Promise.resolve(); // bundles are accepted one after the other
  #waiting = []; // called with the next accepted bundle
  #waited = -Infinity; // when it was last waited for one

  /**
   * Opens a scope: what the store knows of it is read. owner is the owner's public line
   * (or a Public), contacts are public lines of people whose names are one's own word.
   * forget goes on where the state is lost: an older list of members would be believed
   * then.
   */
  static async open({ identity, owner, realm, prefix, store = memoryStore(), contacts = [], window = 300, forget = false, now = Date.now }) {
    const scope = new Scope({ identity, owner: asPublic(owner), realm, prefix, store, contacts: contacts.map(asPublic), window, now });
    await scope.#restore(forget);
    return scope;
  }

  constructor({ identity, owner, realm, prefix, store, contacts, window, now }) {
    this.#identity = identity;
    this.#store = store;
    this.#names = new Map(contacts.map((contact) => [contact.id, contact.name]));
    this.#window = window * 1000;
    this.#clock = now;
    this.#windows = new Windows(now());
    this.owner = owner.key;
    this.realm = realm;
    this.prefix = prefix;
    this.id = scopeID(this.owner, realm, prefix);
    /** Where the owner publishes the lists of members. */
    this.topic = TOPIC_PREFIX + toHex(this.id);
  }

  /** The newest list of members, null before there is any. */
  get manifest() {
    return this.#manifests[0] ?? null;
  }

  // Bundles.

  /**
   * Takes a list of members that the owner has sent, and tells whether it is new. Where
   * it is not accepted, it rejects with a SealError, and nothing has changed.
   */
  accept(bundle) {
    const accepted = this.#busy.then(() => this.#accept(bundle));
    this.#busy = accepted.catch(() => {});
    return accepted;
  }

  async #accept(bundle) {
    const now = this.#clock();
    const newest = this.manifest;
    const { owner, realm, prefix, id } = this;
    const m = await openBundle(bundle, { owner, id, newest: Math.max(this.#epoch, newest?.epoch ?? 0), identity: this.#identity });
    if (!sameBytes(m.owner, owner) || m.realm !== realm || m.prefix !== prefix) throw scopeError("wrong_scope", "the list of members is of another scope");
    const forked = scopeError("forked", "there are two histories of this scope");
    if ((m.epoch === 1) !== (m.previous.length === 0)) throw forked;
    if (newest && m.epoch === newest.epoch + 1 && !sameBytes(m.previous, newest.id)) throw forked;
    const same = m.epoch === newest?.epoch;
    if (same && !sameBytes(m.id, newest.id)) throw forked;
    if (m.index(this.#identity.public.id) < 0) throw scopeError("not_member", "this identity is not in the list of members");
    if (now < m.notBefore - this.#window) throw scopeError("not_yet", "the list of members is not in force yet");
    if (now > m.notAfter) throw scopeError("expired", "the list of members has expired");
    if (same) return false;
    const manifests = [m, ...this.#manifests].slice(0, MAX_EPOCHS);
    await this.#save(manifests);
    this.#manifests = manifests;
    this.#epoch = m.epoch;
    for (const resolve of this.#waiting.splice(0)) resolve();
    return true;
  }

  // Sealing.

  async seal(subject, args, kwargs) {
    const call = this.#call(subject);
    const kind = subject.kind === "event" ? (subject.listed ? EVENT_TO_SOME : EVENT) : kinds(subject, Boolean(call))[0];
    const m = this.manifest;
    const now = this.#clock();
    if (!m) throw scopeError("unknown_epoch", "no list of members was fetched yet");
    if (now < m.notBefore - this.#window) throw scopeError("not_yet", "the list of members is not in force yet");
    if (now > m.notAfter) throw scopeError("expired", "the list of members has expired");
    const sender = m.index(this.#identity.public.id);
    if (!(m.members[sender].rights & right(kind))) throw scopeError("no_right", "this identity may not do this in the scope");
    const uri = uriDigest(subject.uri);
    const at = call?.leaf ?? NO_CALL;
    // What can't be sealed fails here, before it uses up an index or a number.
    const content = { args: normalize(args ?? []), kwargs: normalize(kwargs ?? {}) };
    const body = { kind, sender, time: Math.max(now - m.notBefore, 0), hint: uri.subarray(0, 4), ...content, index: call?.next(kind) ?? 0, callHint: at.subarray(0, 4) };
    const own = this.#own(kind, subject, now);
    const number = own.next++;
    const bytes = encodeBody(body);
    const digest = leaf(m.id, own.id, number, at, uri, bytes);
    if (subject.kind === "call" && !call) subject.exchange.scope = new ScopedCall(this, digest);
    const [signature, key] = await Promise.all([this.#identity.sign(signed(digest)), this.#key(m, own.id, true)]);
    return { attributes: { ...ATTRIBUTES, ppt_keyid: m.keyID }, payload: await encrypt(key, m.id, own.id, number, signature, Uint8Array.of(0), bytes) };
  }

  #call({ kind, exchange }) {
    if (kind === "event") return null;
    const call = exchange.scope ?? null;
    if (!call && kind !== "call") throw scopeError("wrong_call", "the call was not sealed in a scope");
    if (call && call.scope !== this) throw scopeError("wrong_scope", "the call belongs to another scope");
    return call;
  }

  // The stream to send in.
  #own(kind, { uri, toSelf }, now) {
    const name = kind >= BOUND ? "" : `${kind === CALLED_INPUTS_FOLLOW ? CALLED : kind} ${uri}`;
    let own = this.#streams.get(name);
    if (!own || own.next >= 2 ** 32) {
      if (!own && this.#streams.size >= MAX_STREAMS) {
        // Streams may be left at any time; which were one's own is known as long as the
        // router could bring back what was sent.
        this.#streams.clear();
        for (const [id, { used }] of this.#mine) {
          if (now - used > 2 * this.#window) this.#mine.delete(id);
        }
      }
      own = { id: globalThis.crypto.getRandomValues(new Uint8Array(STREAM)), next: 0, toSelf: false };
      this.#streams.set(name, own);
      this.#mine.set(toBase64(own.id), own);
    }
    own.used = now;
    own.toSelf ||= Boolean(toSelf);
    return own;
  }

  /** For tests: a stream that this scope is to take for one of its own. */
  markOwn(id, toSelf) {
    this.#mine.set(toBase64(id), { id, next: 0, used: this.#clock(), toSelf });
  }

  #key(m, stream, remember) {
    const name = `${m.keyID} ${m.epoch} ${toBase64(stream)}`;
    let key = this.#keys.get(name);
    if (!key) {
      key = importKey(m.messageKey(stream));
      if (remember) this.#remember(name, key);
    }
    return key;
  }

  #remember(name, key) {
    if (this.#keys.size >= MAX_STREAMS) this.#keys.delete(this.#keys.keys().next().value);
    this.#keys.set(name, key);
  }

  // Opening: the numbers are those of the checks in "Opening a message".

  async open(subject, attributes, payload) {
    if (!Object.entries(ATTRIBUTES).every(([name, value]) => attributes[name] === value) || payload.length < MIN_PAYLOAD) { // 2
      throw malformed("not a message of a scope");
    }
    const call = this.#call(subject);
    const live = !subject.retained;
    if (!this.#manifests.some((m) => m.keyID === attributes.ppt_keyid)) await this.#await();
    const now = this.#clock();
    const { m, plain } = await this.#decrypt(attributes.ppt_keyid, payload, live, now); // 3 to 6
    const body = parseBody(plain.body); // 7
    const member = m.members[body.sender];
    if (!member) throw scopeError("unknown_sender", "no such member"); // 8
    const stream = payload.subarray(0, STREAM);
    const number = new DataView(payload.buffer, payload.byteOffset).getUint32(STREAM);
    const fits = kinds(subject, Boolean(call)).includes(body.kind);
    const own = this.#mine.get(toBase64(stream));
    if (own && (!fits || (subject.kind === "event" && !own.toSelf))) throw scopeError("reflected", "one's own message came back"); // 9
    if (!fits) throw scopeError("wrong_kind", "it was sealed as another kind of message"); // 10
    const uri = uriDigest(subject.uri);
    const at = call?.leaf ?? NO_CALL;
    if (!sameBytes(body.hint, uri.subarray(0, 4))) throw scopeError("wrong_uri", "it was sealed for another topic, procedure or error"); // 11
    if (body.kind >= BOUND && !sameBytes(body.callHint, at.subarray(0, 4))) throw scopeError("wrong_call", "it belongs to another call"); // 12
    const digest = leaf(m.id, stream, number, at, uri, plain.body);
    if (!(await this.#genuine(member, plain, root(plain, digest)))) throw scopeError("bad_signature", "it is not signed by the member that it names"); // 13
    const sealedAt = m.notBefore + body.time;
    const current = live ? this.#manifests[0].members[this.#manifests[0].index(member.id)] : member;
    if (!current) throw scopeError("removed", "it was sealed by someone who is no member any more"); // 14
    if (!(current.rights & right(body.kind))) throw scopeError("no_right", "the sender may not do this");
    if (live && sealedAt < now - this.#window) throw scopeError("too_old", "it was held back, or a clock is off"); // 15
    if (live && sealedAt > now + this.#window) throw scopeError("too_new", "a clock is off");
    let arrival = { missing: 0, first: false, late: false };
    if (body.kind >= BOUND) call.accept(body, member.id); // 17, 18
    else if (live) arrival = this.#windows.accept(member.key, stream, number, sealedAt); // 16
    if (subject.kind === "call" && !call) subject.exchange.scope = new ScopedCall(this, digest, member.id);
    const name = this.#names.get(member.id);
    const seal = { sender: name ?? member.name, key: member.id, known: name !== undefined, time: new Date(sealedAt), ...arrival, stored: !live };
    return { args: body.args, kwargs: body.kwargs, seal };
  }

  async #decrypt(keyID, payload, live, now) {
    let problem = scopeError("unknown_epoch", "it was sealed for a list of members that is not known here");
    for (const m of this.#manifests.filter((m) => m.keyID === keyID)) {
      try {
        if (live) this.#checkInForce(m, now);
        const stream = payload.subarray(0, STREAM);
        const key = this.#key(m, stream, false);
        const plain = await decrypt(await key, m.id, payload);
        this.#remember(`${m.keyID} ${m.epoch} ${toBase64(stream)}`, key);
        return { m, plain };
      } catch (e) {
        problem = e;
      }
    }
    throw problem;
  }

  #checkInForce(m, now) {
    const [newest, before] = this.#manifests;
    if (m !== newest && !(m === before && now <= newest.notBefore + newest.grace)) {
      throw scopeError("old_epoch", "it was sealed for a list of members that is over");
    }
    if (now > m.notAfter + this.#window) throw scopeError("expired", "the list of members has expired");
  }

  async #genuine({ key, id }, { siblings, signature }, root) {
    if (siblings.length === 0) return verify(key, signed(root), signature);
    const name = `${id} ${toBase64(root)} ${toBase64(signature)}`;
    if (this.#verified.has(name)) return true;
    if (!(await verify(key, signed(root), signature))) return false;
    if (this.#verified.size >= MAX_VERIFIED) this.#verified.clear();
    this.#verified.add(name);
    return true;
  }

  // A message may come before the list of members that it was sealed for: it waits for
  // one, up to 2 seconds and at most once in 10.
  async #await() {
    await this.#busy;
    const now = this.#clock();
    if (now - this.#waited < 10_000) return;
    this.#waited = now;
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, 2000);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  // What is kept: "State".

  async #restore(forget) {
    const name = toHex(this.id);
    const file = await this.#store.load(`${name}.scope`);
    if (file) this.#manifests = this.#parse(file);
    const state = await this.#store.load(`${name}.state`);
    try {
      if (!state && file) throw scopeError("state_lost", "the state is lost; forget goes on without it");
      if (state) {
        const { scope, epoch } = parseState(state);
        if (!sameBytes(scope, this.id)) throw scopeError("state_lost", "the state is of another scope");
        this.#epoch = epoch;
      }
    } catch (e) {
      if (!forget) throw e;
    }
  }

  #parse(file) {
    const what = "the scope file does not parse";
    const [version, owner, realm, prefix, key, raws] = array(file, 6, what);
    if (version !== 1 || !isBytes(owner, 32) || !sameBytes(owner, this.owner) || realm !== this.realm || prefix !== this.prefix ||
      !isBytes(key, 32) || !sameBytes(key, this.#identity.public.key)) {
      throw malformed("the scope file is of another scope or identity");
    }
    if (!Array.isArray(raws) || raws.length > MAX_EPOCHS || !raws.every((raw) => isBytes(raw))) throw malformed(what);
    const manifests = raws.map((raw) => new Manifest(raw));
    const good = (m, i) => sameBytes(m.owner, owner) && m.realm === realm && m.prefix === prefix && m.index(this.#identity.public.id) >= 0 &&
      (i === 0 || manifests[i - 1].epoch > m.epoch);
    if (!manifests.every(good)) throw malformed(what);
    return manifests;
  }

  async #save(manifests) {
    const name = toHex(this.id);
    const windows = new Windows(this.#windows.floor);
    await this.#store.save(`${name}.state`, encodeState({ scope: this.id, epoch: manifests[0].epoch, clean: false, windows }));
    const raws = manifests.map((m) => m.raw);
    await this.#store.save(`${name}.scope`, encode([1, this.owner, this.realm, this.prefix, this.#identity.public.key, raws]));
  }
}

const asPublic = (value) => (typeof value === "string" ? Public.parse(value) : value);

/** Seals and opens what is in scopes; where several fit, the longest prefix wins. */
export class Scopes {
  #scopes;

  constructor(...scopes) {
    if (new Set(scopes.map((s) => `${s.realm}\n${s.prefix}`)).size !== scopes.length) throw new TypeError("two scopes have the same prefix");
    this.#scopes = scopes.sort((a, b) => b.prefix.length - a.prefix.length);
  }

  #find({ uri, kind, realm, exchange }) {
    if (exchange?.scope) return exchange.scope.scope;
    if (kind === "error") return undefined;
    return this.#scopes.find((s) => uri.startsWith(s.prefix) && s.realm === realm);
  }

  covers(subject) {
    return isBundle(subject) || this.#find(subject) !== undefined;
  }

  speaks(attributes) {
    return attributes.ppt_scheme === ATTRIBUTES.ppt_scheme;
  }

  seal(subject, args, kwargs) {
    if (isBundle(subject)) {
      if (args?.length !== 1 || !(args[0] instanceof Uint8Array)) throw new SealError(INVALID_ARGUMENT, "a scope's topic takes a bundle");
      return { attributes: { ...BUNDLE_ATTRIBUTES }, payload: args[0] };
    }
    return this.#scope(subject).seal(subject, args, kwargs);
  }

  open(subject, attributes, payload) {
    if (isBundle(subject)) {
      const good = Object.entries(BUNDLE_ATTRIBUTES).every(([name, value]) => attributes[name] === value) && Object.keys(attributes).length === 2;
      if (!good || payload.length > MAX_BUNDLE) throw malformed("not a bundle");
      return { args: [payload], kwargs: null };
    }
    return this.#scope(subject).open(subject, attributes, payload);
  }

  #scope(subject) {
    const scope = this.#find(subject);
    if (!scope) throw scopeError("no_scope", "no scope for this URI");
    return scope;
  }
}

const isBundle = ({ kind, uri }) => kind === "event" && uri.startsWith(TOPIC_PREFIX);

/**
 * Fetches the lists of members of scopes, now and whenever their owners publish new
 * ones. subscribe(topic, handler, options) is the client's, with a handler of bundles.
 * The promise is kept when each scope has a list; one that is not accepted is given to
 * onError.
 */
export async function follow(subscribe, scopes, onError) {
  await Promise.all(scopes.map(async (scope) => {
    let settle;
    const ready = new Promise((resolve) => (settle = resolve));
    const handler = async (bundle) => {
      try {
        await scope.accept(bundle);
      } catch (e) {
        onError(e instanceof SealError ? e.at(scope.topic) : e);
      }
      if (scope.manifest) settle();
    };
    // The subscription also brings the bundle that the router keeps for newcomers.
    await subscribe(scope.topic, handler, { get_retained: true });
    if (scope.manifest) settle();
    await ready;
  }));
}
