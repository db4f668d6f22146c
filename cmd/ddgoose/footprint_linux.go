package main

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// dropStartPages unmaps this program's file. Only what runs later is mapped again, at its next
// use and mostly from memory, because the kernel keeps the file's pages for all its processes.
// The others no longer count as this process's memory. An error does no harm.
func dropStartPages() {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer maps.Close()
	for _, m := range pureMappings(maps, program) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED)
	}
}

// mapping is a range of addresses.
type mapping struct{ start, end uintptr }

// pureMappings returns where a program's file is mapped and cannot be written, and no page
// differs from the file. What a debugger or a loader has changed would be lost.
func pureMappings(smaps io.Reader, program string) (pure []mapping) {
	var at mapping // that the next lines are about
	ours := false
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		line := lines.Text()
		if rest, is := strings.CutPrefix(line, "Anonymous:"); is {
			if ours && strings.TrimSpace(rest) == "0 kB" {
				pure = append(pure, at)
			}
			continue
		}
		words := strings.SplitN(line, " ", 3) // the range, what may be done, the rest
		from, to, is := strings.Cut(words[0], "-")
		start, err := strconv.ParseUint(from, 16, 64)
		if !is || err != nil || len(words) < 3 {
			continue
		}
		end, err := strconv.ParseUint(to, 16, 64)
		at = mapping{uintptr(start), uintptr(end)}
		ours = err == nil && (words[1] == "r-xp" || words[1] == "r--p") && strings.HasSuffix(words[2], " "+program)
	}
	return pure
}
