package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/blindfold-wamp/blindfold/auth"
	"github.com/blindfold-wamp/blindfold/internal/cmdline"
	"github.com/blindfold-wamp/blindfold/internal/ownfile"
)

const credentialsUsage = `Makes a credential: a new secret for a client, and the lines of the router's
configuration that accept it. The router's lines do not contain the client's secret.

usage: blindfold credentials METHOD --authid ID [options]

methods:
  cryptosign  an Ed25519 key pair; the router gets the public key
  ticket      a random ticket; the router gets its Argon2id hash
  scram       a password; the router gets the keys that verify it
  wampcra     a password; the router gets a key derived from it, which is enough to
              log in with wampcra: keep the configuration secret

options:
  --authid ID          the name of the principal
  --role ROLE          its role; default: member
  --out FILE           write the client's secret to FILE (mode 0600), which must not
                       exist; default: ID.key for cryptosign, ID.secret for the others
  --password SOURCE    use a secret that exists, from env:NAME or file:PATH, instead of
                       making and writing one. Not for cryptosign
  --help               print this text

exit status:
  0  done
  1  the secret could not be written
  2  the command line is wrong
`

// credentialMethods make the client's secret and the router's credential.
var credentialMethods = map[string]func(given auth.Secret) (client auth.Secret, line string, err error){
	"cryptosign": func(given auth.Secret) (auth.Secret, string, error) {
		if !given.IsZero() {
			return given, "", errors.New("cryptosign has a key, not a password")
		}
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return given, "", err
		}
		return auth.NewSecret(hex.EncodeToString(private.Seed())), "cryptosign: [" + strconv.Quote(hex.EncodeToString(public)) + "]", nil
	},
	"ticket": func(given auth.Secret) (auth.Secret, string, error) {
		s := secretOr(given)
		return s, "ticket: {hash: " + strconv.Quote(auth.HashTicket(s)) + "}", nil
	},
	"scram": func(given auth.Secret) (auth.Secret, string, error) {
		s := secretOr(given)
		c := &auth.SCRAMCredential{}
		c.KDF, c.Iterations, c.Memory, c.Salt = "argon2id13", 3, 64<<10, randomBytes(16)
		c, err := auth.DeriveSCRAM(s, c.SCRAMParameters)
		if err != nil {
			return s, "", err
		}
		return s, fmt.Sprintf("scram: {kdf: %s, iterations: %d, memory: %d, salt: \"%x\", stored_key: \"%x\", server_key: \"%x\"}",
			c.KDF, c.Iterations, c.Memory, c.Salt, c.StoredKey, c.ServerKey), nil
	},
	"wampcra": func(given auth.Secret) (auth.Secret, string, error) {
		s := secretOr(given)
		c, err := auth.DeriveCRA(s, hex.EncodeToString(randomBytes(16)), 100_000, 32)
		if err != nil {
			return s, "", err
		}
		return s, fmt.Sprintf("wampcra: {secret: {value: %s}, salt: %s, iterations: %d, keylen: %d}",
			strconv.Quote(c.Secret.Reveal()), strconv.Quote(c.Salt), c.Iterations, c.KeyLength), nil
	},
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return b
}

// secretOr returns given, or a new secret of 256 bits.
func secretOr(given auth.Secret) auth.Secret {
	if given.IsZero() {
		return auth.NewSecret(hex.EncodeToString(randomBytes(32)))
	}
	return given
}

// runCredentials is the command "blindfold credentials".
func runCredentials(args []string, stdout, stderr io.Writer) int {
	method := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		method, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("blindfold credentials", flag.ContinueOnError)
	authID := flags.String("authid", "", "")
	role := flags.String("role", "member", "")
	out := flags.String("out", "", "")
	password := flags.String("password", "", "")
	err := cmdline.Parse(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, credentialsUsage)
		return 0
	}
	create := credentialMethods[method]
	names := []string{"cryptosign", "ticket", "scram", "wampcra"}
	var given auth.Secret
	switch {
	case err != nil:
	case create == nil && method != "":
		err = fmt.Errorf("no such method: %q%s", method, cmdline.DidYouMean("", method, names))
	case create == nil:
		err = fmt.Errorf("name a method: %s", strings.Join(names, ", "))
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case *authID == "":
		err = errors.New("--authid is missing")
	case *password != "" && method == "cryptosign":
		err = errors.New("--password: cryptosign has a key, not a password")
	case *password != "" && *out != "":
		err = errors.New("--out is for a new secret: with --password there is none")
	case *password != "":
		given, err = secretFrom(*password)
	}
	if err != nil {
		fmt.Fprintf(stderr, "blindfold: %v\nsee: blindfold credentials --help\n", err)
		return 2
	}
	secret, line, err := create(given)
	if err != nil {
		fmt.Fprintf(stderr, "blindfold: %v\n", err)
		return 1
	}
	source := *password
	if source == "" {
		file := *out
		if file == "" {
			file = secretFile(*authID, method)
		}
		if _, err := os.Lstat(file); err == nil {
			fmt.Fprintf(stderr, "blindfold: %s exists: give another name with --out, or remove it\n", file)
			return 1
		}
		if err := ownfile.Write(file, []byte(secret.Reveal()+"\n")); err != nil {
			fmt.Fprintf(stderr, "blindfold: %v\n", err)
			return 1
		}
		source = "file:" + file
	}
	fmt.Fprintf(stdout, `# for the realm in the router's configuration; the role must be one of its roles
auth: {%s: {}}
principals:
  - authid: %s
    role: %s
    %s

# for the client:
#   seal ... --auth %s --authid %s --secret %s
`, method, strconv.Quote(*authID), strconv.Quote(*role), line, method, *authID, source)
	return 0
}

// secretFile is the default name of a file for the client's secret. An authid can have
// characters that are not for file names.
func secretFile(authID, method string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || slices.Contains([]rune("-_@"), r) {
			return r
		}
		return '_'
	}, authID)
	if method == "cryptosign" {
		return name + ".key"
	}
	return name + ".secret"
}

// secretFrom reads a secret from env:NAME or file:PATH.
func secretFrom(source string) (auth.Secret, error) {
	kind, name, _ := strings.Cut(source, ":")
	switch kind {
	case "env":
		return auth.SecretFromEnv(name)
	case "file":
		return auth.SecretFromFile(name)
	}
	return auth.Secret{}, errors.New("--password must be env:NAME or file:PATH")
}
