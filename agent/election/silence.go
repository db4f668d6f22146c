package election

import "time"

// AgeUnit is what a heartbeat counts the silence of voters in: one byte of it
// goes beyond the 30 s after which a voter may be replaced.
const AgeUnit = 250 * time.Millisecond

// Silent gives for each voter of the config how long it has acknowledged no
// heartbeat of any leader. A leader goes on counting where the one before it
// stopped, or a voter that died would never be missed by leaders that change often.
// Of what it does not know it counts from its own election, and it leaves out the
// time for which it heard no leader: others may have heard that voter meanwhile.
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

// resumeAges leaves the time since agesAt out of all silence, as this node begins to lead.
func (n *Node) resumeAges(now time.Duration) {
	for i := range n.peers[:n.npeers] {
		if p := &n.peers[i]; p.anyAckAt != 0 {
			p.anyAckAt = min(p.anyAckAt+now-n.agesAt, now)
		}
	}
	n.agesAt = now
}

// ages tells the others of Silent.
func (n *Node) ages(now time.Duration) (ages [MaxVoters]uint8) {
	n.agesAt = now
	for i, d := range n.Silent(now) {
		ages[i] = uint8(min(d/AgeUnit, 255))
	}
	return ages
}

// takeAges learns from a leader which voters it hears, for the case that this
// node leads next.
func (n *Node) takeAges(now time.Duration, m *Message) {
	n.agesAt = now
	for i, v := range n.rec.Config.Members() {
		if p := n.peerOf(v.ID); p != nil {
			p.anyAckAt = max(p.anyAckAt, now-time.Duration(m.Ages[i])*AgeUnit)
		}
	}
}
