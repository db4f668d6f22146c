// Package memory is a network inside one process, for tests in virtual time.
//
// An [Endpoint] behaves like a UDP and a TCP socket on one port, and has the
// methods of the agent's transport. Inside a testing/synctest bubble minutes of
// network pass in milliseconds: whatever waits here waits on channels and
// timers of the bubble, and no lock is held meanwhile. Make the [Network]
// inside the bubble, and close its endpoints before the bubble ends.
//
//	n := memory.New()
//	a, err := n.Listen(netip.MustParseAddrPort("10.0.0.1:3825"))
//	a.Receive(func(b []byte, from netip.AddrPort) { ... }, func(c net.Conn) { ... })
//	err = a.WriteTo([]byte("quack"), addressOfB)
//	n.Partition([]netip.AddrPort{addressOfA}, []netip.AddrPort{addressOfB})
//	n.Heal()
//	a.Close()
//
// It has no routes, wildcard addresses, host names or half-closed streams. Package
// netem/transport adds loss, delay and the like.
package memory
