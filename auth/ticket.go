package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/blindfold-wamp/blindfold/router"
	"golang.org/x/crypto/argon2"
)

// Ticket authenticates by a secret that the client sends (WAMP, "Ticket-based
// Authentication").
func Ticket(principals Principals) router.Authenticator { return &ticket{withDecoys(principals)} }

type ticket struct{ principals camouflaged }

func (*ticket) Method() string { return "ticket" }

func (a *ticket) Authenticate(ctx context.Context, h *router.Handshake) (*router.Identity, error) {
	if h.Hello.Details.AuthID == "" {
		return nil, noAuthID
	}
	p, known, denied, err := identify(ctx, a.principals, &Claim{Method: a.Method(), AuthID: h.Hello.Details.AuthID, Handshake: h})
	if err != nil {
		return nil, err
	}
	reply, err := h.Challenge(nil)
	if err != nil {
		return nil, err
	}
	right, err := p.checkTicket(ctx, reply.Signature)
	if err != nil {
		return nil, err
	}
	if !right || !known {
		return nil, denied
	}
	return p.identity(h)
}

func (p *Principal) checkTicket(ctx context.Context, shown string) (bool, error) {
	if p.TicketHash == "" {
		return p.Ticket.Equal(shown), nil
	}
	hash, err := parseTicketHash(p.TicketHash)
	if err != nil {
		return false, err
	}
	select {
	case hashing <- struct{}{}:
		defer func() { <-hashing }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	return hmac.Equal(hash.of(shown), hash.sum), nil
}

// hashing bounds how many tickets are hashed at the same time. Anybody can send tickets,
// and each needs memory and processor time.
var hashing = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))

// ticketHash is a hash by Argon2id in the PHC string format:
// $argon2id$v=19$m=KiB,t=iterations,p=lanes$salt$hash, base64 without padding.
type ticketHash struct {
	memory, iterations uint32
	lanes              uint8
	salt, sum          []byte
}

func (h *ticketHash) of(ticket string) []byte {
	return argon2.IDKey([]byte(ticket), h.salt, h.iterations, h.memory, h.lanes, uint32(len(h.sum)))
}

// HashTicket returns the hash of a ticket for Principal.TicketHash, with 19 MiB and two
// iterations (OWASP, "Password Storage Cheat Sheet"). Hashes from elsewhere, for example
// from the command argon2, work as well.
func HashTicket(ticket Secret) string {
	h := ticketHash{memory: 19 << 10, iterations: 2, lanes: 1, salt: make([]byte, 16), sum: make([]byte, 32)}
	_, _ = rand.Read(h.salt)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.iterations, h.lanes,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.of(ticket.Reveal())))
}

var errTicketHash = errors.New("the hash of a ticket must be $argon2id$v=19$m=…,t=…,p=…$salt$hash, with at most 1 GiB and 100 iterations")

func parseTicketHash(text string) (*ticketHash, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return nil, errTicketHash
	}
	h := &ticketHash{}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return nil, errTicketHash
	}
	memory, err1 := cost(costs[0], "m=", 8, 1<<20)
	iterations, err2 := cost(costs[1], "t=", 1, 100)
	lanes, err3 := cost(costs[2], "p=", 1, 255)
	var err4, err5 error
	h.memory, h.iterations, h.lanes = uint32(memory), uint32(iterations), uint8(lanes)
	h.salt, err4 = base64.RawStdEncoding.DecodeString(parts[4])
	h.sum, err5 = base64.RawStdEncoding.DecodeString(parts[5])
	if errors.Join(err1, err2, err3, err4, err5) != nil || len(h.salt) < 8 || len(h.sum) < 16 || len(h.sum) > 128 {
		return nil, errTicketHash
	}
	return h, nil
}

func cost(text, name string, least, most uint64) (uint64, error) {
	digits, ok := strings.CutPrefix(text, name)
	n, err := strconv.ParseUint(digits, 10, 32)
	if !ok || err != nil || n < least || n > most {
		return 0, errTicketHash
	}
	return n, nil
}
