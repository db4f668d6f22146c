package agent

import (
	"fmt"
	"time"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
)

// flush carries out what the steps of a turn ask for. With [contest.step] it is
// the only place that knows the order, and the order is the safety of the flock:
//
//	0  publish whatever takes goose-ship away or shortens it: at the step itself
//	1  make the records durable; if that fails, be no goose, send nothing, stop
//	2  send
//	3  publish whatever grants or lengthens, and settle the disk's second slot
//
// All elections share one save and one datagram to each other agent.
func (l *life) flush() error {
	if l.broken != nil {
		l.silenceAll(stopLost)
		return l.broken
	}
	saved, err := l.saveRecords()
	if err != nil {
		return err
	}
	l.post()
	now := l.now()
	for _, c := range l.touched {
		c.grant(c.node.Lease())
		c.publish(now)
		l.restAt = c.restUntil(now, l.restAt)
		c.touched = false
	}
	l.touched = l.touched[:0]
	if saved {
		if err := l.disk.Settle(); err != nil {
			return l.failedDisk(err)
		}
	}
	return nil
}

// saveRecords makes the records durable that have changed (order 1).
func (l *life) saveRecords() (saved bool, err error) {
	for _, c := range l.touched {
		saved = saved || c.dirty
		c.dirty = false
	}
	if !saved {
		return false, nil
	}
	st := l.disk.State()
	st.Elections = l.rows()
	return true, l.saveState(st)
}

// saveState makes any change of the state durable; an agent whose disk fails
// may not answer anybody any more (fsync cannot be asked twice).
func (l *life) saveState(st store.State) error {
	start := time.Now()
	if err := l.disk.Save(st); err != nil {
		return l.failedDisk(err)
	}
	l.meters.saves.Observe(time.Since(start).Seconds())
	return nil
}

func (l *life) failedDisk(err error) error {
	l.silenceAll(stopLost)
	return fmt.Errorf("save to %s: %w: this agent can no longer vote or lead, and stops", l.cfg.DataDir, err)
}

// setRecord puts the default election's record into a state.
func setRecord(st *store.State, rec election.Record) {
	for i := range st.Elections {
		if st.Elections[i].Number == 0 {
			st.Elections[i].Record = rec
			return
		}
	}
	st.Elections = append(st.Elections, store.Election{Record: rec})
}

// recordOf gives the default election's record of a state.
func recordOf(st store.State) (election.Record, bool) {
	for _, e := range st.Elections {
		if e.Number == 0 {
			return e.Record, true
		}
	}
	return election.Record{}, false
}
