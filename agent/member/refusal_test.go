package member

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
)

// Programs compare the codes, so they must be distinct and never change.
func TestTheNamesOfTheCodesAreDistinctAndStay(t *testing.T) {
	words := map[Code]string{
		HandoverUnderWay: "handover-under-way", NotGoose: "not-goose", NoSuccessor: "no-successor", NotVoter: "not-a-voter",
		Unreachable: "unreachable", IsUnwell: "unwell", NobodyTookOver: "nobody-took-over", NobodyResigned: "resigned", ElectionEnded: "election-ended",
		FlockFrozen: "frozen", NoContestant: "no-contestant", LeavingAlready: "leaving", LastAgent: "last-agent", NoGoose: "no-goose",
		NoOtherLeader: "no-other-leader", CostsMajority: "costs-majority", IsSelf: "is-self", IsAlive: "is-alive",
		IsAliveAgain: "is-alive-again", ForcedAgain: "forced-again", VotersSilent: "voters-silent", NoFlock: "no-flock",
		StampTooLarge: "stamp-too-large", MarkTaken: "mark-taken", MarkUncommitted: "mark-uncommitted", NoLease: "no-lease",
	}
	for code, word := range words {
		require.Equal(t, word, string(code))
		require.EqualError(t, refused(code), word)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "refusal.go", nil, 0)
	require.NoError(t, err)
	declared := 0
	for _, d := range file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
			declared += len(g.Specs)
		}
	}
	require.Equal(t, declared, len(words), "every code is listed above")
}

func TestARefusalNamesTheAgentThatItIsAbout(t *testing.T) {
	id := election.ID{7}
	require.EqualError(t, &Refusal{Code: IsAlive, Agent: id}, "is-alive: agent "+id.String())
}

func TestEveryRefusalOfTheRulesHasACode(t *testing.T) {
	f := flockOf(t, 3)
	e, to := f.duck().Default(), election.ID{7}
	for err, want := range map[error]Refusal{
		election.ErrNoSuccessor: {Code: NoSuccessor},
		election.ErrNotVoter:    {Code: NotVoter, Agent: to},
		election.ErrUnreachable: {Code: Unreachable, Agent: to},
		election.ErrUnwell:      {Code: IsUnwell, Agent: to},
		election.ErrHandingOver: {Code: HandoverUnderWay},
		election.ErrNotLeader:   {Code: NotGoose, Agent: f.goose("").me, Addr: f.goose("").addr()},
	} {
		require.Equal(t, &want, e.explain(err, to))
	}
	other := errors.New("another")
	require.Equal(t, other, e.explain(other, to))
}

func TestTheStatesOfAPeerHaveWords(t *testing.T) {
	for state, word := range map[PeerState]string{Alive: "alive", Failed: "failed", Left: "left", 0: "unknown"} {
		require.Equal(t, word, state.String())
	}
}
