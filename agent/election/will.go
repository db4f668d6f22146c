package election

import (
	"slices"
	"time"
)

// Will returns what a leader leaves to the other voters for the case that its process
// dies: a Resign of its term for each (rule 12). A will may be sent only once the process
// has ended, and all work by deadlines that it handed out as well. The first successor
// comes last: before it asks the others for their votes, they know too.
func (n *Node) Will(now time.Duration) (will []Message) {
	if n.role != Leader {
		return nil
	}
	ranks := n.rank24(now)
	var byRank [MaxVoters]ID
	for i, v := range n.rec.Config.Members() {
		byRank[ranks[i]] = v.ID
	}
	for _, id := range slices.Backward(byRank[:n.rec.Config.N]) {
		if id != n.set.ID {
			m := n.stamped(Message{Kind: Resign})
			m.To = id
			will = append(will, m)
		}
	}
	return will
}
