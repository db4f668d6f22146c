package agent

// manyConns and manyPeers are the most connections and agents that leave an agent calm:
// it never has much to do at once. A busy one is calm again at half of them.
const (
	manyConns = 16
	manyPeers = 32
)

// tellBusy tells the program when this agent begins to serve many, and when that is over.
func (l *life) tellBusy() {
	if l.cfg.Busy == nil {
		return
	}
	if calm := isCalm(l.calm, l.servers.open(), len(l.peers())); calm != l.calm {
		l.calm = calm
		l.cfg.Busy(!calm)
	}
}

func isCalm(was bool, conns, peers int) bool {
	if !was {
		conns, peers = 2*conns, 2*peers
	}
	return conns <= manyConns && peers <= manyPeers
}
