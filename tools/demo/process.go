package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// child is one process of the demo, in a group of its own so that Ctrl-C
// reaches us alone and we stop it in order.
type child struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// spawn starts a program with its output in dir/name.log.
func (d *demo) spawn(name string, argv ...string) error {
	log := filepath.Join(d.dir, name+".log")
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.Dir = d.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	c := &child{name: name, cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // ProcessState says how it ended
		close(c.done)
	}()
	d.children = append(d.children, c)
	return nil
}

// stop ends what runs, newest first, and waits for it.
func (d *demo) stop() {
	if d.writer != nil {
		d.writer.stop()
	}
	if d.hooks != nil {
		d.hooks.close()
	}
	for i := len(d.children) - 1; i >= 0; i-- {
		c := d.children[i]
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-c.done:
		case <-time.After(10 * time.Second):
			fmt.Fprintf(os.Stderr, "demo: %s did not stop in 10 s, killed\n", c.name)
			_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
			<-c.done
		}
	}
}

// dead names the first child that ended by itself.
func (d *demo) dead() error {
	for _, c := range d.children {
		select {
		case <-c.done:
			return fmt.Errorf("%s ended: %s", c.name, c.cmd.ProcessState)
		default:
		}
	}
	return nil
}

// tails prints the last lines of every log, for a run that failed.
func (d *demo) tails() {
	for _, c := range d.children {
		b, err := os.ReadFile(c.log)
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
		fmt.Fprintf(os.Stderr, "--- last lines of %s\n%s\n", c.name, strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
}

// until calls f every 100 ms until it returns nil; a child's death or the
// context ends it with the last error.
func (d *demo) until(ctx context.Context, what string, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		if dead := d.dead(); dead != nil {
			return fmt.Errorf("%s: %w", what, dead)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, errors.Join(context.Cause(ctx), err))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// answers reports whether an URL answers 200.
func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}
