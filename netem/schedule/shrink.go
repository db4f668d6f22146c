package schedule

import "slices"

// Shrink drops lines of a schedule as long as what is left is still as it was:
// whole stretches first, then line by line. It ends early when there are no more tries.
func Shrink(ops []Op, try func([]Op) (still, more bool)) {
	more := true
	for size := max(1, len(ops)/2); more && size > 0; size /= 2 {
		for at := 0; at < len(ops) && more; {
			var still bool
			fewer := slices.Delete(slices.Clone(ops), at, min(at+size, len(ops)))
			if still, more = try(fewer); still {
				ops = fewer
			} else {
				at += size
			}
		}
	}
}
