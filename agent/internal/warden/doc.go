// Package warden sends the last will of an agent whose process has died: kill -9, a
// panic, out of memory. The machine still lives, so the other voters need not wait for the
// end of a lease.
//
//	agent ── maps ──> memory: messages, holders <── reads ── warden
//	  │                                                      │ ^
//	  └──────────── pidfd: "it is gone" ─────────────────────┘ │ "gone", from a guard
//	                                                        datagram socket
//
// The agent starts the warden: its own program, under another name. It stays small, because
// init of this package turns the process into a warden before the program itself begins. The
// two share memory. While the agent leads, it keeps a will of each lead there: sealed
// datagrams that resign, one for each voter. It also lists the holders that could outlive it.
// A write needs no message and no system call, and the warden sleeps in one poll.
//
// Why a will is safe:
//
//   - The warden reads the memory only after the pidfd has said that the whole process is gone,
//     with all its threads. So it reads the state at the death, and no work in that process
//     acts any longer. An agent that is stopped, traced or hangs is alive.
//   - A deadline is handed to a holder outside the process only after the holder is in the list.
//     The warden sends the will of an election when every holder in the list has said that its
//     work is gone. If one cannot say so, nothing is sent.
//   - A write goes to the copy that is not in force, and one store then puts that copy in
//     force. So an agent that dies during a write leaves its former will, which is still right.
//   - A Resign names a term and the lives of sender and receiver. A voter obeys it only for
//     the term of its promise (rules 11, 12). So an old, late or copied will ends no other
//     promise, and heartbeats that arrive after it ask for nothing.
//
// If the warden is dead or was never started, nothing is sent, and the lease ends as usual.
package warden
