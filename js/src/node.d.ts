import type { Identity, KeyRing, Store } from "./index.js";

/** Reads a keyring file. One that its group or others may read or write is refused. */
export function loadKeyRing(file: string): Promise<KeyRing>;
/** Writes the keyring file with mode 0600, whole or not at all. */
export function saveKeyRing(file: string, ring: KeyRing): Promise<void>;
/** Reads the file of an identity. One that others may read or write is refused. */
export function loadIdentity(file: string): Promise<Identity>;
/** Writes the file of an identity, with mode 0600. */
export function saveIdentity(file: string, identity: Identity): Promise<void>;
/** A store for what a member of scopes keeps: a folder of this program's own. */
export function folderStore(folder: string): Store;
