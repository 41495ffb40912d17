package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/dag-exporter/dag_exporter/internal/lab"
)

func scheduleCommand(app *kingpin.Application, verbs map[string]func(io.Writer, io.Writer) error) {
	c := app.Command("schedule", "Print a random schedule for serve --schedule: bounded faults, each ended again. The same flags give the same schedule. Kinds: "+
		strings.Join(lab.RandomKinds(), ", ")+".")
	seed := c.Flag("seed", "Seed of the schedule.").Default("1").Uint64()
	n := c.Flag("faults", "How many.").Default("10").Int()
	span := c.Flag("span", "They begin within this time.").Default("1m").Duration()
	longest := c.Flag("longest", "None lasts longer.").Default("5s").Duration()
	kinds := c.Flag("kind", "Only this kind; repeatable. Default: all but local-failover.").Enums(lab.RandomKinds()...)
	databases := c.Flag("database", "A database to work on; repeatable. Default db001.").Strings()
	source := c.Flag("instances.source", "Instances of the source.").Default("1").Int()
	target := c.Flag("instances.target", "Instances of the target.").Default("1").Int()
	verbs[c.FullCommand()] = func(stdout, _ io.Writer) error {
		if *n < 0 || *span < time.Millisecond || *longest < 100*time.Millisecond {
			return fmt.Errorf("%w: --faults, --span and --longest must be positive, --longest at least 100ms", errUsage)
		}
		s := lab.RandomSchedule(*seed, *n, lab.RandomOptions{Span: *span, Longest: *longest, Kinds: *kinds, Databases: *databases, Instances: [2]int{*source, *target}})
		_, err := s.WriteTo(stdout)
		return err
	}
}

// readSchedule reads the file of --schedule; "" is none.
func readSchedule(name string) (*lab.Schedule, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w: --schedule: %w", errUsage, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	s, err := lab.ReadSchedule(f)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errUsage, name, err)
	}
	return &s, nil
}
