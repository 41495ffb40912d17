package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// The lab runs in a process of its own, so that its work is in no figure.

// labRole is the first argument of the process that plays the servers.
const labRole = "-serve-lab"

// serveLab starts count pairs of so many databases each, writes their DSNs to
// standard output and serves until standard input ends.
func serveLab(args []string) error {
	if len(args) != 2 {
		return errors.New("want the number of pairs and of databases")
	}
	count, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	databases, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	var all [][2]string
	for i := range count {
		l, err := lab.New(lab.Options{Model: model.Config{Seed: uint64(i + 1), Databases: model.Names(databases), Timing: model.Timing{Background: -1}}})
		if err != nil {
			return err
		}
		if err := l.Start(context.Background()); err != nil {
			return err
		}
		defer l.Close()
		all = append(all, [2]string{plain(l.Address(lab.Source)), plain(l.Address(lab.Target))})
	}
	if err := json.NewEncoder(os.Stdout).Encode(all); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// plain is a DSN without TLS, which would cost everybody the same and only
// bring every ratio nearer to 1.
func plain(address string) string {
	u := url.URL{Scheme: "sqlserver", User: url.UserPassword(lab.SA, lab.SAPassword), Host: address, RawQuery: "encrypt=disable&database=master"}
	return u.String()
}

// startLab starts such a process. stop ends it.
func startLab(count, databases int) (dsns [][2]string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(self, labRole, strconv.Itoa(count), strconv.Itoa(databases))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop = func() {
		_ = in.Close()
		_ = cmd.Wait() // it has nothing to say any more
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		err = json.Unmarshal([]byte(line), &dsns)
	}
	if err != nil {
		stop()
		return nil, nil, fmt.Errorf("the lab's process: %w", err)
	}
	return dsns, stop, nil
}

// child is a program that is measured from outside.
type child struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

func startChild(log io.Writer, name string, args ...string) (*child, error) {
	c := &child{cmd: exec.Command(name, args...), ended: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = log, log
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = c.cmd.Wait() // how it ended is of no interest: it is told to end
		close(c.ended)
	}()
	return c, nil
}

func (c *child) stop() {
	_ = c.cmd.Process.Signal(os.Interrupt)
	select {
	case <-c.ended:
	case <-time.After(10 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.ended
	}
}

// cpu is what the process has used of all processors so far.
func (c *child) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(b), ") ") // the name may hold blanks
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat has another form here")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2) // clock ticks of Linux
}

// memory is the resident set, now and at its highest.
func (c *child) memory() (now, peak float64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(b)) {
		var kb float64
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kb); err == nil {
			peak = kb / 1024
		}
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kb); err == nil {
			now = kb / 1024
		}
	}
	return now, peak, nil
}
