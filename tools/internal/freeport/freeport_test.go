package freeport

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestAddress: every address is another one, can be listened on, and is none
// that the kernel gives to an outgoing connection.
func TestAddress(t *testing.T) {
	low := 32768
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		if low, err = strconv.Atoi(strings.Fields(string(b))[0]); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	for range 50 {
		address, err := Address()
		if err != nil {
			t.Fatal(err)
		}
		if seen[address] {
			t.Fatalf("%s twice", address)
		}
		seen[address] = true
		_, port, _ := net.SplitHostPort(address)
		if n, err := strconv.Atoi(port); err != nil || n >= low {
			t.Errorf("%s may be given to an outgoing connection, which are from %d on", address, low)
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
}
