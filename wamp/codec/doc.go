// Package codec turns WAMP messages into bytes and back, in JSON, MessagePack
// and CBOR. It reads and writes envelopes; of a payload it learns where it ends
// and how it is shaped, and splices its bytes, unchanged, behind a new envelope.
//
// A reader of each serializer walks over tokens; one decoder stands on all
// three (Decoder). A writer of each appends tokens; one encoder stands on them
// (Append). Values go from one to the other (Convert). No length that a peer
// claims is believed before the bytes are there, nesting is bounded, and the
// work is linear in the frame.
package codec
