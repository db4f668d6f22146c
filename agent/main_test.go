package agent

import (
	"os"
	"testing"

	"duckduckgoose/agent/api/apitest"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(embeddedEnv); addr != "" {
		embedded(addr)
		return
	}
	os.Exit(apitest.Main(m))
}
