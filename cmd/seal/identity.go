package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"rsc.io/qr"

	"github.com/blindfold-wamp/blindfold/scope"
)

const identityUsage = `usage: seal identity new NAME [OPTIONS]
       seal identity show [OPTIONS]
       seal identity export [OPTIONS]

Members of a scope know you by your identity: a key that signs, and a key to which
secrets are encrypted. Its public form is one line of text, which you give to others.

new creates an identity in the folder and prints its public line. show prints the line,
its digits, which you compare with another person, for example by telephone, and the line
as a QR code. export prints the line only.

examples:
  seal identity new alice
  seal identity show
  seal identity export > alice.txt

options:
  --post-quantum     new: keys that withstand quantum computers, too; the public line
                     is then 2,000 characters long
  --age SOURCE       new: with this age identity, of an age plugin or an SSH key say:
                     env:NAME or file:PATH. It is copied into the identity
  --recipient TEXT   new: the recipient of --age: age1… or ssh-…
  --private          export: print the identity file, with the private keys
  --no-qr            show: no QR code
` + homeHelp

func identity(_ context.Context, e *cli, args []string) error {
	var h home
	var postQuantum, private, noQR bool
	var age, recipient string
	f := e.flags(func(f *flag.FlagSet) {
		h.add(f)
		f.BoolVar(&postQuantum, "post-quantum", false, "")
		f.StringVar(&age, "age", "", "")
		f.StringVar(&recipient, "recipient", "", "")
		f.BoolVar(&private, "private", false, "")
		f.BoolVar(&noQR, "no-qr", false, "")
	})
	rest, err := e.parse(f, args)
	if err != nil {
		return err
	}
	verb, rest, err := subcommand(rest, map[string]int{"new": 1, "show": 0, "export": 0})
	if err != nil {
		return err
	}
	if verb == "new" {
		return e.newIdentity(&h, rest[0], postQuantum, age, recipient)
	}
	id, err := h.load(e.stdin)
	switch {
	case err != nil:
		return err
	case verb == "show":
		return e.showIdentity(id, noQR)
	case private:
		_, err = e.stdout.Write(id.Encode())
	default:
		_, err = fmt.Fprintln(e.stdout, id.Public.String())
	}
	return err
}

// subcommand returns the first argument, which must be a key of verbs, and the
// others, of which there must be as many as its value says; or more, if it is
// negative: at least so many.
func subcommand(args []string, verbs map[string]int) (verb string, rest []string, err error) {
	if len(args) == 0 {
		return "", nil, usageError("what to do is missing")
	}
	verb, rest = args[0], args[1:]
	n, ok := verbs[verb]
	switch {
	case !ok:
		return "", nil, usageError("unknown: %s", printable(verb))
	case len(rest) < max(n, -n):
		return "", nil, usageError("%s: an argument is missing", verb)
	case n >= 0 && len(rest) > n:
		return "", nil, usageError("unexpected argument %q", printable(rest[n]))
	}
	return verb, rest, nil
}

func (e *cli) newIdentity(h *home, name string, postQuantum bool, age, recipient string) error {
	path, err := h.path("identity.json")
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s exists: an identity that is overwritten is lost for ever", path)
	}
	var id *scope.Identity
	switch {
	case age != "" && recipient != "" && !postQuantum:
		secret, err := readSecret(age)
		if err != nil {
			return usageError("--age: %w", err)
		}
		id, err = scope.NewIdentityWith(name, secret.Reveal(), recipient)
		if err != nil {
			return keyError(err)
		}
	case age != "" || recipient != "":
		return usageError("--age and --recipient belong together, and go without --post-quantum")
	default:
		id, err = scope.NewIdentity(name, postQuantum)
	}
	if err != nil {
		return usageError("%w", err)
	}
	if err := id.Save(path); err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "wrote %s\nyour public line, for the others:\n", path)
	_, err = fmt.Fprintln(e.stdout, id.Public.String())
	return err
}

func (e *cli) showIdentity(id *scope.Identity, noQR bool) error {
	fmt.Fprintf(e.stdout, "name    %s\ndigits  %s\nline    %s\n", id.Name, id.Digits(), id.Public.String())
	if noQR {
		return nil
	}
	text := id.Public.String()
	if len(text) > maxQR {
		fmt.Fprintln(e.stderr, "the line is too long for a QR code on a terminal")
		return nil
	}
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return err
	}
	_, err = e.stdout.Write(drawQR(code))
	return err
}

