package election

import "strconv"

var kindNames = [...]string{
	PreVoteRequest: "prevote", PreVoteReply: "prevote_reply", VoteRequest: "vote", VoteReply: "vote_reply",
	Heartbeat: "heartbeat", HeartbeatAck: "ack", Reject: "reject", TimeoutNow: "timeout_now", Resign: "resign",
	Leave: "leave", LeaveReply: "leave_reply", Announce: "announce",
}

// String names the kind as counters and logs do.
func (k Kind) String() string { return nameIn(kindNames[:], int(k), "kind_") }

var eventNames = [...]string{
	EventCampaign: "campaigns", EventWon: "won", EventSplit: "stands down as candidate", EventDeposed: "deposed",
	EventNotQuorate: "stands down without a majority", EventResigned: "resigned", EventInstalled: "took the config of",
	EventVoters: "changed the voters", EventTwoLeaders: "refuses a second leader", EventForeign: "refuses a foreign generation of",
	EventDeferred: "defers to", EventImplausible: "ignores a number too far ahead of",
}

// String says what happened, for logs.
func (k EventKind) String() string { return nameIn(eventNames[:], int(k), "event_") }

func nameIn(names []string, k int, unknown string) string {
	if k >= len(names) || names[k] == "" {
		return unknown + strconv.Itoa(k)
	}
	return names[k]
}
