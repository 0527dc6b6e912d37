import { Session } from "./wamp.js";
import { Identity, Scope } from "./vendor/blindfold-seal/blindfold-seal.min.js";

const $ = (selector, root = document) => root.querySelector(selector);

function element(name, className, ...content) {
  const e = document.createElement(name);
  if (className) e.className = className;
  e.append(...content);
  return e;
}

function status(text, good) {
  $("#status").textContent = text;
  $("#status").className = good ? "good" : "bad";
}

// Binaries in JSON: U+0000 and base64 (WAMP, "Binary support in JSON").
const toText = (bytes) => "\0" + btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));
const toBytes = (text) => Uint8Array.from(atob(text.slice(1)), (c) => c.charCodeAt(0));
const binaryOf = (payload) => (Array.isArray(payload) && payload.length === 1 && String(payload[0]).startsWith("\0") ? toBytes(payload[0]) : undefined);

// ask asks the owner, and shows how the group is then.
async function ask(path, body) {
  const request = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(path, request);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  $("#epoch").textContent = answer.epoch;
  $("#members").textContent = answer.members.join(", ") || "nobody yet";
  $("#prefix").textContent = answer.prefix;
  for (const m of members) m.shows(answer.members);
  return answer;
}

// A member has an identity, a view of the scope, a column of the page, and a session.
class Member {
  constructor(name) {
    this.name = name;
    this.column = $(`#${name}`);
    this.chat = $(".chat", this.column);
    this.toggle = $(".toggle", this.column);
    this.toggle.addEventListener("click", () => this.inOrOut());
    $(".say", this.column).addEventListener("submit", (e) => {
      e.preventDefault();
      const input = $(".say input", this.column);
      const text = input.value.trim();
      if (text) this.say(text);
      input.value = "";
    });
  }

  async begin({ owner, realm, prefix }, url) {
    this.identity = await Identity.generate(this.name);
    $(".key code", this.column).textContent = this.identity.public.digits();
    this.scope = await Scope.open({ identity: this.identity, owner, realm, prefix, contacts: [owner] });
    this.realm = realm;
    this.topic = `${prefix}chat`;
    this.session = await Session.connect(url, realm, { onclose: (why) => status(why, false) });
    await this.session.subscribe(this.scope.topic, (payload) => this.epoch(payload), { get_retained: true });
    await this.session.subscribe(this.topic, (payload, details) => this.hear(payload, details));
  }

  shows(names) {
    this.in = names.includes(this.name);
    this.toggle.hidden = false;
    this.toggle.textContent = this.in ? "Remove" : "Add again";
  }

  async inOrOut() {
    try {
      await (this.in ? ask("group/remove", { name: this.name }) : ask("group/add", { line: String(this.identity.public) }));
    } catch (e) {
      status(e.message, false);
    }
  }

  async epoch(payload) {
    try {
      if (await this.scope.accept(binaryOf(payload))) this.show(`Epoch ${this.scope.manifest.epoch}: ${this.scope.manifest.members.map((m) => m.name).join(", ")}`, "own");
    } catch (e) {
      this.show(e.message, "problem");
    }
  }

  async say(text) {
    try {
      const subject = { uri: this.topic, kind: "event", originator: true, realm: this.realm, exchange: {} };
      const { attributes, payload } = await this.scope.seal(subject, [text], null);
      await this.session.publish(this.topic, [toText(payload)], attributes);
      this.show(text, "own");
    } catch (e) {
      this.show(e.message, "problem");
    }
  }

  async hear(payload, details) {
    try {
      const subject = { uri: this.topic, kind: "event", originator: false, realm: this.realm, retained: details.retained, exchange: {} };
      const attributes = Object.fromEntries(Object.entries(details).filter(([name]) => name.startsWith("ppt_")));
      const { args, seal } = await this.scope.open(subject, attributes, binaryOf(payload) ?? new Uint8Array());
      const missing = seal.missing && !seal.first ? `, ${seal.missing} missing before it` : "";
      this.show(String(args[0]), "", `sealed by ${seal.sender} at ${seal.time.toLocaleTimeString()}${missing}`);
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

const members = [new Member("bob"), new Member("carol")];

// watch shows what the demo's own router says that it saw.
let last = 0;
async function watch() {
  try {
    for (const e of await (await fetch(`envelopes?after=${last}`)).json()) {
      last = e.number;
      if (e.type !== "PUBLISH" || e.outcome !== "routed") continue;
      const rows = [
        ["PUBLISH", element("code", "", e.uri)],
        ["attributes", (e.attributes ?? []).map(([name, value]) => `${name} ${value}`).join(", ")],
        ["payload", element("span", "payload", `${e.payload.opaque ? "opaque" : "clear"}, ${e.payload.size} bytes, to ${e.deliveries}`)],
        ["sha256", e.payload.sha256 ?? ""],
      ].flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value)]);
      $("#view .empty")?.remove();
      $("#view").append(element("li", e.payload.opaque ? "opaque" : "clear", element("dl", "", ...rows)));
      while ($("#view").children.length > 30) $("#view").firstChild.remove();
      $("#view").lastChild.scrollIntoView({ block: "nearest" });
    }
  } catch { /* the status line says it when the sessions are lost */ }
  setTimeout(watch, 500);
}

$("#add").addEventListener("submit", async (e) => {
  e.preventDefault();
  try {
    await ask("group/add", { line: $("#line").value.trim() });
    $("#line").value = "";
  } catch (e) {
    status(e.message, false);
  }
});

const own = await (await fetch("demo.json")).json();
if (own.view) await watch(); // the router remembers only while somebody watches
try {
  const group = await ask("group");
  $("#fetch").textContent = `seal scope fetch ${group.prefix} --url ${own.router} --realm ${group.realm} --owner '${group.owner}'`;
  await Promise.all(members.map((m) => m.begin(group, own.router)));
  for (const m of members) {
    if (m.in) await ask("group/remove", { name: m.name }); // of a page that was open before
    await ask("group/add", { line: String(m.identity.public) });
  }
  status("everybody is there", true);
} catch (e) {
  status(e.message, false);
}
