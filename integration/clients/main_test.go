package clients

import (
	"fmt"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
)

func TestMain(m *testing.M) { routertest.Main(m) }

// patience is how long a test waits for what has to come: browsers and interpreters
// have to start.
const patience = time.Minute

// startRouter runs the built server, to which pages of origin may connect and which
// keeps retained events, and returns the URL of its WebSocket listener.
func startRouter(t testing.TB, origin string) string {
	t.Helper()
	config := fmt.Sprintf(`
listeners:
  - {websocket: "127.0.0.1:0", origins: [%q]}
admin: "127.0.0.1:0"
realms:
  - name: realm1
    anonymous: {role: anonymous}
    roles:
      - name: anonymous
        permissions:
          - {uri: "", match: prefix, allow: [publish, subscribe, call, register]}
    retained: {topics: 1000, size: 16MiB}
`, origin)
	return routertest.StartProcess(t, config).URLs["websocket"]
}
