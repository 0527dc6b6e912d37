// Reads what /metrics says: Prometheus' text format.

const sample = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const label = /(\w+)="((?:[^"\\]|\\.)*)"/g;

// parse returns a Map from a name to its samples, {labels, value}.
export function parse(text) {
  const families = new Map();
  for (const line of text.split("\n")) {
    const found = line[0] === "#" ? null : sample.exec(line);
    if (!found) continue;
    const labels = {};
    for (const [, name, value] of (found[2] ?? "").matchAll(label)) {
      labels[name] = value.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
    }
    const value = found[3] === "+Inf" ? Infinity : Number(found[3]);
    if (!families.has(found[1])) families.set(found[1], []);
    families.get(found[1]).push({ labels, value });
  }
  return families;
}

// sum adds up the samples that keep says yes to.
export function sum(families, name, keep = () => true) {
  let total = 0;
  for (const s of families.get(name) ?? []) if (keep(s.labels)) total += s.value;
  return total;
}

// by adds up samples under the key that they have; without those that are 0.
export function by(families, name, key, keep = () => true) {
  const totals = new Map();
  for (const s of families.get(name) ?? []) {
    if (keep(s.labels) && s.value > 0) totals.set(key(s.labels), (totals.get(key(s.labels)) ?? 0) + s.value);
  }
  return [...totals].sort((a, b) => b[1] - a[1]);
}

// quantile estimates one from what was added to a histogram between two readings.
export function quantile(q, before, now, name) {
  const old = new Map((before?.get(name) ?? []).map((s) => [s.labels.le, s.value]));
  const buckets = (now.get(name) ?? []).map((s) => ({
    to: s.labels.le === "+Inf" ? Infinity : Number(s.labels.le),
    count: s.value - (old.get(s.labels.le) ?? 0),
  })).sort((a, b) => a.to - b.to);
  const all = buckets.at(-1)?.count ?? 0;
  if (all <= 0) return NaN;
  let from = 0, seen = 0;
  for (const b of buckets) {
    if (b.count >= q * all) {
      return b.to === Infinity ? from : from + (b.to - from) * ((q * all - seen) / Math.max(b.count - seen, 1e-9));
    }
    from = b.to;
    seen = b.count;
  }
  return from;
}
