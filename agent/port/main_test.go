package port

import (
	"os"
	"testing"

	"duckduckgoose/agent/api/apitest"
)

func TestMain(m *testing.M) { os.Exit(apitest.Main(m)) }
