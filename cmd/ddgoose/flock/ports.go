package flock

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
)

const (
	// firstPort and lastPort bound the search for ports.
	firstPort, lastPort = 10000, 32767
	// portTries bounds the search, for each port.
	portTries = 50
)

// drawn are the ports that this process's flocks were given lately, the oldest first: a dead
// agent's is free, and that of a new one not yet bound.
var drawn struct {
	sync.Mutex
	ports []int
}

// freePorts finds ports that are free for UDP and TCP on loopback. They are below the
// range that the kernel uses for outgoing connections, because an agent that was killed
// needs its port again.
func freePorts(n int) ([]int, error) {
	var ports []int
	first, last := portRange()
	drawn.Lock()
	defer drawn.Unlock()
	drawn.ports = drawn.ports[max(0, len(drawn.ports)-(last-first)/2):]
	for tries := 0; len(ports) < n; tries++ {
		if tries > portTries*n {
			return nil, errors.New("no free ports on 127.0.0.1 for UDP and TCP both")
		}
		port := first + rand.IntN(last-first+1)
		if slices.Contains(drawn.ports, port) {
			continue
		}
		tcp, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			continue
		}
		defer tcp.Close() // open until all are found, so that none is found twice
		udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			continue
		}
		defer udp.Close()
		ports, drawn.ports = append(ports, port), append(drawn.ports, port)
	}
	return ports, nil
}

// portRange returns a range below the kernel's own, if there is room.
func portRange() (first, last int) {
	first, last = firstPort, lastPort
	var low int
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return first, last
	}
	if _, err := fmt.Sscan(string(b), &low); err == nil && low > first+1000 {
		last = min(last, low-1)
	}
	return first, last
}
