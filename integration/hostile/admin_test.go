package hostile

import (
	"net/http"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
)

// A page of a name that leads to the loopback (DNS rebinding) gets nothing from
// the admin address; by localhost and number everything is there.
func TestAdminForeignHost(t *testing.T) {
	p := routertest.StartProcess(t, "listeners: [{rawsocket: \"127.0.0.1:0\"}]\nadmin: {address: \"127.0.0.1:0\", pprof: true}\n")
	client := http.Client{Timeout: routertest.Timeout}
	defer client.CloseIdleConnections()
	for _, path := range []string{"/", "/metrics", "/loglevel", "/debug/pprof/", "/debug/pprof/heap"} {
		for host, want := range map[string]int{"": 200, "localhost:8082": 200, "evil.example:8082": http.StatusMisdirectedRequest} {
			request, err := http.NewRequest(http.MethodGet, p.URLs["admin"]+path, nil)
			routertest.NoError(t, err)
			request.Host = host
			response, err := client.Do(request)
			routertest.NoError(t, err)
			_ = response.Body.Close()
			if response.StatusCode != want {
				t.Errorf("%s of host %q: %d, want %d", path, host, response.StatusCode, want)
			}
		}
	}
}
