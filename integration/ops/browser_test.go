package ops

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
)

// browser is a tab of a real one. It notes what went wrong on its pages, and
// which hosts they wanted something from.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string
	hosts    map[string]bool
}

func openBrowser(t *testing.T) *browser {
	t.Helper()
	program := testenv.Tool(t, "chromium", "chromium")
	limited, stop := context.WithTimeout(context.Background(), 3*time.Minute)
	allocator, free := chromedp.NewExecAllocator(limited, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.Flag("no-proxy-server", true))...)
	tab, _ := chromedp.NewContext(allocator)
	b := &browser{t: t, ctx: tab, hosts: map[string]bool{}}
	t.Cleanup(func() {
		if err := chromedp.Cancel(tab); err != nil {
			t.Errorf("the browser ended with: %v", err)
		}
		free()
		stop()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, p := range b.problems {
			t.Errorf("in the browser: %s", p)
		}
	})
	if err := chromedp.Listen(tab, b.listen); err != nil {
		t.Fatal(err)
	}
	command(b, network.Enable, network.EnableParams{})
	command(b, log.Enable, cdp.Empty{})
	command(b, runtime.Enable, cdp.Empty{})
	return b
}

// command sends the browser a command of its protocol.
func command[P, R any](b *browser, c cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, c, params); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err == nil && u.Scheme != "data" {
			b.hosts[u.Host] = true
		}
	case *network.EventWebSocketCreated:
		if u, err := url.Parse(e.URL); err == nil {
			b.hosts[u.Host] = true
		}
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, e.ExceptionDetails.Text)
		if x := e.ExceptionDetails.Exception; x != nil {
			b.problems = append(b.problems, x.Description)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" {
			b.problems = append(b.problems, e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

func (b *browser) navigate(url string) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.Navigate(url)); err != nil {
		b.t.Fatal(err)
	}
}

// evaluate returns what a JavaScript expression evaluates to.
func evaluate[T any](b *browser, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits until a JavaScript expression is true.
func (b *browser) until(expression string) {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(routertest.Timeout))); err != nil {
		b.t.Fatalf("never true: %s: %v\nthe page shows:\n%s", expression, err, b.text("body"))
	}
}

func (b *browser) text(selector string) string {
	b.t.Helper()
	return evaluate[string](b, fmt.Sprintf("document.querySelector(%s).innerText", asJSON(selector)))
}

// onlyFrom checks that nothing was asked for elsewhere.
func (b *browser) onlyFrom(hosts ...string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range hosts {
		if !b.hosts[h] {
			b.t.Errorf("nothing was asked of %s", h)
		}
		delete(b.hosts, h)
	}
	for h := range b.hosts {
		b.t.Errorf("the page wants something from %s", h)
	}
}

// looks are the ways in which a page is looked at.
var looks = []struct {
	name          string
	width, height int64
	scheme        string
}{
	{"desktop-light", 1280, 800, "light"}, {"desktop-dark", 1280, 800, "dark"},
	{"phone-light", 390, 844, "light"}, {"phone-dark", 390, 844, "dark"},
}

// inEveryLook checks that the page fits the screen and that the texts of the
// selectors can be read (WCAG 2.2, 1.4.3: a contrast of 4.5), and takes pictures,
// which are kept if the environment's PICTURES names a folder.
func (b *browser) inEveryLook(name string, selectors ...string) {
	b.t.Helper()
	for _, look := range looks {
		command(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: look.width, Height: look.height, DeviceScaleFactor: 1, Mobile: look.width < 600,
		})
		command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}},
		})
		wide := evaluate[int64](b, "document.documentElement.scrollWidth")
		ground := evaluate[string](b, "getComputedStyle(document.body).backgroundColor")
		faint := evaluate[[]string](b, fmt.Sprintf("(%s)(%s)", contrasts, asJSON(selectors)))
		command(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: look.width, Height: min(evaluate[int64](b, "document.documentElement.scrollHeight"), 2*look.height), DeviceScaleFactor: 1, Mobile: look.width < 600,
		})
		picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			b.t.Fatal(err)
		}
		if wide > look.width {
			b.t.Errorf("%s: the page is %d px wide", look.name, wide)
		}
		for _, f := range faint {
			b.t.Errorf("%s: %s", look.name, f)
		}
		if dark := strings.HasPrefix(ground, "rgb(1") && len(ground) < len("rgb(100, 100, 100)"); dark != (look.scheme == "dark") {
			b.t.Errorf("%s: the ground is %s", look.name, ground)
		}
		if dir := os.Getenv("PICTURES"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, name+"-"+look.name+".png"), picture, 0o644); err != nil {
				b.t.Error(err)
			}
		}
	}
}

// contrasts is JavaScript that tells which texts are hard to read.
const contrasts = `(selectors) => {
  const numbers = (c) => c.match(/[\d.]+/g).map(Number);
  const light = (c) => {
    const [r, g, b] = numbers(c).map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor;
      if (numbers(c)[3] !== 0) return c;
    }
    return "rgb(255, 255, 255)";
  };
  return selectors.flatMap((s) => {
    const e = document.querySelector(s);
    if (!e) return [s + " is not there"];
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    return contrast < 4.5 ? [s + " has a contrast of only " + contrast.toFixed(1)] : [];
  });
}`

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
