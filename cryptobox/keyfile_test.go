package cryptobox

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

func TestSaveAndLoad(t *testing.T) {
	o, r := sides(t)
	ring := ringOf(t, "com.app.", sharedKey(t), r, o)
	if err := ring.Set("", sharedKey(t)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "keys.json")
	// An existing file, open to all, is replaced by one that is not.
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := ring.Save(path); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v", info.Mode())
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("files left beside the keyring: %v", entries)
	}
	loaded, err := LoadKeyRing(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(loaded.Encode(), ring.Encode()) {
		t.Error("the keyring changed on the way")
	}
	if got := loaded.Keys("com.app."); len(got) != 3 || got[0].Originator() != o.Originator() || !got[0].CanSeal(true) || got[0].CanSeal(false) {
		t.Error("the newest key is not the first, or not the originator's side of it")
	}
}

// The scramble keys of a ring go with it into the file, and make a Scrambler.
func TestScrambleKeysInTheFile(t *testing.T) {
	ring := ringOf(t, "com.app.", sharedKey(t))
	if ring.Scrambler() != nil || bytes.Contains(ring.Encode(), []byte("scramble")) {
		t.Error("a ring without scramble keys scrambles")
	}
	key := GenerateScrambleKey()
	if err := ring.SetScramble("com.app.", key); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := ring.Save(path); err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadKeyRing(path)
	if err != nil {
		t.Fatal(err)
	}
	direct := new(Scrambler)
	if err := direct.Set("com.app.", key); err != nil {
		t.Fatal(err)
	}
	want, _ := direct.Scramble("com.app.topic", wamp.MatchExact)
	got, err := loaded.Scrambler().Scramble("com.app.topic", wamp.MatchExact)
	if err != nil || got != want || got == "com.app.topic" {
		t.Errorf("%s, not %s; %v", got, want, err)
	}
	if text := fmt.Sprintf("%v %+v", loaded, loaded.Scrambler()); strings.Contains(text, key.Encode()) || !strings.Contains(text, `scrambles ["com.app."]`) {
		t.Errorf("printed: %s", text)
	}
	// What is taken from the ring later leaves the Scrambler as it is.
	s := loaded.Scrambler()
	if err := loaded.SetScramble("com.app.", ScrambleKey{}); err != nil || loaded.Scrambles("com.app.") || loaded.Scrambler() != nil {
		t.Errorf("not removed: %v", err)
	}
	if got, _ := s.Scramble("com.app.topic", wamp.MatchExact); got != want {
		t.Error("the Scrambler changed with the ring")
	}
	if ring.SetScramble("a b", key) == nil {
		t.Error("a prefix that is none: accepted")
	}
}

func TestLoadRefusesOpenFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	ring, key := filepath.Join(t.TempDir(), "keys.json"), filepath.Join(t.TempDir(), "key")
	if err := ringOf(t, "", sharedKey(t)).Save(ring); err != nil {
		t.Fatal(err)
	}
	private := GenerateKey()
	if err := os.WriteFile(key, []byte(private.Encode()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, load := range map[string]func(string) error{
		ring: func(path string) error { _, err := LoadKeyRing(path); return err },
		key: func(path string) error {
			got, err := LoadPrivateKey(path)
			if err == nil && got.Public() != private.Public() {
				t.Error("another key was read")
			}
			return err
		},
	} {
		for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o644, 0o620, 0o602} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			if err := load(path); err == nil || !strings.Contains(err.Error(), path+" is accessible by other users") || !strings.Contains(err.Error(), "chmod 600") {
				t.Errorf("%s, mode %v: %v", filepath.Base(path), mode, err)
			}
		}
		for _, mode := range []os.FileMode{0o600, 0o400} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			if err := load(path); err != nil {
				t.Errorf("%s, mode %v: %v", filepath.Base(path), mode, err)
			}
		}
		if err := load(filepath.Dir(path)); err == nil {
			t.Error("a directory: accepted")
		}
	}
}

