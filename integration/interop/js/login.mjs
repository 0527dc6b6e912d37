// Logs in with Autobahn|JS, once for each attempt, which come as lines of JSON:
// {method, authid, secret}. Prints a line of JSON for what came of each.
// Arguments: URL, serializer.
import autobahn from "autobahn";
import crypto from "node:crypto";
import readline from "node:readline";

const [url, name] = process.argv.slice(2);
const serializers = {
  json: () => new autobahn.serializer.JSONSerializer(),
  msgpack: () => new autobahn.serializer.MsgpackSerializer(),
  cbor: () => new autobahn.serializer.CBORSerializer(),
};
const say = (line) => console.log(JSON.stringify(line));

// What each method adds to HELLO, how it answers CHALLENGE, and what it checks in
// WELCOME.
const methods = {
  ticket: ({ secret }) => ({ answer: () => secret }),

  wampcra: ({ secret }) => ({
    answer: ({ challenge, salt, iterations, keylen }) => {
      const key = salt ? autobahn.auth_cra.derive_key(secret, salt, iterations, keylen) : secret;
      return autobahn.auth_cra.sign(key, challenge);
    },
  }),

  cryptosign: ({ secret }) => {
    const key = Buffer.from(secret, "hex"); // the seed; of a key pair, tweetnacl's secret key
    const pair = keyPair(key);
    return {
      hello: { pubkey: autobahn.auth_cryptosign.public_key(pair), channel_binding: null },
      answer: (extra) => autobahn.auth_cryptosign.sign_challenge(pair, extra),
    };
  },

  // Autobahn|JS has no SCRAM. Its onchallenge may return a signature with extras,
  // and that is all that an application needs to speak it.
  "wamp-scram": ({ authid, secret }) => {
    const nonce = crypto.randomBytes(16).toString("base64");
    const mac = (key, text) => crypto.createHmac("sha256", key).update(text).digest();
    let verifier;
    return {
      hello: { nonce, channel_binding: null },
      answer: (extra) => {
        if (extra.kdf !== "pbkdf2" || !extra.nonce.startsWith(nonce)) throw new Error("not what was asked for");
        const salted = crypto.pbkdf2Sync(secret.normalize("NFKC"), Buffer.from(extra.salt, "base64"), extra.iterations, 32, "sha256");
        const clientKey = mac(salted, "Client Key");
        const message = `n=${authid},r=${nonce},r=${extra.nonce},s=${extra.salt},i=${extra.iterations},` +
          `c=${Buffer.from("n,,").toString("base64")},r=${extra.nonce}`;
        const signature = mac(crypto.createHash("sha256").update(clientKey).digest(), message);
        verifier = mac(mac(salted, "Server Key"), message).toString("base64");
        return [Buffer.from(clientKey.map((b, i) => b ^ signature[i])).toString("base64"),
          { nonce: extra.nonce, channel_binding: null, cbind_data: null }];
      },
      welcome: ({ verifier: shown }) => shown === verifier || "the router did not prove itself",
    };
  },
};

// keyPair is that of an Ed25519 seed, as tweetnacl has it.
function keyPair(seed) {
  const pkcs8 = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
  const key = crypto.createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
  const publicKey = crypto.createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32);
  return { publicKey, secretKey: new Uint8Array(Buffer.concat([seed, publicKey])) };
}

function logIn({ method, authid, secret }) {
  return new Promise((resolve) => {
    const by = methods[method]({ authid, secret });
    const connection = new autobahn.Connection({
      realm: "realm1",
      max_retries: 0,
      transports: [{ type: "websocket", url, serializers: [serializers[name]()] }],
      authmethods: [method],
      authid,
      authextra: by.hello,
      onchallenge: (session, asked, extra) => {
        if (asked !== method) throw new Error("another method");
        return by.answer(extra);
      },
      on_user_error: (error) => resolve({ failed: String(error) }),
      on_internal_error: (error) => resolve({ failed: String(error) }),
    });
    connection.onopen = (session, details) => {
      const checked = by.welcome ? by.welcome(details.authextra) : true;
      resolve(checked === true
        ? { authid: details.authid, authrole: details.authrole, authmethod: details.authmethod }
        : { failed: checked });
      connection.close();
    };
    connection.onclose = (reason, details) => {
      resolve({ left: details.reason });
      return true;
    };
    connection.open();
  });
}

say({ methods: Object.keys(autobahn).filter((key) => key.startsWith("auth_")) });
for await (const line of readline.createInterface({ input: process.stdin })) {
  say(await logIn(JSON.parse(line)));
}
console.log("done");
