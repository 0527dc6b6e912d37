// What a receiver remembers of streams, and its file: docs/sealed-scopes.md, "Window
// of a stream" and "State".

import { encode } from "cborg";
import { toBase64 } from "./bytes.js";
import { array, isBytes, isUint, scopeError } from "./manifest.js";

const SIZE = 1024;
const MAX_STREAMS = 4096;
const MASK = (1n << BigInt(SIZE)) - 1n;

const name = (key, stream) => `${toBase64(key)} ${toBase64(stream)}`;

export class Windows {
  // By name: {key, stream, highest, accepted, latest}; bit i of accepted is number
  // highest - i.
  streams = new Map();

  constructor(floor) {
    this.floor = floor;
  }

  /** Takes a number of a stream of the sender with that key. */
  accept(key, stream, number, time) {
    const id = name(key, stream);
    const window = this.streams.get(id);
    if (!window) {
      if (time <= this.floor) throw scopeError("too_old", "it could be a repetition, for nothing is remembered of its time");
      this.streams.set(id, { key: key.slice(), stream: stream.slice(), highest: number, accepted: 1n, latest: time });
      this.#shrink();
      return { missing: number, first: true, late: false };
    }
    const behind = window.highest - number;
    let late = false;
    if (behind < 0) {
      window.accepted = ((window.accepted << BigInt(Math.min(-behind, SIZE))) | 1n) & MASK;
      window.highest = number;
    } else if (behind >= SIZE) {
      throw scopeError("reordered", `more than ${SIZE} behind`);
    } else if ((window.accepted >> BigInt(behind)) & 1n) {
      throw scopeError("repeated", "was accepted before");
    } else {
      late = true;
      window.accepted |= 1n << BigInt(behind);
    }
    window.latest = Math.max(window.latest, time);
    return { missing: Math.max(-behind - 1, 0), first: false, late };
  }

  // Forgets the oldest stream if there are too many. What was sealed no later than its
  // messages could then be a repetition.
  #shrink() {
    if (this.streams.size <= MAX_STREAMS) return;
    let oldest;
    for (const [id, window] of this.streams) {
      if (!oldest || window.latest < this.streams.get(oldest).latest) oldest = id;
    }
    this.floor = Math.max(this.floor, this.streams.get(oldest).latest);
    this.streams.delete(oldest);
  }
}

export function encodeState({ scope, epoch, clean, windows }) {
  const streams = [...windows.streams.values()].map(({ key, stream, highest, accepted, latest }) => {
    const bytes = Uint8Array.from({ length: SIZE / 8 }, (_, i) => Number((accepted >> BigInt(8 * i)) & 0xffn));
    return [key, stream, highest, bytes, latest];
  });
  return encode([1, scope, epoch, clean, windows.floor, streams]);
}

export function parseState(data) {
  const lost = scopeError("state_lost", "the state file does not parse");
  let items;
  try {
    items = array(data, 6, "");
  } catch {
    throw lost;
  }
  const [version, scope, epoch, clean, floor, streams] = items;
  if (!(version === 1 && isBytes(scope, 16) && isUint(epoch) && typeof clean === "boolean" && isUint(floor) && Array.isArray(streams) && streams.length <= MAX_STREAMS)) {
    throw lost;
  }
  const windows = new Windows(floor);
  for (const entry of streams) {
    const [key, stream, highest, bytes, latest] = Array.isArray(entry) && entry.length === 5 ? entry : [];
    if (!(isBytes(key, 32) && isBytes(stream, 12) && isUint(highest) && highest < 2 ** 32 && isBytes(bytes, SIZE / 8) && isUint(latest)) || windows.streams.has(name(key, stream))) {
      throw lost;
    }
    const accepted = bytes.reduceRight((n, byte) => (n << 8n) | BigInt(byte), 0n) & ((1n << BigInt(Math.min(highest + 1, SIZE))) - 1n);
    windows.streams.set(name(key, stream), { key, stream, highest, accepted, latest });
  }
  return { scope, epoch, clean, windows };
}
