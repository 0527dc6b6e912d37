// What a member of scopes keeps in a browser.

import { fromBase64, toBase64 } from "./bytes.js";

/** A store in the browser's localStorage. */
export function browserStore(prefix = "blindfold.") {
  return {
    load(name) {
      const text = localStorage.getItem(prefix + name);
      return text === null ? null : fromBase64(text) ?? new Uint8Array(); // what can't be read is lost
    },
    save: (name, bytes) => localStorage.setItem(prefix + name, toBase64(bytes)),
  };
}
