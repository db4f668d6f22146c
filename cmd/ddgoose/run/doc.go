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
// Both come sooner when there are many processes: each takes a moment to be gone.
//
// Both processes are child subreapers (prctl(2)): whoever loses its parent below
// the guard becomes the guard's child, and run's when the guard is gone, setsid
// and double forks or not. So each can kill whatever is left when the other one
// is dead or stopped, and "no child is left" (ECHILD) proves that no descendant
// is. That needs no privileges, unlike a cgroup of our own. While the guard is
// dead and run kills, the agent stays bound: the session names run as its heir.
//
// What no process can do: kill anything while run and guard are both stopped or
// killed; fencing tokens are for that. Nor is what another program starts
// on CMD's behalf (a container engine, systemd-run, at) a descendant.
package run
