// The error that everything here throws, and the WAMP error URIs that name its
// kinds. The Go client and Python's blindfold_seal use the same.

/** No key is known for the URI, or the private half of this side is missing. */
export const NO_KEY = "wamp.error.no_payload_codec";
/** No key of the URI opens the payload (a wrong key), or it was changed on the way. */
export const DECRYPT_ERROR = "wamp.error.encryption.decrypt_error";
/** The payload is genuine and was sealed for another URI. */
export const URI_MISMATCH = "wamp.error.encryption.trusted_uri_mismatch";
/** A clear payload arrived on a URI that is not declared as clear. */
export const CLEARTEXT_REFUSED = "blindfold.error.cleartext_refused";
/** A value has no counterpart in the sealed form. Nothing was sent. */
export const INVALID_ARGUMENT = "wamp.error.invalid_argument";
/** The router does not announce the form of the sealed payload. Nothing was sent. */
export const FEATURE_NOT_SUPPORTED = "wamp.error.feature_not_supported";
/** The router named a URI that was not asked for. */
export const PROTOCOL_VIOLATION = "wamp.error.protocol_violation";

/**
 * Why a payload was not sealed, and so not sent, or not opened, and so not handed
 * on. Its text never repeats what a peer sent, nor any part of a key or a payload.
 */
export class SealError extends Error {
  /**
   * @param {string} error the WAMP error URI of this kind of failure
   * @param {string} text
   * @param {string} [uri] the topic, procedure or error URI of the payload
   */
  constructor(error, text, uri) {
    super(`${error}: ${text}${uri ? ` (${uri})` : ""}`);
    this.name = "SealError";
    this.error = error;
    this.text = text;
    this.uri = uri;
  }

  /** The same error, which names the URI if it names none. */
  at(uri) {
    return this.uri ? this : new SealError(this.error, this.text, uri);
  }
}

/** Whatever is thrown as a SealError. */
export function asSealError(e, uri) {
  return e instanceof SealError ? e.at(uri) : new SealError("wamp.error.runtime_error", `the sealer failed: ${e?.message ?? e}`, uri);
}
