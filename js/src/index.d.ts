// Types of @blindfold/seal. What each thing does is told where it is written, in the
// .js files, and in docs/javascript.md.

export const NO_KEY: "wamp.error.no_payload_codec";
export const DECRYPT_ERROR: "wamp.error.encryption.decrypt_error";
export const URI_MISMATCH: "wamp.error.encryption.trusted_uri_mismatch";
export const CLEARTEXT_REFUSED: "blindfold.error.cleartext_refused";
export const INVALID_ARGUMENT: "wamp.error.invalid_argument";
export const FEATURE_NOT_SUPPORTED: "wamp.error.feature_not_supported";
export const PROTOCOL_VIOLATION: "wamp.error.protocol_violation";

/** Why a payload was not sealed, and so not sent, or not opened, and so not handed on. */
export class SealError extends Error {
  constructor(error: string, text: string, uri?: string);
  /** The WAMP error URI of this kind of failure. */
  readonly error: string;
  readonly text: string;
  /** The topic, procedure or error URI of the payload, where it is known. */
  readonly uri?: string;
}

/** One side's key pair, in base64: the private key, or only the public one. */
export interface Half {
  private?: string;
  public?: string;
}

export class Key {
  constructor(halves: { originator: Half; responder: Half });
  static shared(privateKey: string): Key;
  readonly originatorPublic: string;
  readonly responderPublic: string;
}

/** A new private key and its public key, in base64. */
export function generateKey(): { private: string; public: string };

export class KeyRing {
  add(prefix: string, key: Key | string): this;
  accept(prefix: string, key: Key | string): this;
  set(prefix: string, key: Key | string | null): this;
  remove(prefix: string, key: Key | string): this;
  prefixes(): string[];
  keys(prefix: string): Key[];
  covers(uri: string): boolean;
  static parse(content: string | Uint8Array): KeyRing;
  encode(): string;
}

/** The identifier of a public key (base64) in the passthru form. */
export function keyID(publicKey: string): string;

/** What a payload belongs to. */
export interface Subject {
  readonly uri: string;
  readonly kind: "event" | "call" | "result" | "progress" | "error";
  /** Whether this side publishes or calls. */
  readonly originator: boolean;
  readonly realm: string;
  /** Whether a call has further arguments to come. */
  readonly more?: boolean;
  /** Whether lists of receivers (exclude, eligible, …) keep an event from some subscribers. */
  readonly listed?: boolean;
  /** Whether the router brings an event to its publisher, too (exclude_me). */
  readonly toSelf?: boolean;
  /** Whether the router says that an event was kept, so that it may be old. */
  readonly retained?: boolean;
  /** Belongs to one call: what is put here at the call is here again at its answers. */
  readonly exchange: Record<string, unknown>;
}

export type Attributes = Record<string, string>;

export interface Opened {
  args: unknown[] | null;
  kwargs: Record<string, unknown> | null;
  /** What the sealer tells of the seal. */
  seal?: unknown;
}

/** Seals and opens payloads. Throws, or rejects with, a SealError. */
export interface Sealer {
  covers(subject: Subject): boolean;
  speaks(attributes: Attributes): boolean;
  seal(subject: Subject, args: unknown[] | null, kwargs: Record<string, unknown> | null): Sealed | Promise<Sealed>;
  open(subject: Subject, attributes: Attributes, payload: Uint8Array): Opened | Promise<Opened>;
}

export interface Sealed {
  attributes: Attributes;
  payload: Uint8Array;
}

export class Box implements Sealer {
  constructor(keys: KeyRing);
  covers(subject: Subject): boolean;
  speaks(attributes: Attributes): boolean;
  seal(subject: Subject, args: unknown[] | null, kwargs: Record<string, unknown> | null): Sealed;
  open(subject: Subject, attributes: Attributes, payload: Uint8Array): Opened;
}

export class Passthru implements Sealer {
  constructor(keys: KeyRing, options?: { allowUnbound?: boolean });
  covers(subject: Subject): boolean;
  speaks(attributes: Attributes): boolean;
  seal(subject: Subject, args: unknown[] | null, kwargs: Record<string, unknown> | null): Sealed;
  open(subject: Subject, attributes: Attributes, payload: Uint8Array): Opened;
}

/** The public half of an identity: one line of text. */
export class Public {
  static parse(line: string): Public;
  readonly name: string;
  readonly key: Uint8Array;
  readonly recipient: string;
  /** The key as base64url. */
  readonly id: string;
  /** The 30 digits that two people compare. */
  digits(): string;
  toString(): string;
}

