package sim

import (
	"slices"

	"duckduckgoose/netem/schedule"
)

// Shrink drops what it can from the schedule of a run that went wrong, as long
// as it goes wrong in the same class: whole stretches first, then fault by
// fault. It gives the settings that are left and their result, after at most
// tries runs.
func Shrink(r Result, tries int) Result { return shrink(r, bugs{}, tries) }

func shrink(r Result, b bugs, tries int) Result {
	class := r.Class()
	try := func(ops []schedule.Op) bool {
		set := r.Settings
		set.Ops = ops
		tries--
		smaller := run(set, b, nil)
		if smaller.Class() != class {
			return false
		}
		r = smaller
		return true
	}
	// What was to come after the end changes nothing.
	if last := slices.IndexFunc(r.Settings.Ops, func(o schedule.Op) bool { return o.At > r.Ended }); last >= 0 && class == Safety {
		try(slices.Clone(r.Settings.Ops[:last]))
	}
	for size := max(1, len(r.Settings.Ops)/2); tries > 0; size /= 2 {
		for at := 0; at < len(r.Settings.Ops) && tries > 0; {
			end := min(at+size, len(r.Settings.Ops))
			if !try(slices.Delete(slices.Clone(r.Settings.Ops), at, end)) {
				at = end
			}
		}
		if size == 1 {
			break
		}
	}
	return r
}
