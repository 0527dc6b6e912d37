// A client that serves one procedure, which answers at once if it is told so and
// never else, and then calls three times, of which the
// second fails before it is sent. A line of JSON for each call. Arguments: URL,
// client.
const [url, client] = process.argv.slice(2);
const procedure = "com.example.ids";
const circular = {};
circular.circular = circular;

const clients = {
  async autobahn() {
    const { default: autobahn } = await import("autobahn");
    const connection = new autobahn.Connection({ url, realm: "realm1", max_retries: 0, on_user_error: () => {} });
    const session = await new Promise((resolve) => {
      connection.onopen = resolve;
      connection.open();
    });
    await session.register(procedure, ([now] = []) => now ?? new Promise(() => {}));
    connection.onclose = () => process.exit();
    return (good) => session.call("com.example.none", [good ? 1 : circular]);
  },
  async wampy() {
    const { Wampy } = await import("wampy");
    const { JsonSerializer } = await import("wampy/JsonSerializer.js");
    const { default: ws } = await import("ws");
    const session = new Wampy(url, { realm: "realm1", ws, autoReconnect: false, payloadSerializers: { json: new JsonSerializer() }, onClose: () => process.exit() });
    await session.connect();
    await session.register(procedure, ({ argsList }) => (argsList?.length ? { argsList } : new Promise(() => {})));
    const sealed = { ppt_scheme: "x_test", ppt_serializer: "json" };
    return (good) => session.call("com.example.none", { argsList: [good ? 1 : circular] }, sealed);
  },
};

process.on("unhandledRejection", () => {}); // Autobahn|JS leaves the failure to send to nobody
const call = await clients[client]();
for (const good of [true, false, true]) {
  const answer = Promise.resolve(call(good)).then(() => "result", () => "error");
  // What was never sent may never be answered.
  console.log(JSON.stringify({ call: good, answer: good ? await answer : "none" }));
}
