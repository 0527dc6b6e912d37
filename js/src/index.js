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
export { sealAutobahn } from "./autobahn.js";
export { sealWampy } from "./wampy.js";
export { Gate } from "./gate.js";
