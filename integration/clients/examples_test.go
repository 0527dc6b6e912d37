package clients

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
)

// TestExamples has the sensor in Python, the backend in Go and two windows of the chat
// page talk to each other, as their comments say that they are started.
func TestExamples(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir("../../examples/chat")))
	mux.Handle("/node_modules/", http.StripPrefix("/node_modules/", http.FileServer(http.Dir(modules))))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	url := startRouter(t, server.URL)
	keyring := newKeyring(t, "com.lab.")

	dir, err := routertest.Build("", "", "../../examples/backend")
	routertest.NoError(t, err)
	backend := example(t, filepath.Join(dir, "backend"), "--url", url, "--keyring", keyring)
	wantLine(t, backend, "answering com.lab.latest")

	alice, bob := chat(t, server, url, keyring, "alice"), chat(t, server, url, keyring, "bob")
	click(t, alice, "#latest")
	until(t, alice, `document.body.innerText.includes("no reading: no reading has come yet")`)

	sensor := example(t, newPython, "../../examples/sensor/sensor.py", "--url", url, "--keyring", keyring, "--every", "0", "--count", "3")
	for range 3 {
		wantLine(t, sensor, "published ")
	}
	for range sensor { // until it has ended
		continue
	}
	// The backend gets the third reading when it gets it.
	until(t, alice, `(document.querySelector("#latest").click(), document.body.innerText.includes("latest of 3 readings: "))`)
	_, err = evaluate[any](alice, `void (text.value = "is it blind?", document.querySelector("#say button").click())`)
	routertest.NoError(t, err)
	for _, tab := range []context.Context{alice, bob} {
		until(t, tab, `document.body.innerText.includes("alice: is it blind?")`)
	}
}

func chat(t *testing.T, server *httptest.Server, url, keyring, name string) context.Context {
	t.Helper()
	tab := openTab(t, server.URL+"/")
	_, err := evaluate[any](tab, fmt.Sprintf(`void (document.querySelector("#name").value = %q, document.querySelector("#url").value = %q)`, name, url))
	routertest.NoError(t, err)
	routertest.NoError(t, chromedp.Do(tab, chromedp.SetUploadFiles("#keyring", []string{keyring})))
	click(t, tab, "#join button")
	until(t, tab, `!document.querySelector("#say").hidden`)
	return tab
}

func click(t *testing.T, tab context.Context, selector string) {
	t.Helper()
	_, err := evaluate[any](tab, fmt.Sprintf("void document.querySelector(%q).click()", selector))
	routertest.NoError(t, err)
}

// example starts a program of examples, and returns the lines that it prints.
func example(t *testing.T, program string, args ...string) <-chan string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stderr = t.Output()
	stdout, err := cmd.StdoutPipe()
	routertest.NoError(t, err)
	routertest.NoError(t, cmd.Start())
	lines, done := make(chan string, 100), make(chan struct{})
	go func() {
		defer close(done)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			lines <- scanner.Text()
		}
		_, _ = io.Copy(io.Discard, stdout)
		close(lines)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		<-done
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s ended with %v", filepath.Base(program), err)
		}
	})
	return lines
}

// wantLine waits for a line with a beginning; others are passed over.
func wantLine(t *testing.T, lines <-chan string, begin string) {
	t.Helper()
	for timeout := time.After(patience); ; {
		select {
		case line := <-lines:
			if strings.HasPrefix(line, begin) {
				return
			}
		case <-timeout:
			t.Fatalf("no line begins with %q", begin)
		}
	}
}
