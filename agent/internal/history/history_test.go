package history

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/api"
)

// at returns a moment by its seconds.
func at(s int) time.Time { return time.Unix(1_800_000_000+int64(s), 0) }

func (h *History) ended(token uint64) string { return h.Of(token).Ended }

func TestPeriodsEndWhenTheNextBegins(t *testing.T) {
	var h History
	h.Begin(3, "ida", "a", at(0))
	h.Begin(5, "idb", "b", at(10))
	d := h.Document()
	text, err := json.Marshal(d)
	require.NoError(t, err)
	require.JSONEq(t, `{"periods": [
		{"token": 5, "name": "b", "id": "idb", "from": "2027-01-15T08:00:10.000Z", "to": null, "ended": "running"},
		{"token": 3, "name": "a", "id": "ida", "from": "2027-01-15T08:00:00.000Z", "to": "2027-01-15T08:00:10.000Z", "ended": "unknown"}
	], "gaps": []}`, string(text))
	var back api.History
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, d.Periods, back.Periods)
}

func TestAGooseThatIsHeardAgainGoesOn(t *testing.T) {
	var h History
	h.Begin(3, "ida", "a", at(0))
	h.End(3, at(5), api.EndedUnknown, "", false)
	require.Equal(t, []api.Gap{{From: api.Time(at(5).UnixMilli())}}, h.Document().Gaps)
	h.Begin(3, "ida", "a", at(6))
	require.Equal(t, Period{Token: 3, ID: "ida", Name: "a", From: at(0).UnixMilli(), Ended: api.EndedRunning}, h.Of(3))
	h.End(3, at(7), api.EndedLeaseLost, "no majority", true)
	h.Begin(4, "idb", "b", at(8))
	h.Begin(3, "ida", "a", at(9)) // a late word of an older period
	require.Equal(t, api.EndedLeaseLost, h.ended(3))
	require.Equal(t, []api.Gap{{From: api.Time(at(7).UnixMilli()), To: new(api.Time(at(8).UnixMilli()))}}, h.Document().Gaps)
}

func TestTheGoosesOwnWordCountsMost(t *testing.T) {
	var h History
	h.Begin(3, "ida", "a", at(0))
	h.Begin(4, "idb", "b", at(8))
	h.End(3, at(9), api.EndedDied, "", false)
	h.End(3, at(9), api.EndedStepDown, "", false)
	require.Equal(t, api.EndedDied, h.ended(3), "one guess is as good as another")
	require.Equal(t, at(8).UnixMilli(), h.Of(3).To)
	require.Len(t, h.Unsure(at(0), 5), 1)

	said := Period{Token: 3, ID: "ida", Name: "a", From: at(1).UnixMilli(), To: at(7).UnixMilli(), Ended: api.EndedLeaseLost, Sure: true}
	require.True(t, h.Merge("idc", []Period{said}))
	require.Equal(t, api.EndedLeaseLost, h.ended(3))
	require.Equal(t, at(8).UnixMilli(), h.Of(3).To, "times stay as they were seen here")
	require.Empty(t, h.Unsure(at(0), 5))

	said.Ended = api.EndedStepDown // the lease was earned back, which idc did not see
	require.False(t, h.Merge("idc", []Period{said}), "a word that was passed on does not replace another")
	require.True(t, h.Merge("ida", []Period{said}))
	require.False(t, h.Merge("ida", []Period{said}))
	require.Equal(t, api.EndedStepDown, h.ended(3))
}

func TestPeriodsThatWereMissedAreLearnt(t *testing.T) {
	var h, other History
	h.Begin(1, "ida", "a", at(0))
	other.Begin(1, "ida", "a", at(0))
	for i, name := range []string{"b", "c", "b"} {
		other.Begin(uint64(2+i), "id"+name, name, at(10*(1+i)))
	}
	require.True(t, h.Merge("idb", other.Since(1, Max)))
	require.Equal(t, other.Document(), h.Document())
	h.Begin(6, "ida", "a", at(50))
	require.True(t, h.Merge("idc", []Period{{Token: 5, ID: "idc", Name: "c", From: at(45).UnixMilli(), Ended: api.EndedRunning}}))
	require.Equal(t, api.EndedUnknown, h.ended(5), "the teller has not heard of the next one")
	require.Equal(t, api.EndedRunning, h.ended(6))
	require.False(t, h.Merge("idc", []Period{{Token: 6, ID: "ida", Name: "a", From: 1, To: 2, Ended: api.EndedDied, Sure: true}}),
		"an agent that hears the goose knows better")
}

func TestOnlyTheLastThousandAreKept(t *testing.T) {
	var h History
	for i := range 2 * Max {
		h.Begin(uint64(i+1), "ida", "a", at(i))
	}
	require.Len(t, h.Document().Periods, Max)
	require.EqualValues(t, Max+1, h.Since(0, 2*Max)[0].Token)
	require.Len(t, h.Since(0, 10), 10)
	require.False(t, h.Merge("idb", []Period{{Token: 1, ID: "ida", From: 1, To: 2, Ended: api.EndedDied}}))
	require.Len(t, h.Document().Periods, Max)
}

func TestWhatNoAgentSaysIsDropped(t *testing.T) {
	good := Period{Token: 7, ID: "ida", Name: "a", From: 5, To: 9, Ended: api.EndedDied}
	for _, bad := range []func(*Period){
		func(p *Period) { p.Token = 0 }, func(p *Period) { p.Token = 1 << 53 }, func(p *Period) { p.From = 0 },
		func(p *Period) { p.To = 4 }, func(p *Period) { p.To = 0 }, func(p *Period) { p.Ended = "bored" },
		func(p *Period) { p.Ended = api.EndedRunning }, func(p *Period) { p.Name = string(make([]byte, 300)) },
	} {
		p, h := good, History{}
		bad(&p)
		require.False(t, h.Merge("idb", []Period{p}), "%+v", p)
	}
	require.True(t, (&History{}).Merge("idb", []Period{good}))
}
