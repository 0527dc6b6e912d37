// The keyring file on disk, for Node.js.

import { mkdir, open, rename, rm } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import path from "node:path";
import { Identity } from "./identity.js";
import { KeyRing } from "./keyring.js";

const MAX_FILE_SIZE = 16 << 20;

/** Reads a keyring file. One that its group or others may read or write is refused. */
export async function loadKeyRing(file) {
  return KeyRing.parse(await readOwn(file));
}

/** Writes the keyring file with mode 0600, whole or not at all. */
export async function saveKeyRing(file, ring) {
  await writeOwn(file, ring.encode());
}

/** Reads the file of an identity. One that others may read or write is refused. */
export async function loadIdentity(file) {
  return Identity.parse(await readOwn(file));
}

/** Writes the file of an identity, with mode 0600. */
export async function saveIdentity(file, identity) {
  await writeOwn(file, identity.encode());
}

/**
 * A store for what a member of scopes keeps, in a folder. Node.js can't lock files: give
 * each program a folder of its own, and not that of another of Blindfold's programs.
 */
export function folderStore(folder) {
  return {
    async load(name) {
      try {
        return new Uint8Array(await readOwn(path.join(folder, name)));
      } catch (e) {
        if (e.code === "ENOENT") return null;
        throw e;
      }
    },
    async save(name, bytes) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await writeOwn(path.join(folder, name), bytes);
    },
  };
}

/** Reads a file that is its owner's alone. */
export async function readOwn(file) {
  const handle = await open(file, "r");
  try {
    const { mode, size } = await handle.stat();
    if (mode & 0o077 && process.platform !== "win32") {
      throw new Error(`${file} is open to others than its owner (mode ${(mode & 0o777).toString(8).padStart(4, "0")}): ` +
        "chmod 600 it, and replace its keys if anyone may have read them");
    }
    if (size > MAX_FILE_SIZE) throw new Error(`${file} is over ${MAX_FILE_SIZE >> 20} MiB`);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

/** Writes a file with mode 0600. One that is there is replaced whole or not at all. */
export async function writeOwn(file, content) {
  const temporary = path.join(path.dirname(path.resolve(file)), `.blindfold-${randomUUID()}`);
  try {
    const handle = await open(temporary, "wx", 0o600);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (e) {
    await rm(temporary, { force: true });
    throw e;
  }
}
