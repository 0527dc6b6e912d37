import { parse, sum, by, quantile } from "./metrics.js";
import { Chart, bars, element } from "./chart.js";

const $ = (id) => document.getElementById(id);
const EVERY = 1000; // ms between readings
const MINUTES = 2;

const count = (n) => (n >= 10000 ? `${(n / 1000).toFixed(n >= 1e5 ? 0 : 1)} k` : n >= 100 || Number.isInteger(n) ? Math.round(n).toLocaleString("en") : n.toFixed(1));
function bytes(n) {
  const unit = n >= 1e9 ? [1e9, "GB"] : n >= 1e6 ? [1e6, "MB"] : n >= 1e3 ? [1e3, "kB"] : [1, "B"];
  const v = n / unit[0];
  return `${v >= 100 || unit[0] === 1 ? Math.round(v) : v.toFixed(1)} ${unit[1]}`;
}
function seconds(s) {
  if (Number.isNaN(s)) return "–";
  return s < 1e-3 ? `${Math.round(s * 1e6)} µs` : s < 1 ? `${(s * 1e3).toFixed(1)} ms` : `${s.toFixed(1)} s`;
}
const percent = (part) => (part === 1 ? "100 %" : part > 0.999 ? "> 99.9 %" : `${(100 * part).toFixed(1)} %`);
const words = (reason) => reason.replaceAll("_", " ");

const length = (MINUTES * 60 * 1000) / EVERY;
const messages = new Chart($("messages-chart"), length, "Messages", count);
const payload = new Chart($("bytes-chart"), length, "Payload bytes", bytes);

let before = null; // the last reading: {at, families}
let realm = "";
let last = 0; // the number of the newest envelope shown

$("realm").addEventListener("change", (e) => {
  realm = e.target.value;
  before = null;
  messages.reset();
  payload.reset();
  $("envelopes").replaceChildren();
  last = 0;
});

function show(families, at) {
  const here = (l) => realm === "" || l.realm === realm;
  const seconds_ = before && (at - before.at) / 1000;
  const rate = (name, keep = here) => Math.max(0, (sum(families, name, keep) - sum(before.families, name, keep)) / seconds_);

  const names = [...new Set((families.get("blindfold_subscriptions") ?? []).map((s) => s.labels.realm))].sort();
  const select = $("realm");
  if (names.join() !== [...select.options].slice(1).map((o) => o.value).join()) {
    select.replaceChildren(new Option("all", ""), ...names.map((n) => new Option(n, n, false, n === realm)));
  }
  const build = families.get("blindfold_build_info")?.[0]?.labels;
  const version = build?.version ?? "";
  $("version").textContent = /^[0-9a-f]{40}$/.test(version) ? version.slice(0, 12) : version;

  const opaque = sum(families, "blindfold_opaque_messages_total", here);
  const clear = sum(families, "blindfold_clear_messages_total", here);
  $("share").textContent = opaque + clear > 0 ? percent(opaque / (opaque + clear)) : "–";
  $("share-note").textContent = `${count(opaque)} opaque, ${count(clear)} clear since the start`;

  const sessions = sum(families, "blindfold_sessions", here);
  $("sessions").textContent = count(sessions);
  $("sessions-note").textContent = `${count(sum(families, "blindfold_subscriptions", here))} subscriptions, ${count(sum(families, "blindfold_registrations", here))} registrations, ${count(sum(families, "blindfold_invocations_in_flight", here))} calls in flight`;

  const plain = sum(families, "blindfold_opaque_refused_total", (l) => here(l) && l.reason === "cleartext");
  const slow = sum(families, "blindfold_dropped_total", (l) => here(l) && l.reason === "queue_full");
  const refused = sum(families, "blindfold_refused_total", here);
  $("refused").textContent = count(refused);
  const skipped = sum(families, "blindfold_dropped_total", here);
  const turned = sum(families, "blindfold_turned_away_total"); // of all realms
  $("refused-note").textContent = `messages, ${count(plain)} of them clear where opaque is required; not counted here: ${count(skipped)} events skipped (${count(slow)} for slow receivers), ${count(turned)} connections turned away`;
  $("refused-note").classList.toggle("alarm", plain > 0);

  const reasons = new Map(by(families, "blindfold_refused_total", (l) => words(l.reason), here));
  for (const [reason, n] of by(families, "blindfold_dropped_total", (l) => `${words(l.reason)} (event skipped)`, here)) reasons.set(reason, n);
  for (const [reason, n] of realm ? [] : by(families, "blindfold_turned_away_total", (l) => `${words(l.reason)} (turned away)`)) reasons.set(reason, n);
  bars($("reasons"), [...reasons].sort((a, b) => b[1] - a[1]), "Nothing was refused.");
  bars($("kinds"), by(families, "blindfold_sessions", (l) => `${l.transport}, ${l.serializer}`, here), "No session.");

  if (before) {
    const o = rate("blindfold_opaque_messages_total"), c = rate("blindfold_clear_messages_total");
    messages.push(o, c);
    payload.push(rate("blindfold_opaque_payload_bytes_total"), rate("blindfold_clear_payload_bytes_total"));
    $("messages").textContent = count(o + c);
    $("messages-note").textContent = `${count(rate("blindfold_deliveries_total"))} deliveries a second`;
  }
  $("route").textContent = seconds(quantile(0.99, null, families, "blindfold_route_seconds_bucket"));
  $("route-note").textContent = `half of all within ${seconds(quantile(0.5, null, families, "blindfold_route_seconds_bucket"))}`;
  before = { at, families };
}

