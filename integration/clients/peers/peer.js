// What the JavaScript peers of the matrix do, in Node.js and in a browser. What it
// is is told in ../matrix_test.go.

export const PREFIX = "com.example.secret.";

const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");

export function plain(value) {
  if (value instanceof Uint8Array) return "binary:" + hex(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
  return value;
}

/** What a peer seals with, from the text of its file: a keyring, or what a member of a scope needs. */
export async function sealing(lib, file, form, say) {
  const more = { clear: ["com.example.open."], onError: (e) => say({ refused: e.error, uri: e.uri }) };
  if (form === "scope") {
    const { identity, owner } = JSON.parse(file);
    const scope = await lib.Scope.open({ identity: lib.Identity.parse(JSON.stringify(identity)), owner, realm: "realm1", prefix: PREFIX });
    return { keys: new lib.Scopes(scope), scope, ...more };
  }
  const keys = lib.KeyRing.parse(file);
  const forms = [new lib.Box(keys), new lib.Passthru(keys)];
  if (form === "passthru") forms.reverse();
  return { keys: forms, ...more };
}

// What a peer has to be able to do, in terms that both clients can fill.

/** Autobahn|JS. */
export function overAutobahn(autobahn, lib, { url, serializers, sealing }) {
  const connection = new autobahn.Connection(lib.sealAutobahn(
    autobahn,
    { realm: "realm1", max_retries: 0, transports: [{ type: "websocket", url, serializers }], on_user_error: () => {} },
    sealing,
  ));
  return new Promise((resolve, reject) => {
    connection.onclose = (reason) => {
      reject(new Error(reason));
      return true;
    };
    connection.onopen = (session) => resolve({
      follow: (scope) => lib.followAutobahn(session, [scope]),
      subscribe: (topic, handler, options) => session.subscribe(topic, (args, kwargs, { topic }) => handler(topic, args, kwargs, lib.currentSeal()), options),
      register: (procedure, handler) => session.register(procedure, async (args, kwargs, { progress }) => {
        const result = await handler(args ?? [], kwargs ?? {}, progress && ((step) => progress([step])), lib.currentSeal());
        return new autobahn.Result(result.args, result.kwargs);
      }),
      failure: (uri, args, kwargs) => new autobahn.Error(uri, args, kwargs),
      call: async (procedure, args, kwargs, steps) => {
        const result = await new Promise((resolve, reject) => {
          session.call(procedure, args, kwargs, steps && { receive_progress: true }).then(resolve, reject, (step) => steps.push(step));
        });
        return result instanceof autobahn.Result ? result : { args: [result], kwargs: {} };
      },
      errorOf: (e) => ({ error: e.error, args: e.args, kwargs: e.kwargs }),
      publish: async (topic, args, kwargs) => session.publish(topic, args, kwargs, { acknowledge: true }),
      leave: () => connection.close(),
    });
    connection.open();
  });
}

/** wampy.js. */
export async function overWampy(Wampy, lib, { url, ws, serializer, sealing }) {
  const wampy = new Wampy(url, lib.sealWampy({ realm: "realm1", ws, serializer, autoReconnect: false, uriValidation: "loose" }, sealing));
  await wampy.connect();
  return {
    follow: (scope) => lib.followWampy(wampy, [scope]),
    subscribe: (topic, handler, options) => wampy.subscribe(topic, ({ details, argsList, argsDict }) => handler(details.topic ?? topic, argsList, argsDict, lib.currentSeal()), options),
    register: (procedure, handler) => wampy.register(procedure, async ({ argsList, argsDict, details, result_handler }) => {
      const progress = details.receive_progress && ((step) => result_handler({ argsList: [step], options: { progress: true } }));
      const result = await handler(argsList ?? [], argsDict ?? {}, progress, lib.currentSeal());
      return { argsList: result.args, argsDict: result.kwargs };
    }),
    failure: (error, argsList, argsDict) => ({ error, argsList, argsDict }),
    call: async (procedure, args, kwargs, steps) => {
      const options = steps ? { progress_callback: ({ argsList }) => steps.push(...argsList) } : {};
      const { argsList, argsDict } = await wampy.call(procedure, { argsList: args, argsDict: kwargs }, options);
      return { args: argsList ?? [], kwargs: argsDict ?? {} };
    },
    errorOf: (e) => ({ error: e.errorUri, args: e.argsList, kwargs: e.argsDict }),
    publish: (topic, args, kwargs) => wampy.publish(topic, { argsList: args, argsDict: kwargs }),
    leave: () => wampy.disconnect(),
  };
}

/** Sets the peer up, and returns what takes its orders. */
export async function run(session, name, say, scope) {
  if (scope) await session.follow(scope);
  const heard = (event, args, kwargs, seal) => say({ event, args: args ?? [], kwargs: kwargs ?? {}, ...(seal ? { sender: seal.sender } : {}) });
  await session.subscribe("com.example.secret", heard, { match: "prefix" });
  await session.subscribe("com.example.open.topic", heard);
  await session.register(`${PREFIX}${name}.echo`, (args, kwargs, progress, seal) => ({ args, kwargs: seal ? { ...kwargs, caller: seal.sender } : kwargs }));
  await session.register(`${PREFIX}${name}.fail`, () => {
    throw session.failure(PREFIX + "error", ["what went wrong"], { code: 23 });
  });
  await session.register(`${PREFIX}${name}.steps`, ([n], kwargs, progress) => {
    for (let i = 0; i < n; i++) progress(i);
    return { args: [n], kwargs: {} };
  });

  async function meet(peer) {
    const binary = new Uint8Array([0, 255]);
    const result = await session.call(`${PREFIX}${peer}.echo`, ["grüße", [1, -2, 0.5, true, null], binary], { nested: { ключ: [{}] } });
    say({ call: peer, args: result.args, kwargs: result.kwargs });
    await session.call(`${PREFIX}${peer}.fail`, [], {}).catch((e) => say({ call: peer, ...session.errorOf(e) }));
    const progress = [];
    const total = await session.call(`${PREFIX}${peer}.steps`, [3], {}, progress);
    say({ call: peer, progress, result: total.args[0] });
  }

  return async (what, ...peers) => {
    if (what === "meet") {
      for (const peer of peers) await meet(peer);
      await session.publish(PREFIX + "topic", [name, new Uint8Array([0, 255])], { mood: "fine" });
      await session.publish("com.example.open.topic", [name], {});
    } else if (what === "call") {
      await session.call(peers[0], [], {}).then((result) => say({ call: peers[0], result: result.args[0] }), (e) => say({ call: peers[0], error: session.errorOf(e).error }));
    } else if (what === "publish") {
      await session.publish(peers[0], [1], {}).then(() => say({ publish: peers[0] }), (e) => say({ publish: peers[0], error: session.errorOf(e).error }));
    } else if (what === "leave") {
      session.leave();
      return;
    }
    say({ done: what });
  };
}
