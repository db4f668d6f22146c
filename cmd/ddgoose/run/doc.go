// Package run runs a command while the agent on this machine is the goose. It makes sure that
// the command and all its descendants are gone before another agent can be the goose.
//
//	agent <── session ── guard ── CMD ── its descendants
//	                      │ ^
//	             deadline │ │ echo
//	                      v │
//	                      run
//
// The guard, a process of its own, holds the session: the agent keeps each deadline that it
// handed out until the guard says that all work has ended. The guard uses a deadline only
// after run has echoed it. So if the agent, run or the socket is silent, the guard always
// sees the same: a lease that is not renewed.
//
//	40 % of the lease left: SIGTERM    20 % left: SIGKILL    10 % left: run kills the guard
//
// All three come earlier if there are many processes, if the machine wakes processes late, or
// if earlier kills took long. If that needs more than half of the lease, run gives the
// work up.
//
// If run may make a cgroup (version 2) below its own, guard and CMD live in it: one write kills
// all processes of all users at once, and the kernel says when none is left.
//
// In any case both processes are child subreapers (prctl(2)): a process that loses its parent
// becomes the guard's child, or run's if the guard is gone, even after setsid and double
// forks. So each of the two can kill what is left if the other is dead or stopped, and "no
// child is left" (ECHILD) proves that no descendant is left. That needs no privileges, but a
// walk over all descendants, and the CMD of a plain user may not become another user (sudo).
// While the guard is dead and run kills, the agent still keeps the deadline: the session
// says that a process outlives the guard.
//
// When everything must end, run and guard ignore SIGCHLD. Then each dead process frees itself at
// its own priority, and run and guard need no time for it.
//
// Run and guard take the highest priority (nice -20) and lock their memory if they may, so that
// load delays a kill less. CMD keeps the usual priority. Each of the two has a session of its
// own, because Linux may share the processors among sessions first.
//
// Instead of running CMD the guard may hold virtual addresses. The kernel removes them by itself
// when the lease is no longer renewed, even if run and guard are both dead.
//
// If run and guard are both stopped or killed, the agent kills the cgroup of the work, if it may:
// before it hands over, or at the deadline. Without a cgroup nothing can kill the work; fencing
// tokens protect against it. A process that another program starts for CMD (a container engine,
// systemd-run, at) is not a descendant. A container or unit is ended by its manager and its
// cgroup.
package run
