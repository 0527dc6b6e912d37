import { Session } from "./wamp.js";
import { attributes, base64, newKeys, open, seal } from "./cryptobox.js";

const $ = (selector, root = document) => root.querySelector(selector);

function element(name, className, ...content) {
  const e = document.createElement(name);
  if (className) e.className = className;
  e.append(...content);
  return e;
}

// A peer has a name, keys, a column of the page, and a session.
class Peer {
  constructor(name) {
    this.name = name;
    this.keys = newKeys();
    this.topic = `com.demo.for_${name.toLowerCase()}`;
    this.column = $(`#${name.toLowerCase()}`);
    this.chat = $(".chat", this.column);
    $(".key code", this.column).textContent = base64(this.keys.publicKey);
    $(".say", this.column).addEventListener("submit", (e) => {
      e.preventDefault();
      const input = $(".say input", this.column);
      const text = input.value.trim();
      if (text) this.say(text);
      input.value = "";
    });
  }

  async join(url, realm) {
    this.session = await Session.connect(url, realm, { onsend: (frame) => onWire(this, frame), onclose: (why) => status(why, false) });
    await this.session.subscribe(this.topic, (payload, details) => this.hear(payload, details));
  }

  async say(text) {
    try {
      if ($("#seal").checked) {
        await this.session.publish(this.other.topic, seal(this.other.topic, [text], this.other.keys.publicKey, this.keys.secretKey), attributes);
      } else {
        await this.session.publish(this.other.topic, [text]);
      }
      this.show(text, "own");
    } catch (e) {
      this.show(e.message, "problem");
    }
  }

  hear(payload, details) {
    try {
      if (details.enc_algo === undefined) {
        this.show(String(payload?.[0] ?? ""), "", "came in the clear");
        return;
      }
      const [text] = open(this.topic, payload, this.other.keys.publicKey, this.keys.secretKey);
      this.show(text, "", "opened with own key");
    } catch (e) {
      this.show(e.message, "problem");
    }
  }

  show(text, className, how) {
    const li = element("li", className, text);
    if (how) li.append(element("span", "how", how));
    this.chat.append(li);
    while (this.chat.children.length > 50) this.chat.firstChild.remove();
    li.scrollIntoView({ block: "nearest" });
  }
}

const alice = new Peer("Alice"), bob = new Peer("Bob");
[alice.other, bob.other] = [bob, alice];

// The middle: the frame as it left the browser, which is all that a router gets,
// and below it what the router itself says that it saw.
const unseen = []; // [digest, <dd>] of frames that the router has not spoken of yet

async function onWire(from, frame) {
  const message = JSON.parse(frame);
  const [, , options, topic, payload] = message;
  const opaque = options.enc_algo !== undefined;
  const tail = JSON.stringify(payload);
  const digest = await sha256(tail);
  const at = frame.lastIndexOf(tail);
  const wire = element("code", "wire", frame.slice(0, at), element("mark", "", tail), frame.slice(at + tail.length));
  wire.tabIndex = 0;
  const seen = element("dd", "seen", view ? "…" : `${tail.length} bytes`);
  const rows = [
    ["PUBLISH", element("code", "", topic)],
    ["from", `${from.name}'s session`],
    ["payload", element("span", "payload", opaque ? `opaque: ${options.enc_algo}` : "clear: anybody on the way can read it")],
    ["on the wire", wire],
  ].map(([name, value]) => [element("dt", "", name), element("dd", "", value)]);
  rows.push([element("dt", "", view ? "router says" : "size"), seen]);
  const li = element("li", opaque ? "opaque" : "clear", element("dl", "", ...rows.flat()));
  $("#view .empty")?.remove();
  $("#view").append(li);
  while ($("#view").children.length > 20) $("#view").firstChild.remove();
  li.scrollIntoView({ block: "nearest" });
  if (view) unseen.push([digest, seen]);
  if (unseen.length > 20) unseen.shift();
}

async function sha256(text) {
  if (!globalThis.crypto?.subtle) return "";
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return [...hash].map((b) => b.toString(16).padStart(2, "0")).join("");
}

let view = false, last = 0;

// watch asks the demo's own router what it saw.
async function watch() {
  try {
    const envelopes = await (await fetch(`envelopes?after=${last}`)).json();
    for (const e of envelopes) {
      last = e.number;
      const n = unseen.findIndex(([digest]) => digest === e.payload.sha256);
      if (n < 0 || e.outcome !== "routed") continue;
      const [[, seen]] = unseen.splice(n, 1);
      seen.textContent = `${e.payload.opaque ? "opaque" : "clear"}, ${e.payload.size} bytes, sha256 ${e.payload.sha256.slice(0, 12)}…, to ${e.deliveries}, ${e.micros} µs`;
    }
  } catch { /* the status line says it when the sessions are lost */ }
  setTimeout(watch, 500);
}

function status(text, good) {
  $("#status").textContent = text;
  $("#status").className = good ? "good" : "bad";
}

async function connect(url, realm) {
  for (const p of [alice, bob]) p.session?.close();
  status("connecting", true);
  try {
    await Promise.all([alice.join(url, realm), bob.join(url, realm)]);
    status("two sessions", true);
  } catch (e) {
    status(e.message, false);
  }
}

$("#connection").addEventListener("submit", (e) => {
  e.preventDefault();
  view = own?.view === true && $("#router").value === own.router;
  connect($("#router").value, $("#realm").value);
});

const asked = new URLSearchParams(location.search);
const own = await fetch("demo.json").then((r) => (r.ok ? r.json() : null)).catch(() => null);
$("#router").value = asked.get("router") ?? own?.router ?? "ws://127.0.0.1:8080/ws";
$("#realm").value = asked.get("realm") ?? own?.realm ?? "realm1";
view = own?.view === true && $("#router").value === own.router;
if (own?.view) watch();
await connect($("#router").value, $("#realm").value);
