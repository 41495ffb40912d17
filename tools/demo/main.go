// Command demo runs the product's main job on one machine, with nothing faked
// but the two SQL Servers: it starts dag_lab, dag_exporter, Prometheus,
// Alertmanager and cutover_webhook on free loopback ports, writes into
// dbo.ledger through an ordinary client, lets the alert fire, and watches the
// cutover. It exits 0 only if the target is PRIMARY and not one acknowledged
// row is missing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	// Children die with the thread that started them (Pdeathsig), so that
	// thread must live as long as we do.
	runtime.LockOSThread()
	os.Exit(run())
}

type options struct {
	bin       string
	databases int
	rate      float64
	hold      bool
	timeout   time.Duration
	keep      bool
}

func run() int {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "folder with dag_lab, dag_exporter and cutover_webhook")
	flag.IntVar(&o.databases, "databases", 3, "databases in the availability group")
	flag.Float64Var(&o.rate, "rate", 20, "inserts per second and database")
	flag.BoolVar(&o.hold, "hold", false, "leave everything running after the cutover, until Ctrl-C")
	flag.DurationVar(&o.timeout, "timeout", 5*time.Minute, "give up after this long")
	flag.BoolVar(&o.keep, "keep", false, "keep the folder with configs and logs")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	dir, err := os.MkdirTemp("", "dag-demo-")
	if err != nil {
		return fail(err)
	}
	d := &demo{options: o, dir: dir, start: time.Now()}
	code := 0
	if err := d.main(ctx); err != nil {
		code = fail(err)
		if errors.Is(ctx.Err(), context.Canceled) {
			fmt.Fprintln(os.Stderr, "demo: interrupted")
		} else {
			d.tails()
		}
	}
	d.stop()
	if o.keep {
		fmt.Println("configs and logs are in", dir)
	} else if err := os.RemoveAll(dir); err != nil {
		code = fail(err)
	}
	return code
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "demo:", err)
	return 1
}

// demo is one run of everything.
type demo struct {
	options
	dir   string
	start time.Time

	children []*child
	lab      labAddresses
	ports    ports
	writer   *writer
	hooks    *hookServer
}

func (d *demo) main(ctx context.Context) error {
	if err := d.up(ctx); err != nil {
		return err
	}
	d.say("writing", "%d clients insert %g rows a second each into dbo.ledger on the source", d.databases, d.rate)
	d.writer.start(ctx)

	plan, err := d.armAndApprove(ctx)
	if err != nil {
		return err
	}
	d.say("armed", "by ops, approved by lead: plan %s…", plan[:min(12, len(plan))])

	watch, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	end, err := d.watch(watch)
	if err != nil {
		return err
	}
	if err := d.writer.waitForTarget(watch); err != nil {
		return err
	}
	time.Sleep(2 * time.Second) // let the clients write on at the target for a moment
	d.writer.stop()
	if err := d.report(ctx, end); err != nil {
		return err
	}
	if d.hold {
		d.addresses()
		<-ctx.Done()
	}
	return nil
}

// say prints one line of the timeline.
func (d *demo) say(what, format string, args ...any) {
	fmt.Printf("%7.1fs  %-17s %s\n", time.Since(d.start).Seconds(), what, fmt.Sprintf(format, args...))
}

func (d *demo) addresses() {
	fmt.Println(strings.Join([]string{
		"",
		"Left running. Ctrl-C stops everything.",
		"  exporter      http://" + d.ports.exporter + "/",
		"  Prometheus    http://" + d.ports.prometheus + "/alerts",
		"  Alertmanager  http://" + d.ports.alertmanager + "/",
		"  console       http://" + d.ports.webhook + "/      user ops, password " + d.ports.password("ops"),
		"  source        " + d.lab.Source + "   login sa / Lab-Passw0rd",
		"  target        " + d.lab.Target,
		"  lab control   " + d.lab.Control + "/api/v1/state",
		"  configs, logs " + d.dir,
	}, "\n"))
}
