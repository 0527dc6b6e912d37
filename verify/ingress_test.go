package verify

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// traced writes bytes as strace -xx does.
func traced(b []byte) string {
	var out strings.Builder
	for _, c := range b {
		fmt.Fprintf(&out, `\x%s`, hex.EncodeToString([]byte{c}))
	}
	return out.String()
}

// masked makes a client's WebSocket frame.
func masked(body []byte) []byte {
	key := []byte{0xa1, 0xb2, 0xc3, 0xd4}
	out := []byte{0x82, 0x80 | 126, byte(len(body) >> 8), byte(len(body))}
	out = append(out, key...)
	for i, c := range body {
		out = append(out, c^key[i%4])
	}
	return out
}

func intakeOf(t *testing.T, secret []byte, lines ...string) (*intake, finds) {
	t.Helper()
	found := make(finds)
	in := newIntake(newScanner(encodings("secret", secret, false)), found.add)
	if err := in.read(strings.NewReader(strings.Join(lines, "\n") + "\n")); err != nil {
		t.Fatal(err)
	}
	return in, found
}

// What comes in is found however it comes: in one read or two, with other
// threads in between, in a vector, masked, on the command line.
func TestIngressFinds(t *testing.T) {
	secret := random(32)
	a, b := traced(append([]byte("GET "), secret[:10]...)), traced(secret[10:])
	frame := append([]byte("GET / HTTP/1.1\r\n\r\n"), masked(slices.Concat([]byte("hello"), secret))...)
	for name, lines := range map[string][]string{
		"one read":  {`7 read(3<socket:[1]>, "` + traced(secret) + `", 4096) = 32`},
		"two reads": {`7 read(3<socket:[1]>, "` + a + `", 4096) = 14`, `8 read(3<socket:[1]>, "` + b + `", 4096) = 22`},
		"others in between": {`7 read(3<socket:[1]>,  <unfinished ...>`, `8 read(4<socket:[2]>,  <unfinished ...>`,
			`8 <... read resumed>"` + traced([]byte("abc")) + `", 4096) = 3`, `7 <... read resumed>"` + traced(secret) + `", 4096) = 32`},
		"a vector": {`7 readv(3<socket:[1]>, [{iov_base="` + traced(secret[:9]) + `", iov_len=9}, {iov_base="` + traced(secret[9:]) + `", iov_len=99}], 2) = 32`},
		"masked":   {`7 read(3<socket:[1]>, "` + traced(frame[:40]) + `", 4096) = 40`, `7 read(3<socket:[1]>, "` + traced(frame[40:]) + `", 4096) = 40`},
		"argument": {`7 execve("` + traced([]byte("/r")) + `", ["` + traced([]byte("/r")) + `", "` + traced([]byte("--key="+hex.EncodeToString(secret))) + `"], 0x7ffe /* 3 vars */) = 0`},
	} {
		if _, found := intakeOf(t, secret, lines...); found.of("secret") == 0 {
			t.Errorf("%s: not found", name)
		}
	}
}

func TestIngressIgnores(t *testing.T) {
	secret := random(32)
	in, found := intakeOf(t, secret,
		`7 read(3<socket:[1]>, 0xc0001, 4096) = -1 EAGAIN (Resource temporarily unavailable)`,
		`7 read(3<socket:[1]>, "`+traced(secret[:16])+`", 4096) = 16`,
		`7 read(4<socket:[2]>, "`+traced(secret[16:])+`", 4096) = 16`,
		`7 openat(AT_FDCWD, "`+traced([]byte("/etc/hosts"))+`", O_RDONLY) = 5</etc/hosts>`,
		`7 openat(AT_FDCWD, "`+traced([]byte("/none"))+`", O_RDONLY) = -1 ENOENT (No such file or directory)`,
		`7 io_uring_setup(8, {flags=0}) = 6<anon_inode:[io_uring]>`,
		`7 +++ exited with 0 +++`)
	if len(found) > 0 {
		t.Errorf("found over two sources: %v", found)
	}
	if !slices.Equal(in.files, []string{"/etc/hosts"}) || in.total != 32 || in.calls["io_uring_setup"] != 1 {
		t.Errorf("files %q, %d B, calls %v", in.files, in.total, in.calls)
	}
}

// A record with gaps is no record.
func TestIngressRefusesGaps(t *testing.T) {
	in := newIntake(newScanner(), func(*pattern) {})
	err := in.read(strings.NewReader(`7 read(3<socket:[1]>, "` + traced([]byte("abc")) + `"..., 4096) = 4096` + "\n"))
	if !errors.Is(err, errTruncate) {
		t.Errorf("%v", err)
	}
	if err := in.read(strings.NewReader(`7 read(3, "plain text", 4096) = 10` + "\n")); err == nil {
		t.Error("text that is not in hexadecimal is taken")
	}
}

// What only looks like HTTP is not held for ever, and what is read early is
// searched as it is.
func TestStreamKinds(t *testing.T) {
	secret := random(32)
	for _, begin := range [][]byte{{0x7f, 0xf1, 0, 0}, []byte("GET / HTTP/1.1\r\n\r\n\x82\x05abcde"), {}} {
		found := make(finds)
		st := newStream(newScanner(encodings("secret", secret, false)), found.add)
		for _, c := range slices.Concat(begin, random(5), secret) {
			st.feed([]byte{c})
		}
		if found.of("secret") == 0 {
			t.Errorf("behind %q: not found", begin)
		}
		if bytes.HasPrefix(begin, []byte("GET")) && st.kind != streamOther {
			t.Errorf("a frame that is not masked is no WebSocket of a client")
		}
	}
}
