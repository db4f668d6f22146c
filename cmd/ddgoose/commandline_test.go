package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/client"
)

func TestCommandLinesCanBePasted(t *testing.T) {
	line := map[string][]string{"name": {"a"}, "insecure": {"true"}, "tag": {"a=b c", "d=it's"}, "join": {"x", "y,z"}, "netem": {"*: cut"}}
	require.Equal(t, `ddgoose agent --name a --join x --join y,z --insecure=true --netem '*: cut' --tag 'a=b c' --tag 'd=it'\''s'`, pasteable("ddgoose agent", line))
	require.Equal(t, []string{"b"}, with(line, "name", "b")["name"])
	require.Equal(t, []string{"a"}, line["name"])
	require.Equal(t, "127.0.0.1:3825", reachable("0.0.0.0:3825"))
	require.Equal(t, "127.0.0.1:3825", reachable("[::]:3825"))
	require.Equal(t, "10.0.0.1:3825", reachable("10.0.0.1:3825"))
}

func TestSeveralAgentsAreACommandEach(t *testing.T) {
	several := &client.SeveralError{Names: []string{"a", "/run/ddgoose/b.sock"}}
	err := cannotTell(&chooseError{several, "ddgoose netem set", []string{"*: cut"}, map[string][]string{"for": {"5s"}}})
	require.EqualError(t, err, "several agents run here, choose one: ddgoose netem set --for 5s --socket a '*: cut'"+
		" or ddgoose netem set --for 5s --socket /run/ddgoose/b.sock '*: cut'")
	require.ErrorAs(t, err, &several)
}
