// Package freeport knows which loopback addresses a child process can be given
// to listen on, such that nothing takes them before it does.
package freeport

import (
	"errors"
	"net"
	"os"
	"strconv"
	"sync/atomic"
)

// The ports that are handed out lie below the range from which Linux serves
// outgoing connections and listeners on port 0 (net.ipv4.ip_local_port_range,
// 32768 and up): a port found by listening on 0 and closing again was taken by
// somebody's connection before the child listened, on a busy machine.
const first, count = 20000, 12000

var next atomic.Uint32

// Address is a loopback address on which nobody listens, given to nobody else
// by this process.
func Address() (string, error) {
	for range count {
		port := first + int(next.Add(1)+uint32(os.Getpid())*101)%count
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		return address, l.Close()
	}
	return "", errors.New("no free loopback port from 20000 to 31999")
}
