package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os/signal"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // --zone.source must resolve on Windows and in an empty container

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/promslog/flag"

	"github.com/dag-exporter/dag_exporter/internal/lab"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// serveFlags are the flags of `dag_lab serve`.
type serveFlags struct {
	listen         [2]string
	control        string
	databases      int
	names          string
	version        int
	versions       [2]int
	instances      [2]int
	seed           uint64
	dag            string
	ags            [2]string
	servers        [2]string
	blocks         [2]int
	second         [2]string
	contained      [2]bool
	managed        [2]bool
	collation      [2]string
	zones          [2]string
	localCommit    string
	dagCommit      string
	startVLF       uint32
	background     time.Duration
	latency        time.Duration
	bandwidth      int64
	failover       time.Duration
	demote         time.Duration
	relink         time.Duration
	cluster        string
	linux          bool
	logins         []string
	certOut        string
	ready          string
	forceEncrypt   bool
	schedule       string
	scheduleEnd    bool
	like           string
	likeOut        string
	promslogConfig promslog.Config
}

func serveCommand(app *kingpin.Application, verbs map[string]func(io.Writer, io.Writer) error) {
	f := &serveFlags{}
	c := app.Command("serve", "Serve until SIGTERM or SIGINT.")
	for i, side := range []string{"source", "target"} {
		c.Flag("listen."+side, "Address of the "+side+"'s first instance; port 0 is any free one.").Default("127.0.0.1:1433" + fmt.Sprint(i+1)).StringVar(&f.listen[i])
		c.Flag("version."+side, "Major version of the "+side+"; default --sql-version.").IntVar(&f.versions[i])
		c.Flag("instances."+side, "Instances of the "+side+", 1 to 3.").Default("1").IntVar(&f.instances[i])
		c.Flag("ag."+side, "Name of the "+side+"'s availability group.").Default([]string{"OnPremAG", "AzureAG"}[i]).StringVar(&f.ags[i])
		c.Flag("server."+side, "@@SERVERNAME of the "+side+"'s first instance.").Default([]string{"N1", "N2"}[i]).StringVar(&f.servers[i])
		c.Flag("log.block-bytes."+side, "Log block size when the "+side+" writes: 512 or 4096.").Default("512").IntVar(&f.blocks[i])
		c.Flag("second-dag."+side, "Name of a further distributed availability group in which the "+side+"'s group is primary.").StringVar(&f.second[i])
		c.Flag("contained."+side, "The "+side+"'s availability group is contained.").BoolVar(&f.contained[i])
		c.Flag("collation."+side, "Collation of the "+side+": Latin1_General…, SQL_Latin1_General_CP1… or a binary one, of code page 1252; with CS or BIN in its name, names and texts compare with case.").Default("SQL_Latin1_General_CP1_CI_AS").StringVar(&f.collation[i])
		c.Flag("zone."+side, "Time zone of the "+side+"'s wall clock, such as Europe/Berlin: that of the views' datetimes and GETDATE.").Default("UTC").StringVar(&f.zones[i])
		c.Flag("managed-instance."+side, "The "+side+" says that it is a Managed Instance (EngineEdition 8).").BoolVar(&f.managed[i])
	}
	c.Flag("listen.control", "Address of the control API, loopback only.").Default("127.0.0.1:14330").StringVar(&f.control)
	c.Flag("databases", "Number of user databases db001, db002, …").Default("3").IntVar(&f.databases)
	c.Flag("database-names", "Comma-separated names instead.").StringVar(&f.names)
	c.Flag("sql-version", "Also --version. Major version of both sides, 13 to 17 (2016 to 2025).").Default("16").IntVar(&f.version)
	c.Flag("seed", "Seed of everything random; the same seed gives the same run.").Default("1").Uint64Var(&f.seed)
	c.Flag("dag", "Name of the distributed availability group.").Default("DAG").StringVar(&f.dag)
	c.Flag("local-commit", "Commit mode inside each side: sync, or async (then last_hardened_lsn is NULL on the primaries).").Default("sync").EnumVar(&f.localCommit, "sync", "async")
	c.Flag("dag-commit", "Commit mode between the sides at the start.").Default("async").EnumVar(&f.dagCommit, "sync", "async")
	c.Flag("log.start-vlf", "VLF number at the start; above 9223 LSNs do not fit 64 bits.").Default("42").Uint32Var(&f.startVLF)
	c.Flag("background", "Mean time between a database's background log writes; 0 is none.").Default("20s").DurationVar(&f.background)
	c.Flag("link.latency", "One-way latency between the sides.").Default("2ms").DurationVar(&f.latency)
	c.Flag("link.bandwidth", "Bytes per second between the sides; 0 is unlimited.").Default("125000000").Int64Var(&f.bandwidth)
	c.Flag("delay.demote", "SET (ROLE = SECONDARY): accepted to effect.").Default("150ms").DurationVar(&f.demote)
	c.Flag("delay.failover", "FORCE_FAILOVER_ALLOW_DATA_LOSS: accepted to effect.").Default("200ms").DurationVar(&f.failover)
	c.Flag("delay.relink", "After a failover: NOT SYNCHRONIZING with LSN 0 for this long.").Default("1s").DurationVar(&f.relink)
	c.Flag("cluster-type", "wsfc, external or none.").Default("wsfc").EnumVar(&f.cluster, "wsfc", "external", "none")
	c.Flag("linux", "Instances say that they run on Linux.").BoolVar(&f.linux)
	c.Flag("login", `A further login as JSON: {"name":"mon","password":"…","permissions":["VIEW SERVER STATE"]}; repeatable.`).StringsVar(&f.logins)
	c.Flag("tls.cert-out", "Write the certificate that clients must trust to this file.").StringVar(&f.certOut)
	c.Flag("ready-file", "Write addresses and DSNs to this file, as JSON, when everything listens.").StringVar(&f.ready)
	c.Flag("force-encryption", "Refuse clients that do not encrypt.").BoolVar(&f.forceEncrypt)
	c.Flag("schedule", "Run this schedule: YAML with seed and steps, or JSON lines, a step each; see docs/lab.md, and dag_lab schedule. A step that fails ends the lab with exit code 1, and says seed and commit.").StringVar(&f.schedule)
	c.Flag("schedule.end", "End when the last timed step of the schedule has run.").BoolVar(&f.scheduleEnd)
	c.Flag("like", "Play every DAG of this dag_exporter or cutover_webhook configuration: its names, databases and number of instances. No server of it is asked, no password of it is read. Prints the same configuration with the lab's DSNs.").StringVar(&f.like)
	c.Flag("like.out", "Write that configuration to this file instead of standard output.").StringVar(&f.likeOut)
	addLogFlags(c, &f.promslogConfig)
	verbs[c.FullCommand()] = func(stdout, stderr io.Writer) error { return serve(f, stdout, stderr) }
}

