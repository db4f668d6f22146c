// Package check checks the promises of a flock against observed events. It reads
// no clock, asks no agent, and imports no package that it checks. So the simulator and a soak of real processes share it.
//
//	P1  never two geese in one term
//	P2  never two geese at one moment
//	P3  tokens of one flock only grow, over periods, crashes and recoveries
//	P4  a goose within the bound, whenever the driver says that one is due
//	P6  nothing that was shown is forgotten: terms, votes, configs,
//	    and what a majority has agreed on beside the voters
//
// A holder with a deadline counts as a goose until the deadline passes or the
// holder is [Drained], across crashes and step-downs. What readers see counts
// from [Published] until it runs out or is [Retracted]; where only single answers
// are seen, for the moment of each [Answered].
//
//	c := check.New()
//	for each event, in order of time {
//		if v := c.See(event); v != nil { report(v) }
//	}
//	c.End(now)            // P4 up to the end
//	c.Gaps(), c.Periods() // how long there was no goose, and how often it changed
//
// All times are true time: an observer that reads many clocks converts first.
package check
