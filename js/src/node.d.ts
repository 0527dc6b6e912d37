import type { KeyRing } from "./index.js";

/** Reads a keyring file. One that its group or others may read or write is refused. */
export function loadKeyRing(file: string): Promise<KeyRing>;
/** Writes the keyring file with mode 0600, whole or not at all. */
export function saveKeyRing(file: string, ring: KeyRing): Promise<void>;