// addLogFlags gives a command the usual --log.level and --log.format.
func addLogFlags(c *kingpin.CmdClause, cfg *promslog.Config) {
	cfg.Level, cfg.Format = promslog.NewLevel(), promslog.NewFormat()
	c.Flag(flag.LevelFlagName, flag.LevelFlagHelp).Default("info").HintOptions(promslog.LevelFlagOptions...).SetValue(cfg.Level)
	c.Flag(flag.FormatFlagName, flag.FormatFlagHelp).Default("logfmt").HintOptions(promslog.FormatFlagOptions...).SetValue(cfg.Format)
}

// options turns the flags into a lab's.
func (f *serveFlags) options(log *slog.Logger) (lab.Options, error) {
	o := lab.Options{Listen: f.listen, ForceEncryption: f.forceEncrypt, Logger: log}
	o.Model = model.Config{Seed: f.seed, DAG: f.dag, Log: model.LogConfig{StartVLF: f.startVLF}, Link: model.LinkConfig{Latency: f.latency, Bandwidth: f.bandwidth}}
	if f.databases < 1 || f.databases > 2000 {
		return o, fmt.Errorf("%w: --databases must be between 1 and 2000", errUsage)
	}
	o.Model.Databases = model.Names(f.databases)
	if f.names != "" {
		o.Model.Databases = strings.Split(f.names, ",")
	}
	if f.dagCommit == "sync" {
		o.Model.DAGMode = model.Sync
	}
	never := func(d time.Duration) time.Duration {
		if d <= 0 {
			return -1
		}
		return d
	}
	o.Model.Timing = model.Timing{Background: never(f.background), Demote: never(f.demote), Failover: never(f.failover), Relink: never(f.relink)}
	for i := range o.Model.Sides {
		s := &o.Model.Sides[i]
		s.AG, s.BlockBytes, s.LocalAsync = f.ags[i], f.blocks[i], f.localCommit == "async"
		s.Second, s.Contained, s.Collation = f.second[i], f.contained[i], f.collation[i]
		s.ClusterType = map[string]model.ClusterType{"wsfc": model.WSFC, "external": model.External, "none": model.None}[f.cluster]
		if f.instances[i] < 1 || f.instances[i] > 3 {
			return o, fmt.Errorf("%w: instances must be between 1 and 3", errUsage)
		}
		zone, err := time.LoadLocation(f.zones[i])
		if err != nil || f.zones[i] == "Local" {
			return o, fmt.Errorf("%w: --zone.%s: %q is not the name of a time zone, such as Europe/Berlin", errUsage, model.Side(i), f.zones[i])
		}
		s.Instances = make([]model.InstanceConfig, f.instances[i])
		for n := range s.Instances {
			in := &s.Instances[n]
			in.Major, in.Linux, in.Managed, in.Zone = f.version, f.linux, f.managed[i], zone
			if f.versions[i] != 0 {
				in.Major = f.versions[i]
			}
			in.ServerName = f.servers[i]
			if n > 0 {
				in.ServerName += string(rune('a' + n))
			}
		}
	}
	for _, text := range f.logins {
		var g lab.Login
		if err := json.Unmarshal([]byte(text), &g); err != nil {
			return o, fmt.Errorf("%w: --login: %w", errUsage, err)
		}
		o.Logins = append(o.Logins, g)
	}
	return o, nil
}

func loopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%w: --listen.control: %w", errUsage, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%w: the control API has no password and listens on loopback only, not on %q", errUsage, host)
	}
	return nil
}

func serve(f *serveFlags, stdout, stderr io.Writer) (err error) {
	f.promslogConfig.Writer = stderr
	log := promslog.New(&f.promslogConfig)
	if err := loopback(f.control); err != nil {
		return err
	}
	list, like, err := f.worlds(log)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ln, err := net.Listen("tcp", f.control)
	if err != nil {
		return err
	}
	for _, w := range list {
		if err := w.lab.Start(ctx); err != nil {
			return errors.Join(err, ln.Close())
		}
		defer w.lab.Close()
	}
	server := &http.Server{Handler: control(list), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ln) }()
	defer func() {
		end, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if e := server.Shutdown(end); e != nil {
			err = errors.Join(err, e)
		}
	}()
	if err := announce(f, list, like, "http://"+ln.Addr().String(), stdout); err != nil {
		return err
	}
	first := list[0].lab
	log.Info("serving", "dags", len(list), "source", first.Address(lab.Source), "target", first.Address(lab.Target), "control", ln.Addr().String(), "again", first.Again())
	select {
	case <-ctx.Done():
		log.Info("stopping")
		return nil
	case err := <-failed:
		return err
	case err := <-schedules(f, list):
		return err
	}
}

// schedules gives the first failure of a schedule, or nil at the end of all of them with --schedule.end. Nothing, without one.
func schedules(f *serveFlags, list []*world) <-chan error {
	done := make(chan error, len(list))
	if f.schedule == "" {
		return done
	}
	out := make(chan error, 1)
	for _, w := range list {
		go func() {
			select {
			case <-w.lab.Run().Failed():
				done <- w.lab.Run().Err()
			case <-w.lab.Done():
				done <- nil
			case <-w.lab.Run().Ended():
				if err := w.lab.Run().Err(); err != nil || f.scheduleEnd {
					done <- err
					return
				}
				select { // a step that waits for a statement may fail yet
				case <-w.lab.Run().Failed():
					done <- w.lab.Run().Err()
				case <-w.lab.Done():
				}
			}
		}()
	}
	go func() {
		for range list {
			select {
			case err := <-done:
				if err != nil {
					out <- err
					return
				}
			case <-list[0].lab.Done():
				return
			}
		}
		out <- nil
	}()
	return out
}
