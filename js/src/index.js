// End-to-end encryption of WAMP payloads. See the page "JavaScript" of Blindfold's
// documentation.

export { Box, keyID, Passthru } from "./cryptobox.js";
export {
  CLEARTEXT_REFUSED,
  DECRYPT_ERROR,
  FEATURE_NOT_SUPPORTED,
  INVALID_ARGUMENT,
  NO_KEY,
  PROTOCOL_VIOLATION,
  SealError,
  URI_MISMATCH,
} from "./errors.js";
export { generateKey, Key, KeyRing } from "./keyring.js";
export { Identity, Public } from "./identity.js";
export { followAutobahn, sealAutobahn } from "./autobahn.js";
export { currentSeal } from "./lanes.js";
export { memoryStore, Scope, Scopes } from "./scope.js";
export { followWampy, sealWampy } from "./wampy.js";
export { Gate } from "./gate.js";
export { browserStore } from "./store.js";
