// Compiled, not run: that the types fit what a program does.
import { followWampy, generateKey, Identity, KeyRing, NO_KEY, type Origin, Passthru, Scope, Scopes, SealError, sealWampy, type Sealer } from "@blindfold/seal";
import { folderStore, loadIdentity, loadKeyRing, saveKeyRing } from "@blindfold/seal/node";

const keys: KeyRing = new KeyRing().set("com.app.", generateKey().private);
const options = sealWampy({ realm: "realm1" }, { keys: [new Passthru(keys)], clear: [""], onError: (e: SealError) => console.log(e.error === NO_KEY, e.uri) });
const realm: string = options.realm;
const sealer: Sealer = new Passthru(keys);
await saveKeyRing("k.json", await loadKeyRing(realm));
const identity: Identity = await loadIdentity("me");
const scope = await Scope.open({ identity, owner: "blindfold-id-1 …", realm, prefix: "com.app.", store: folderStore("state") });
sealWampy({ realm }, { keys: [new Scopes(scope), keys] });
await followWampy({}, [scope]);
export const sender = (seal: Origin): string => seal.sender;
// @ts-expect-error: a prefix is text
keys.add(1, "");
export { sealer };
