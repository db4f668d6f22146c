package election

import "time"

// AgeUnit is the unit of silence in heartbeats: one byte exceeds the 30 s after
// which a voter may be replaced.
const AgeUnit = 250 * time.Millisecond

// Silent returns for each voter how long it has acknowledged no heartbeat of any leader.
// A new leader continues the count of the one before, so a dead voter is noticed however
// often leaders change. What it does not know counts from its own election; time without
// a leader does not count.
func (n *Node) Silent(now time.Duration) (silent [MaxVoters]time.Duration) {
	for i, v := range n.rec.Config.Members() {
		p := n.peerOf(v.ID)
		switch {
		case p == nil:
		case p.anyAckAt != 0:
			silent[i] = now - p.anyAckAt
		case n.role == Leader:
			silent[i] = now - n.wonAt
		}
	}
	return silent
}

// HeardOfVoters reports whether the leader has said within a lease which voters it
// hears: only then is a follower's Silent valid.
func (n *Node) HeardOfVoters(now time.Duration) bool {
	return n.agesAt != 0 && now-n.agesAt < n.longest()
}

// resumeAges excludes the time since agesAt from all silence, when this node begins to
// lead.
func (n *Node) resumeAges(now time.Duration) {
	for i := range n.peers[:n.npeers] {
		if p := &n.peers[i]; p.anyAckAt != 0 {
			p.anyAckAt = min(p.anyAckAt+now-n.agesAt, now)
		}
	}
	n.agesAt = now
}

// ages puts Silent into heartbeats.
func (n *Node) ages(now time.Duration) (ages [MaxVoters]uint8) {
	if n.set.NoAges {
		return ages
	}
	n.agesAt = now
	for i, d := range n.Silent(now) {
		ages[i] = uint8(min(d/AgeUnit, 255))
	}
	return ages
}

// takeAges learns which voters the leader hears, in case this node leads next.
func (n *Node) takeAges(now time.Duration, m *Message) {
	if n.set.NoAges {
		return
	}
	n.agesAt = now
	for i, v := range n.rec.Config.Members() {
		if p := n.peerOf(v.ID); p != nil {
			p.anyAckAt = max(p.anyAckAt, now-time.Duration(m.Ages[i])*AgeUnit)
		}
	}
}
