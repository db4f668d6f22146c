package api_test

import (
	"testing"

	"duckduckgoose/agent/api/apitest"
)

func TestServerIsLinkedWithoutGossipAndMetrics(t *testing.T) {
	apitest.ImportsNone(t, "duckduckgoose/agent/api", map[string]string{
		"github.com/hashicorp/memberlist":     "programs that only talk to an agent link this package",
		"github.com/prometheus/client_golang": "the agent hands its metrics over as a handler",
		"duckduckgoose/agent/election":        "the contract's types stand by themselves",
	})
}
