package election

import "time"

// Kind tells what a [Message] says.
type Kind uint8

// The kinds of message. Their numbers are the wire's: never reuse one.
const (
	PreVoteRequest Kind = 1 + iota
	PreVoteReply
	VoteRequest
	VoteReply
	Heartbeat
	HeartbeatAck
	Reject
	TimeoutNow
	Resign
	Leave
	LeaveReply
	Announce
)

// Reason tells why a vote was refused.
type Reason uint8

// The reasons for refusing a vote. Their numbers are the wire's.
const (
	NoReason     Reason = iota
	OldTerm             // the request's term is below the voter's
	Voted               // the voter gave its vote of this term to another
	OldConfig           // the voter knows a newer config (carried in the reply)
	Promised            // the voter has promised another; Remaining tells for how long
	Restarted           // the voter has just restarted and waits; Remaining tells for how long
	NotCandidate        // the asker is no voter of priority above 0 in the voter's config
	OtherLife           // the request names another life than the voter's present one (rule 11)
)

// Header is what every message of one agent shares: who speaks, to whom, and
// how new its knowledge is. Start, Life, Seq and ToLife are stamped by the agent
// when a message leaves; of these the rules read ToLife only.
type Header struct {
	FlockID    FlockID
	Generation Generation
	From, To   ID
	Start      uint64 // process starts of the sender's disk (rule 10)
	Life       uint64 // random per process (rule 10)
	ToLife     uint64 // the receiver's life, as far as the sender knows it; 0: it does not (rule 11)
	Seq        uint64 // grows by one per datagram of a life (rule 10)
	Term       uint64
	ConfigID   ConfigID
}

// Message is one message between agents. Which fields mean something depends
// on Kind; the others are zero. It is a comparable value.
type Message struct {
	Kind Kind
	Header

	// PreVoteRequest: the term the asker would campaign at.
	NextTerm uint64
	// PreVoteRequest and PreVoteReply: tells one round of asking from another. A
	// PreVoteRequest of nonce 0 asks for no vote: only who knows a newer config answers.
	Nonce uint64

	// PreVoteReply, VoteReply, LeaveReply.
	Granted bool
	Reason  Reason
	// PreVoteReply, VoteReply: how long the voter's promise to another still
	// lasts by its clock; 0 when it has none.
	Remaining time.Duration

	// VoteRequest: set when the goose of term TransferTerm asked for this
	// election by TimeoutNow (rule 16); zero otherwise.
	TransferFrom ID
	TransferTerm uint64

	// Heartbeat: the number of the round, growing within (leader, term).
	// HeartbeatAck: the round that is answered.
	Round uint64
	// Heartbeat: the promise asked; 0 when the leader is not quorate or has
	// given up. HeartbeatAck: the promise granted.
	Promise time.Duration
	// HeartbeatAck: how long it waited at its sender for company, by the sender's clock. The
	// leader's estimate of the round trip leaves it out; the lease does not know it.
	// Announce: the age of the goose's heartbeat: how long it was at each agent that passed it on.
	Held time.Duration
	// HeartbeatAck: the longest pause of its sender's loop since its last ack; 0: none worth telling.
	Pause time.Duration
	// HeartbeatAck: how fit its sender is to lead (rule 28).
	Fitness Fitness
	// Heartbeat: Ranks[i] is the place in the line of succession of voter i of
	// the config that ConfigID names (rule 24).
	Ranks [MaxVoters]uint8
	// Heartbeat and Announce: Ages[i] is how long voter i of the config that ConfigID names has
	// acknowledged no heartbeat of any leader, in units of AgeUnit and at most 255 of them.
	Ages [MaxVoters]uint8

	// Announce: the goose whose heartbeat of round Round asked for Promise, and its term
	// (rule 30). The header's term and config are the sender's own.
	Goose     ID
	GooseTerm uint64

	// Heartbeat: the leader's mark, until the receiver has acknowledged it in this term.
	// HeartbeatAck of such a heartbeat, and a granting VoteReply: the sender's mark, saved (rule 29).
	Mark uint64

	// Heartbeat: the leader's estimate of a round trip to a voter, by which
	// its successors space themselves (rule 24); 0 while unknown.
	RTT time.Duration

	// Heartbeat (until acked), PreVoteReply, VoteReply, Announce and Reject (when the
	// receiver lacks it): the sender's config. N == 0 when not carried.
	Config Config
}
