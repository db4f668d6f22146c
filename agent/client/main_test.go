package client

import (
	"os"
	"testing"

	"duckduckgoose/agent/api/apitest"
)

func TestMain(m *testing.M) {
	if socket := os.Getenv(leadEnv); socket != "" {
		os.Exit(leadProcess(socket))
	}
	os.Exit(apitest.Main(m))
}
