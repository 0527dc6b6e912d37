// Two sessions of Autobahn|JS and what goes between them, a line of JSON for
// each thing that happened. Arguments: URL, serializer.
import autobahn from "autobahn";

const [url, name] = process.argv.slice(2);
const serializers = {
  json: () => new autobahn.serializer.JSONSerializer(),
  msgpack: () => new autobahn.serializer.MsgpackSerializer(),
  cbor: () => new autobahn.serializer.CBORSerializer(),
};
const say = (line) => console.log(JSON.stringify(line));

function open() {
  return new Promise((resolve, reject) => {
    const connection = new autobahn.Connection({
      realm: "realm1",
      max_retries: 0,
      transports: [{ type: "websocket", url, serializers: [serializers[name]()] }],
      on_user_error: () => {}, // what Bob throws on purpose
    });
    connection.onopen = (session) => resolve({ connection, session });
    connection.onclose = (reason, details) => {
      say({ closed: reason, reason: details.reason });
      reject(new Error(reason));
      return true;
    };
    connection.open();
  });
}

const alice = await open();
const bob = await open();

// Bob serves.
const prefix = "com.example.js.";
await bob.session.register(prefix + "add", ([a, b]) => a + b);
await bob.session.register(prefix + "echo", (args, kwargs) => new autobahn.Result(args, kwargs));
await bob.session.register(prefix + "fail", () => {
  throw new autobahn.Error(prefix + "error", ["what went wrong"], { code: 23 });
});
await bob.session.register(prefix + "steps", (args, kwargs, details) => {
  if (details.progress) for (let i = 0; i < 3; i++) details.progress([i]);
  return 3;
});
await bob.session.register(prefix + "never", () => new Promise(() => {}));
await bob.session.register("com.example.js", (args, kwargs, details) => details.procedure, { match: "prefix" });

// Alice calls.
const call = async (procedure, args, kwargs, options) => {
  try {
    const steps = [];
    const pending = alice.session.call(prefix + procedure, args, kwargs, options);
    const result = await pending.then(null, null, (step) => steps.push(...step.args ?? [step]));
    say({ call: procedure, result, ...(steps.length ? { steps } : {}) });
  } catch (e) {
    say({ call: procedure, error: e.error, args: e.args, kwargs: e.kwargs });
  }
};
await call("add", [2, 3]);
await call("echo", ["grüße", [1, 2]], { key: { nested: true } });
await call("fail");
await call("steps", [], {}, { receive_progress: true });
await call("some.thing.else");
await call("never", [], {}, { timeout: 30 });

// Bob hears what Alice says, and not what is sealed.
let heard;
const end = new Promise((resolve) => (heard = resolve));
await bob.session.subscribe(prefix, (args, kwargs, details) => {
  say({ topic: details.topic, args, kwargs });
  if (details.topic === prefix + "end") heard();
}, { match: "prefix" });
say({ sessions: await alice.session.call("wamp.session.count") });
console.log("ready");
await new Promise((resolve) => process.stdin.once("data", resolve));
for (let i = 0; i < 3; i++) {
  await alice.session.publish(prefix + "topic", [i], { mood: "fine" }, { acknowledge: true });
}
await alice.session.publish(prefix + "end", [], {}, { acknowledge: true });
await end;
alice.connection.onclose = bob.connection.onclose = () => true;
alice.connection.close();
bob.connection.close();
console.log("done");
process.stdin.destroy();
