package ops

import (
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
)

func TestMain(m *testing.M) { routertest.Main(m) }
