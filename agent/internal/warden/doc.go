// Package warden sends the last will of an agent whose process has died: kill -9, a
// panic, out of memory. The machine still lives, so the other voters need not wait for the
// end of a lease.
//
//	agent ── maps ──> memory: letters, holders <── reads ── warden
//	  │                                                      │ ^
//	  └──────────── pidfd: "it is gone" ─────────────────────┘ │ "gone", from a guard
//	                                                        datagram socket
//
// The agent starts the warden: its own program once more, with another name, small because
// package init of this package never lets it begin. While it leads, the agent keeps in memory
// that both share the sealed datagrams that resign from each lead, one for each voter, and a
// list of the holders that could outlive the agent. A write is a store to memory: no message,
// no system call, and the warden sleeps in one poll.
//
// Why a will is safe:
//
//   - The warden reads the memory only after the pidfd has said that the whole process is gone,
//     with all its threads. So it reads what stood at the death, and nobody acts by a lease in
//     that process any more. An agent that is stopped, traced or hangs is alive.
//   - A deadline is handed to a holder outside the process only after the holder is in the list.
//     The warden sends the will of an election when every holder in the list has said that its
//     work is gone. One that cannot say so means that nothing is sent.
//   - A write goes to the copy that is not in force, and one store puts it in force. So a death
//     in the middle of a write leaves the will before it, which is as true as the lease was.
//   - A Resign names a term and the lives of sender and receiver, and a voter heeds that of the
//     term that its promise is for (rules 11, 12). So an old will, a late one or a copy releases
//     no other promise, and heartbeats that come behind it ask for nothing.
//
// The warden gone, or never started: nothing is sent, and the lease ends as it always does.
package warden
