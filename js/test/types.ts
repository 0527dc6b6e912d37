// Compiled, not run: that the types fit what a program does.
import { generateKey, KeyRing, NO_KEY, Passthru, SealError, sealWampy, type Sealer } from "@blindfold/seal";
import { loadKeyRing, saveKeyRing } from "@blindfold/seal/node";

const keys: KeyRing = new KeyRing().set("com.app.", generateKey().private);
const options = sealWampy({ realm: "realm1" }, { keys: [new Passthru(keys)], clear: [""], onError: (e: SealError) => console.log(e.error === NO_KEY, e.uri) });
const realm: string = options.realm;
const sealer: Sealer = new Passthru(keys);
await saveKeyRing("k.json", await loadKeyRing(realm));
// @ts-expect-error: a prefix is text
keys.add(1, "");
export { sealer };