// TestSaveKeepsTheOldFile saves where the rename must fail.
func TestSaveKeepsTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys.json")
	if err := os.MkdirAll(filepath.Join(path, "occupied"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := ringOf(t, "", sharedKey(t)).Save(path); err == nil {
		t.Fatal("saved over a directory")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("a temporary file with keys stayed: %v", entries)
	}
}

func TestParseRefuses(t *testing.T) {
	private := GenerateKey()
	half := fmt.Sprintf(`{"private":%q}`, private.Encode())
	file := func(keys string) string {
		return `{"format":"blindfold-keyring","version":1,"keys":[` + keys + `]}`
	}
	key := func(prefix string) string {
		return `{"prefix":` + prefix + `,"originator":` + half + `,"responder":` + half + `}`
	}
	scrambled := func(entries string) string {
		return `{"format":"blindfold-keyring","version":1,"keys":[],"scramble":[` + entries + `]}`
	}
	if _, err := ParseKeyRing([]byte(scrambled(`{"prefix":"com.","key":"` + private.Encode() + `"}`))); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseKeyRing([]byte(file(key(`"com."`)))); err != nil {
		t.Fatal(err)
	}
	cases := map[string]string{
		"empty":               ``,
		"not JSON":            `{"format":`,
		"two documents":       file("") + file(""),
		"a list":              `[]`,
		"no format":           `{"version":1,"keys":[]}`,
		"other format":        `{"format":"keyring","version":1,"keys":[]}`,
		"no version":          `{"format":"blindfold-keyring","keys":[]}`,
		"later version":       `{"format":"blindfold-keyring","version":2,"keys":[]}`,
		"unknown member":      `{"format":"blindfold-keyring","version":1,"keys":[],"x":1}`,
		"duplicate member":    `{"format":"blindfold-keyring","version":1,"version":1,"keys":[]}`,
		"unknown in a key":    file(`{"prefix":"","originator":` + half + `,"responder":` + half + `,"x":1}`),
		"no prefix":           file(`{"originator":` + half + `,"responder":` + half + `}`),
		"prefix null":         file(key(`null`)),
		"prefix not a URI":    file(key(`"a b"`)),
		"prefix a number":     file(key(`1`)),
		"no responder":        file(`{"prefix":"","originator":` + half + `}`),
		"key not base64":      file(`{"prefix":"","originator":{"private":"` + strings.Repeat("?", 44) + `"},"responder":` + half + `}`),
		"key too short":       file(`{"prefix":"","originator":{"private":"` + private.Encode()[:40] + `"},"responder":` + half + `}`),
		"scramble, no key":    scrambled(`{"prefix":""}`),
		"scramble, short key": scrambled(`{"prefix":"","key":"` + private.Encode()[:40] + `"}`),
		"scramble, no prefix": scrambled(`{"key":"` + private.Encode() + `"}`),
		"scramble, unknown":   scrambled(`{"prefix":"","key":"` + private.Encode() + `","x":1}`),
		"scramble, two keys":  scrambled(`{"prefix":"","key":"` + private.Encode() + `"},{"prefix":"","key":"` + GenerateKey().Encode() + `"}`),
		"public does not go":  file(`{"prefix":"","originator":{"private":"` + private.Encode() + `","public":"` + GenerateKey().Public().String() + `"},"responder":` + half + `}`),
	}
	for name, content := range cases {
		_, err := ParseKeyRing([]byte(content))
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), private.Encode()[:20]) {
			t.Errorf("%s: the error shows a key", name)
		}
	}
	// A key in the wrong place must not come back in the error either.
	_, err := ParseKeyRing([]byte("{\n\"format\":\"blindfold-keyring\",\n\"" + private.Encode() + "\":1}"))
	if err == nil || strings.Contains(err.Error(), private.Encode()[:20]) || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("%v", err)
	}
}
