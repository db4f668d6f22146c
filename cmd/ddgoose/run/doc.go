// Package run runs a command for as long as the agent on this machine is the
// goose, and sees to it that the command and all its descendants are gone
// before another agent can be.
//
//	agent <── session ── guard ── CMD ── its descendants
//	                      │ ^
//	             deadline │ │ echo
//	                      v │
//	                      run
//
// The guard, a process of its own, holds the session: the agent is bound by the
// deadlines that it handed out until the guard says that all work has ended. A
// deadline counts for the guard once run has echoed it, so silence of the
// agent, of run or of the socket all look alike: a lease that is not renewed.
//
//	40 % of the lease left: SIGTERM    20 % left: SIGKILL    10 % left: run kills the guard
//
// All come sooner when there are many processes, each of which takes a moment to be
// gone, when the machine wakes processes late, and when killed ones took long before.
// Where that needs more than half of the lease, the work is given up.
//
// Where run may make a cgroup (version 2) below its own, CMD and guard live in
// it: one write kills all at once, however many, whoever's they are, and the
// kernel says when nothing is left.
//
// Everywhere both processes are child subreapers (prctl(2)): what loses its
// parent below the guard becomes the guard's child, and run's when the guard is
// gone, setsid and double forks or not. So each can kill what is left when the
// other one is dead or stopped, and "no child is left" (ECHILD) proves that no
// descendant is. That needs no privileges, but it takes a walk over all
// descendants, and CMD of a plain user may not become another user (sudo).
// While the guard is dead and run kills, the agent stays bound: the session
// names run as its heir.
//
// While all must end, run and guard ignore SIGCHLD. Then the kernel drops each dead process in
// that one's own time and at its priority, not in theirs.
//
// Run and guard take the highest priority (nice -20) and lock their memory where
// they may, so that load delays the kill less. CMD runs as if they had none. Both
// are sessions of their own, among which Linux may share processors out first.
//
// In place of CMD the guard may hold virtual addresses. Those the kernel removes by
// itself when no lease is renewed any more, so run and guard may both be dead.
//
// While run and guard are both stopped or killed, the agent kills what is in the
// cgroup of the work, if it may: before it hands over, or at the deadline. Without a
// cgroup nobody can; fencing tokens are for that. Nor is what another program starts
// on CMD's behalf (a container engine, systemd-run, at) a descendant: a managed
// container or unit is ended by who runs it, and by its cgroup.
package run
