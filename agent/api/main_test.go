package api_test

import (
	"os"
	"testing"

	"duckduckgoose/agent/api/apitest"
)

func TestMain(m *testing.M) {
	if socket := os.Getenv(strangerEnv); socket != "" {
		os.Exit(stranger(socket))
	}
	if socket := os.Getenv(crowdEnv); socket != "" {
		os.Exit(crowd(socket))
	}
	if socket := os.Getenv(holdEnv); socket != "" {
		os.Exit(hold(socket))
	}
	os.Exit(apitest.Main(m))
}
