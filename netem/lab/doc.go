// Package lab compares the emulator of package netem with a real network. It
// has tests only, for Linux with root:
//
//	     ┌─────────── router: forwards, and drops by nftables ───────────┐
//	  10.77.1.1            10.77.2.1            10.77.3.1               ...
//	     │ veth                │                    │
//	  10.77.1.2            10.77.2.2            10.77.3.2
//	agent a, a process    agent b              agent c
//	and a namespace
//
// Each agent is a process in a network namespace of its own. What the kernel
// cuts and loses at the router, and what the emulator cuts and loses inside the
// agents, must have the same outcome: who is the goose, and that the flock heals.
//
// Other programs run there as they do on real hosts: a cron and an nginx beside
// each agent, each with the same settings.
//
// The namespaces have no names, so they end with the test, however it ends.
// Without root or nftables the tests skip. Those that take longer run when
// DDGOOSE_TEST_EXTRA is set.
package lab
