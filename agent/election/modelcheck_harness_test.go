package election

import (
	"fmt"
	"time"
)

// mcNow is the moment at which every step of a model happens, by every clock.
// When time passes, the moments that nodes hold move instead.
const mcNow = time.Hour

// mcFault is a planted fault: a harness that wraps the real Step and breaks
// one rule. None of this can be switched on in what ships.
type mcFault struct {
	name string
	// saved changes what reaches the disk.
	saved func(before, saved Record) Record
	// before may change the node, and gives the input it is to be told.
	before func(n *Node, in Input) Input
	// after may change the node and its effects. It may not touch the record.
	after func(was, n *Node, in Input, fx *Effects)
	// counted changes the record in a step, before it is saved.
	counted func(was, n *Node, in Input, fx *Effects)
	// stale is a kind of message that is heeded when no sound node would, so it is never dead.
	stale Kind
	// lags: what readers are shown is taken back only after the next step.
	lags bool
	// unraised: the disk's PromiseMax is not raised at start.
	unraised bool
	// forges are the kinds of message that somebody with the key may make up, one a run.
	forges []Kind
	// early: a last will is sent while the agent still lives.
	early bool
	// unlisted: a last will waits only for the holders that were attached when it was written.
	unlisted bool
}

// mcHarness drives real nodes, with or without a fault.
type mcHarness struct {
	fault mcFault
}

// do tells the node one thing, saves, and gives what it sends.
func (h *mcHarness) do(a *mcAgent, in Input, sent []Message) []Message {
	var fx Effects
	was := a.node
	if h.fault.before != nil {
		in = h.fault.before(&a.node, in)
	}
	a.node.Step(mcNow, in, &fx)
	if h.fault.counted != nil {
		h.fault.counted(&was, &a.node, in, &fx)
	}
	for i := range fx.Send {
		if m := &fx.Send[i]; m.Term > a.node.rec.Term || m.ConfigID.Compare(a.node.rec.Config.ConfigID) > 0 {
			panic(fmt.Sprintf("a step that took %+v shows a term or config that it does not save: %+v", in, m))
		}
	}
	if fx.Save {
		if h.fault.saved == nil {
			a.disk = fx.Record
		} else {
			a.disk = h.fault.saved(was.rec, fx.Record)
		}
	}
	if h.fault.after != nil {
		h.fault.after(&was, &a.node, in, &fx)
	}
	if h.fault.saved == nil && a.disk != a.node.rec {
		panic(fmt.Sprintf("a step that took %+v changes the record and does not save it: %+v, on disk %+v", in, a.node.rec, a.disk))
	}
	return append(sent, fx.Send...)
}

// boot makes an agent of its disk.
func (h *mcHarness) boot(a *mcAgent, id ID, fresh bool, settings Settings) {
	a.node = New(settings, a.disk, mcNow, fresh)
	for i := range mcAgents {
		var fx Effects
		a.node.Step(mcNow, Observe{ID: mcID(i)}, &fx)
	}
}

// mcInform gives the message by which an agent tells another what it knows:
// its Reject to a heartbeat of a term long past (rule 9).
func mcInform(a *mcAgent, to ID) (Message, bool) {
	if to == a.node.set.ID || a.node.rec.Term == 0 && a.node.rec.Config.N == 0 {
		return Message{}, false
	}
	n := a.node
	if n.rec.Term == 0 {
		return Message{}, false
	}
	var fx Effects
	n.Step(mcNow, &Message{Kind: PreVoteRequest, Header: Header{FlockID: n.rec.FlockID, Generation: n.rec.Generation, From: to}}, &fx)
	for _, m := range fx.Send {
		if m.Kind == Reject {
			return m, true
		}
	}
	panic("a request of term 0 is met by silence (rule 9)")
}