// Envelopes: the newest first, a bounded number of rows.
const ROWS = 40;

function row(e) {
  const tr = element("tr");
  tr.dataset.outcome = e.outcome;
  const cell = (...content) => {
    const td = element("td");
    td.append(...content);
    tr.append(td);
  };
  const attributes = (e.attributes ?? []).map((a) => a.join(": ")).join(", ");
  cell(new Date(e.time).toLocaleTimeString("en-GB"));
  cell(e.type);
  cell(element("code", "", e.uri || "–"), element("span", "sub", e.realm));
  cell(e.from.authid || "–", element("span", "sub", [e.from.authrole, e.from.transport, e.from.serializer].filter(Boolean).join(", ")));
  const size = bytes(e.payload.size);
  if (e.payload.opaque) {
    const block = element("span", "redacted");
    block.title = "not for the router to read";
    cell(block, element("span", "tag opaque", "opaque"), ` ${size}`, element("span", "sub", attributes));
  } else {
    cell(element("span", "tag clear", "clear"), ` ${size}`);
  }
  if (e.payload.sha256) {
    const digest = element("code", "sub", `sha256 ${e.payload.sha256.slice(0, 16)}…`);
    digest.title = e.payload.sha256;
    tr.lastChild.append(digest);
  }
  if (e.outcome === "routed") {
    cell(`to ${count(e.deliveries)}`, element("span", "sub", `${e.micros} µs`));
  } else {
    cell(element("span", "refused", e.outcome), element("span", "sub", words(e.reason ?? "")));
  }
  return tr;
}

function list(envelopes) {
  const body = $("envelopes");
  if (envelopes.length === 0) return;
  last = envelopes.at(-1).number;
  const keep = envelopes.filter((e) => realm === "" || e.realm === realm);
  if (keep.length === 0) return;
  body.querySelector(".empty")?.remove();
  body.prepend(...keep.reverse().map(row));
  while (body.rows.length > ROWS) body.lastElementChild.remove();
}

$("only-refused").addEventListener("change", (e) => $("envelopes").classList.toggle("only-refused", e.target.checked));

let paused = false;
$("pause").addEventListener("click", (e) => {
  paused = !paused;
  e.target.textContent = paused ? "Go on" : "Pause";
  e.target.setAttribute("aria-pressed", String(paused));
});

function status(text, good) {
  $("status").textContent = text;
  $("status").className = good ? "good" : "bad";
}

async function read() {
  const [metrics, ready] = await Promise.all([fetch("metrics"), fetch("readyz")]);
  if (!metrics.ok) throw new Error(`/metrics: ${metrics.status}`);
  show(parse(await metrics.text()), performance.now());
  status(ready.ok ? "taking sessions" : (await ready.text()).trim(), ready.ok);
  if (!paused) {
    const envelopes = await fetch(`envelopes?after=${last}`);
    if (envelopes.ok) list(await envelopes.json());
  }
}

async function loop() {
  if (!document.hidden) {
    try {
      await read();
    } catch {
      status("the router does not answer", false);
      before = null;
    }
  }
  setTimeout(loop, EVERY);
}
loop();