// maxQR is the longest text whose code fits on a terminal, in characters.
const maxQR = 600

// drawQR draws two rows of the code with each line, dark on light, with the quiet zone
// that readers need.
func drawQR(code *qr.Code) []byte {
	const quiet = 2
	var b bytes.Buffer
	for y := -quiet; y < code.Size+quiet; y += 2 {
		b.WriteString("\x1b[30;107m")
		for x := -quiet; x < code.Size+quiet; x++ {
			b.WriteString([]string{" ", "▀", "▄", "█"}[dark(code, x, y)+2*dark(code, x, y+1)])
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.Bytes()
}

func dark(code *qr.Code, x, y int) int {
	if code.Black(x, y) { // false outside
		return 1
	}
	return 0
}

const contactUsage = `usage: seal contact add LINE [OPTIONS]
       seal contact list [OPTIONS]
       seal contact verify NAME [DIGITS] [OPTIONS]
       seal contact remove NAME [OPTIONS]

A contact is the public line of another person or program, under a name that you choose.
Messages of a scope show these names as their senders.

Someone could have given you a wrong line. verify shows the digits of a contact: compare
them with those that seal identity show prints on the other side. Or give the other
side's DIGITS, and seal compares them.

LINE is the line itself, or file:PATH.

examples:
  seal contact add 'blindfold-id-1 bob …'
  seal contact add file:robert.txt --name bob
  seal contact verify bob '31415 92653 58979 32384 62643 38327'

options:
  --name NAME        add: another name than the one in the line
` + homeHelp

func contact(_ context.Context, e *cli, args []string) error {
	var h home
	var name string
	f := e.flags(func(f *flag.FlagSet) {
		h.add(f)
		f.StringVar(&name, "name", "", "")
	})
	rest, err := e.parse(f, args)
	if err != nil {
		return err
	}
	verb, rest, err := subcommand(rest, map[string]int{"add": 1, "list": 0, "verify": -1, "remove": 1})
	if err != nil {
		return err
	}
	c, path, err := h.contacts()
	if err != nil {
		return err
	}
	switch verb {
	case "list":
		for _, k := range c.All() {
			state := "not verified"
			if !k.Verified.IsZero() {
				state = "verified " + k.Verified.Format("2006-01-02")
			}
			fmt.Fprintf(e.stdout, "%s\t%s\t%s\n", k.Name, k.Digits(), state)
		}
		return nil
	case "verify":
		return e.verifyContact(c, path, rest)
	case "remove":
		if !c.Remove(rest[0]) {
			return fmt.Errorf("there is no contact %s", printable(rest[0]))
		}
		return c.Save(path)
	}
	line, err := lineFrom(rest[0])
	if err != nil {
		return err
	}
	p, err := scope.ParsePublic(line)
	if err != nil {
		return keyError(err)
	}
	if err := c.Add(name, p); err != nil {
		return keyError(err)
	}
	if name == "" {
		name = p.Name
	}
	fmt.Fprintf(e.stderr, "added %s; compare the digits by another way: %s\n", name, p.Digits())
	return c.Save(path)
}

func (e *cli) verifyContact(c *scope.Contacts, path string, args []string) error {
	k, ok := c.Named(args[0])
	if !ok {
		return fmt.Errorf("there is no contact %s", printable(args[0]))
	}
	given := strings.Join(args[1:], "")
	digits := strings.ReplaceAll(k.Digits(), " ", "")
	if given == "" {
		fmt.Fprintf(e.stdout, "%s\nDo these digits agree with those on the other side? Type yes: ", k.Digits())
		var answer string
		if _, err := fmt.Fscanln(e.stdin, &answer); err != nil || answer != "yes" {
			return keyError(errors.New("not verified"))
		}
	} else if strings.Join(strings.Fields(given), "") != digits {
		return keyError(fmt.Errorf("the digits of %s are %s: somebody has exchanged the line, or a digit is wrong", k.Name, k.Digits()))
	}
	if err := c.Verify(k.Name, time.Now()); err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "%s is verified\n", k.Name)
	return c.Save(path)
}
