package election

import "strconv"

var kindNames = [...]string{
	PreVoteRequest: "prevote", PreVoteReply: "prevote_reply", VoteRequest: "vote", VoteReply: "vote_reply",
	Heartbeat: "heartbeat", HeartbeatAck: "ack", Reject: "reject", TimeoutNow: "timeout_now", Resign: "resign",
	Leave: "leave", LeaveReply: "leave_reply",
}

// String names the kind as counters and logs do.
func (k Kind) String() string {
	if int(k) >= len(kindNames) || kindNames[k] == "" {
		return "kind_" + strconv.Itoa(int(k))
	}
	return kindNames[k]
}

var eventNames = [...]string{
	EventCampaign: "campaigns", EventWon: "won", EventSplit: "stands down as candidate", EventDeposed: "deposed",
	EventNotQuorate: "stands down without a majority", EventResigned: "resigned", EventInstalled: "took the config of",
	EventVoters: "changed the voters", EventTwoLeaders: "refuses a second leader", EventForeign: "refuses a foreign generation of",
	EventDeferred: "defers to", EventImplausible: "ignores a number too far ahead of",
}

// String says what happened, for logs.
func (k EventKind) String() string {
	if int(k) >= len(eventNames) || eventNames[k] == "" {
		return "event_" + strconv.Itoa(int(k))
	}
	return eventNames[k]
}
