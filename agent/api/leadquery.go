package api

import (
	"net/url"
	"path/filepath"
	"slices"
	"time"
)

// The query of POST /v1/lead: what a holder says about itself.
const (
	// HeirsQuery in the query of POST /v1/lead, with the value true: a guard outlives the
	// holder's process. The death of that process does not prove that the work ended, so
	// the holder counts as working until its deadline.
	HeirsQuery = "heirs"
	// GraceQuery in the query of POST /v1/lead is how long the holder's work may take to
	// end at a planned end: a Go duration, at most MaxGrace.
	GraceQuery = "grace"
	// ShareQuery in the query of POST /v1/lead, with the value true, lets a holder with
	// heirs work beside others of its kind. Without it they work one at a time.
	ShareQuery = "share"
	// KindQuery in the query of POST /v1/lead names the holder's kind: the command that a
	// person started. Default: DefaultKind.
	KindQuery = "kind"
	// WorkQuery in the query of POST /v1/lead says what acts, for people.
	WorkQuery = "work"
	// EndsQuery in the query of POST /v1/lead says what ends the work, for people.
	EndsQuery = "ends"
	// AcksQuery in the query of POST /v1/lead, with the value true: the holder promises to
	// answer deadlines several times in each lease. A holder that then answers none for a
	// whole lease counts as stopped, and other work gets the goose.
	AcksQuery = "acks"
	// CgroupQuery in the query of POST /v1/lead is a folder of cgroup version 2. The agent
	// kills it when it stops a holder that does not answer, and at the deadline of a
	// holder that died. The holder must be in the cgroup named guard beside it. If the
	// agent cannot kill it, a holder that does not answer keeps the goose.
	CgroupQuery = "cgroup"
	// DefaultKind is the kind of holders that name none.
	DefaultKind = "ddgoose run"
	// MaxGrace is the longest time that a planned hand-over waits for work to end.
	MaxGrace = time.Hour
	// maxKind bounds the name of a kind.
	maxKind = 100
	// maxText bounds the texts for people.
	maxText = 200
	// maxPath bounds the path of a cgroup.
	maxPath = 1000
)

// leadQueries are the names that this agent knows. It ignores others: a newer holder may say more.
var leadQueries = []string{HeirsQuery, GraceQuery, ShareQuery, KindQuery, WorkQuery, EndsQuery, AcksQuery, CgroupQuery}

// leadQuery is what a holder says about itself.
type leadQuery struct {
	heirs, share, acks bool
	kind, work, ends   string
	cgroup             string
	grace              time.Duration
}

func parseLeadQuery(raw string) (q leadQuery, err error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return q, Input("query %.80q: %v", raw, err)
	}
	texts := map[string]*string{WorkQuery: &q.work, EndsQuery: &q.ends}
	for name, values := range query {
		switch value := values[0]; {
		case !slices.Contains(leadQueries, name):
		case len(values) == 1 && name == HeirsQuery && (value == "true" || value == "false"):
			q.heirs = value == "true"
		case len(values) == 1 && name == ShareQuery && (value == "true" || value == "false"):
			q.share = value == "true"
		case len(values) == 1 && name == AcksQuery && (value == "true" || value == "false"):
			q.acks = value == "true"
		case len(values) == 1 && texts[name] != nil && value != "" && len(value) <= maxText && Printable(value) == value:
			*texts[name] = value
		case len(values) == 1 && name == CgroupQuery && filepath.IsAbs(value) && len(value) <= maxPath:
			q.cgroup = value
		case len(values) == 1 && name == KindQuery && value != "" && len(value) <= maxKind:
			q.kind = value
		case len(values) == 1 && name == GraceQuery:
			if q.grace, err = time.ParseDuration(value); err != nil || q.grace <= 0 || q.grace > MaxGrace {
				return q, Input("query: grace %.40q: want a duration above 0 and of %v at the most, such as 20s", value, MaxGrace)
			}
		default:
			return q, Input("query %.80q: want none, heirs=true, share=true, acks=true, kind=NAME, work=TEXT, ends=TEXT, cgroup=PATH or grace=20s", raw)
		}
	}
	return q, nil
}