export class Identity {
  static generate(name: string): Promise<Identity>;
  static parse(content: string | Uint8Array): Identity;
  readonly public: Public;
  /** The content of the private file: whoever reads it is this identity. */
  encode(): string;
}

/** What the seal of a scope's message tells of it. */
export interface Origin {
  /** Who sealed it: the name of a contact, or else the owner's word. */
  sender: string;
  /** The sender's key, as base64url. */
  key: string;
  /** Whether the name is one of the receiver's own contacts. */
  known: boolean;
  /** When it was sealed, by the sender's clock. */
  time: Date;
  /** How many messages of the sender on this URI are missing directly before it. */
  missing: number;
  /** What is missing may be from before the receiver began. */
  first: boolean;
  /** Later ones came before it, and reported it as missing. */
  late: boolean;
  /** It was retained, by the router's word: it may be old, or a repetition. */
  stored: boolean;
}

/**
 * In a handler or endpoint, before it awaits anything: what is told of the seal of the
 * event or call. undefined if there is nothing to tell. In wampy, details.seal is the
 * same, of results too.
 */
export function currentSeal(): Origin | undefined;

/** Where a member keeps what must outlive the program. */
export interface Store {
  load(name: string): Uint8Array | null | Promise<Uint8Array | null>;
  save(name: string, bytes: Uint8Array): void | Promise<void>;
}

export function memoryStore(): Store;
/** A store in the browser's localStorage. */
export function browserStore(prefix?: string): Store;

/** A scope that one is a member of. */
export class Scope {
  static open(options: {
    identity: Identity;
    /** The owner's public line. */
    owner: string | Public;
    realm: string;
    prefix: string;
    store?: Store;
    /** Public lines of people whose names are one's own word. */
    contacts?: (string | Public)[];
    /** How far clocks may differ, and how long a message may be under way, in seconds. */
    window?: number;
    /** Goes on where the state is lost. */
    forget?: boolean;
    now?: () => number;
  }): Promise<Scope>;
  readonly realm: string;
  readonly prefix: string;
  /** Where the owner publishes the lists of members. */
  readonly topic: string;
  /** The newest list of members, null before there is any. */
  readonly manifest: Manifest | null;
  /** Takes a list of members that the owner has sent, and tells whether it is new. */
  accept(bundle: Uint8Array): Promise<boolean>;
}

export interface Manifest {
  readonly epoch: number;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly members: { readonly name: string; readonly id: string; readonly rights: number }[];
}

export class Scopes implements Sealer {
  constructor(...scopes: Scope[]);
  covers(subject: Subject): boolean;
  speaks(attributes: Attributes): boolean;
  seal(subject: Subject, args: unknown[] | null, kwargs: Record<string, unknown> | null): Sealed | Promise<Sealed>;
  open(subject: Subject, attributes: Attributes, payload: Uint8Array): Opened | Promise<Opened>;
}

/** Has a session that has joined fetch the lists of members of its scopes, now and whenever there are new ones. */
export function followAutobahn(session: object, scopes: Scope[], onError?: (error: SealError) => void): Promise<void>;
/** Has a Wampy that has connected fetch the lists of members of its scopes, now and whenever there are new ones. */
export function followWampy(wampy: object, scopes: Scope[], onError?: (error: SealError) => void): Promise<void>;

export interface Sealing {
  /** The first that covers a URI seals it. A KeyRing stands for Box and then Passthru. */
  keys: KeyRing | Sealer | (KeyRing | Sealer)[];
  /** Prefixes that are clear; [""] is all that has no key. */
  clear?: string[];
  /** Is told what was not opened or sealed where nobody waits for it. */
  onError?: (error: SealError) => void;
}

/** A WAMP message. */
export type Message = unknown[];

export class Gate {
  constructor(sealing: Sealing);
  /** Whether binaries travel as text: the session's serializer is JSON. */
  text: boolean;
  outgoing(message: Message): Message | null | Promise<Message | null>;
  incoming(message: Message): Received | Promise<Received>;
}

export interface Received {
  message?: Message;
  reply?: Message;
  seal?: unknown;
}

/** The options of an autobahn.Connection, changed so that its sessions seal. */
export function sealAutobahn<O extends object>(autobahn: object, options: O, sealing: Sealing): O;

/** The options of a Wampy, changed so that its session seals. */
export function sealWampy<O extends object>(options: O, sealing: Sealing): O;
