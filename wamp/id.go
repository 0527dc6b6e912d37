package wamp

import "math/rand/v2"

// ID is a WAMP identifier: an integer from 1 to 2^53 (WAMP, "Identifiers").
// Session and publication ids are drawn at random from the whole range
// ("global scope"); request ids count up from 1 within a session ("session
// scope"); subscription and registration ids belong to the router.
type ID uint64

// MaxID is the largest identifier that every serializer and every JavaScript
// client can represent exactly.
const MaxID ID = 1 << 53

// Valid reports whether id lies in 1 … MaxID.
func (id ID) Valid() bool { return id >= 1 && id <= MaxID }

// RandomID draws an identifier of global scope, uniformly from 1 … MaxID.
// The source is the runtime's per-thread ChaCha8, so ids can't be foretold
// from those seen before. It may be called concurrently.
func RandomID() ID { return ID(rand.Uint64N(uint64(MaxID))) + 1 }
