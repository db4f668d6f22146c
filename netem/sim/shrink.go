package sim

import (
	"slices"

	"duckduckgoose/netem/schedule"
)

// Shrink drops what it can from the schedule of a run that went wrong, as long
// as it goes wrong in the same class. It gives the settings that are left and
// their result, after at most tries runs.
func Shrink(r Result, tries int) Result { return shrink(r, bugs{}, tries) }

func shrink(r Result, b bugs, tries int) Result {
	class, ops := r.Class(), r.Settings.Ops
	try := func(ops []schedule.Op) (still, more bool) {
		set := r.Settings
		set.Ops = ops
		tries--
		smaller := run(set, b, nil)
		if still = smaller.Class() == class; still {
			r = smaller
		}
		return still, tries > 0
	}
	// What was to come after the end changes nothing.
	if last := slices.IndexFunc(ops, func(o schedule.Op) bool { return o.At > r.Ended }); last >= 0 && class == Safety {
		if still, _ := try(ops[:last]); still {
			ops = ops[:last]
		}
	}
	schedule.Shrink(ops, try)
	return r
}
