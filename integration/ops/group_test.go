package ops

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
)

// A group in the browser: who was removed reads nothing more, and the router never did.
func TestGroupInABrowser(t *testing.T) {
	page := startDemo(t)
	b := openBrowser(t)
	b.navigate(page + "group.html")
	b.shows("#status", "everybody is there")
	b.shows("#members", "alice, bob, carol")
	b.say("carol", "Between the three of us.")
	b.shows("#bob .chat", "Between the three of us.")
	b.shows("#bob .chat li:last-child .how", "sealed by carol")

	// Somebody in a terminal, who joins over the router.
	home := t.TempDir()
	seal := func(args ...string) string {
		t.Helper()
		c := exec.Command(routertest.SealBinary(t), append(args, "--home", home)...)
		out, err := c.Output()
		if err != nil {
			t.Fatalf("seal %s: %v", strings.Join(args, " "), err)
		}
		return strings.TrimSpace(string(out))
	}
	line := seal("identity", "new", "dave")
	evaluate[bool](b, `(() => { document.querySelector("#line").value = `+asJSON(line)+`; document.querySelector("#add").requestSubmit(); return true; })()`)
	b.shows("#members", "dave")
	words := evaluate[[]string](b, `(() => { const t = document.querySelector("#fetch").textContent; const at = t.indexOf("'"); return t.slice(5, at).trim().split(" ").concat(t.slice(at + 1, -1)); })()`)
	seal(words...)
	router := words[4]
	seal("publish", "com.demo.secret.chat", "From a terminal.", "--scope", "--url", router)
	b.shows("#bob .chat", "From a terminal.")
	b.shows("#bob .chat li:last-child .how", "sealed by dave")

	evaluate[bool](b, `document.querySelector("#bob .toggle").click(), true`)
	b.shows("#members", "alice, carol, dave")
	b.shows("#bob .chat", "blindfold.error.scope.not_member")
	b.shows("#carol .chat", "alice, carol, dave")
	b.say("carol", "Bob is not to know.")
	b.shows("#bob .chat", "blindfold.error.scope.unknown_epoch")
	if chat := b.text("#bob .chat"); strings.Contains(chat, "not to know") {
		t.Errorf("bob reads on:\n%s", chat)
	}
	b.until(`document.querySelectorAll("#view li.opaque").length >= 4`)
	if view := b.text("#view"); strings.Contains(view, "three of us") || strings.Contains(view, "to know") || strings.Contains(view, "clear") || !strings.Contains(view, "x_blindfold_1") {
		t.Errorf("the router's view:\n%s", view)
	}
	b.inEveryLook("group", "h1", "header p", "#status", ".key", ".chat li", ".how", ".payload", "#view dt")
}

// What is vendored is what js/ was built to.
func TestVendoredSeal(t *testing.T) {
	content, err := os.ReadFile("../../demo/page/vendor/blindfold-seal/blindfold-seal.min.js")
	if err != nil {
		t.Fatal(err)
	}
	const built = "e256ac20404f36cae148d51e19e114ce87a534b0e0e427956ba89efa8f4195cc"
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != built {
		t.Errorf("blindfold-seal.min.js is %x", sum)
	}
}
