package clients

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
)

// TestKeyringFile has the other packages read a keyring file and write it again: the
// bytes are the same, and so is the mode. One that others may read is refused.
func TestKeyringFile(t *testing.T) {
	ring := new(cryptobox.KeyRing)
	shared, err := cryptobox.NewSharedKey(cryptobox.GenerateKey())
	routertest.NoError(t, err)
	half, err := cryptobox.NewKey(cryptobox.Half{Private: cryptobox.GenerateKey()}, cryptobox.Half{Public: cryptobox.GenerateKey().Public()})
	routertest.NoError(t, err)
	routertest.NoError(t, ring.Add("com.app.", shared))
	routertest.NoError(t, ring.Add("com.app.", half))
	routertest.NoError(t, ring.Add("com.bücher.", shared))
	routertest.NoError(t, ring.Add("", half))
	routertest.NoError(t, ring.SetScramble("com.app.", cryptobox.GenerateScrambleKey()))
	dir := t.TempDir()
	file := filepath.Join(dir, "keyring.json")
	routertest.NoError(t, ring.Save(file))
	want, err := os.ReadFile(file)
	routertest.NoError(t, err)
	root, err := filepath.Abs("peers")
	routertest.NoError(t, err)
	for name, command := range map[string][]string{
		"python": {newPython, "-c", "import sys; from blindfold_seal import KeyRing; KeyRing.load(sys.argv[1]).save(sys.argv[2])"},
		"node": {testenv.Tool(t, "node", "nodejs"), "--input-type=module", "-e",
			`import { loadKeyRing, saveKeyRing } from "` + root + `/node_modules/@blindfold/seal/src/node.js"; await saveKeyRing(process.argv[2], await loadKeyRing(process.argv[1]));`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat(modules + "/@blindfold/seal"); err != nil {
				testenv.SkipMissing(t, "the clients are not installed: make clients")
			}
			written := filepath.Join(dir, name+".json")
			copyKeyring := func() ([]byte, error) {
				return exec.Command(command[0], append(command[1:len(command):len(command)], file, written)...).CombinedOutput()
			}
			if out, err := copyKeyring(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			got, err := os.ReadFile(written)
			routertest.NoError(t, err)
			if !bytes.Equal(got, want) {
				t.Errorf("want %s\ngot %s", want, got)
			}
			info, err := os.Stat(written)
			routertest.NoError(t, err)
			if info.Mode().Perm() != 0o600 {
				t.Errorf("mode %04o", info.Mode().Perm())
			}
			routertest.NoError(t, os.Chmod(file, 0o640))
			defer func() { routertest.NoError(t, os.Chmod(file, 0o600)) }()
			if out, err := copyKeyring(); err == nil || !bytes.Contains(out, []byte("is open to others")) {
				t.Errorf("a file that others may read: %v\n%s", err, out)
			}
		})
	}
}
