package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/dag-exporter/dag_exporter/internal/lab"
)

// world is one pair that is served.
type world struct {
	name      string // of the DAG in the configuration of --like; "" without
	lab       *lab.Lab
	opt       lab.Options
	instances [2]int
}

func (w *world) ready() ready {
	r := ready{DAG: w.name, Source: w.lab.Address(lab.Source), Target: w.lab.Address(lab.Target), SourceDSN: w.lab.DSN(lab.Source), TargetDSN: w.lab.DSN(lab.Target),
		Databases: w.opt.Model.Databases}
	for s := range r.Instances {
		for n := range w.instances[s] {
			r.Instances[s] = append(r.Instances[s], w.lab.AddressOf(lab.Side(s), n))
		}
	}
	return r
}

// worlds are the pairs that the flags ask for, not yet started.
func (f *serveFlags) worlds(log *slog.Logger) ([]*world, *likeFile, error) {
	schedule, err := readSchedule(f.schedule)
	if err != nil {
		return nil, nil, err
	}
	base, err := f.options(log)
	if err != nil {
		return nil, nil, err
	}
	base.Schedule = schedule
	list := []*world{{opt: base, instances: f.instances}}
	var like *likeFile
	if f.like != "" {
		if like, err = readLike(f.like); err != nil {
			return nil, nil, err
		}
		if list, err = like.worlds(f, base); err != nil {
			return nil, nil, err
		}
	}
	for _, w := range list {
		if w.lab, err = lab.New(w.opt); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errUsage, err)
		}
	}
	return list, like, nil
}

// control serves the first pair's control API, and with --like every pair's under /dags/NAME.
func control(list []*world) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		for _, w := range list {
			if prefix := "/dags/" + w.name; w.name != "" && strings.HasPrefix(r.URL.Path, prefix+"/") {
				r = r.Clone(r.Context())
				r.URL.Path = strings.TrimPrefix(r.URL.Path, prefix)
				w.lab.Control().ServeHTTP(rw, r)
				return
			}
		}
		list[0].lab.Control().ServeHTTP(rw, r)
	})
}

// ready is what --ready-file holds.
type ready struct {
	DAG         string      `json:"dag,omitempty"` // with --like
	Source      string      `json:"source"`        // host:port
	Target      string      `json:"target"`
	SourceDSN   string      `json:"source_dsn"`
	TargetDSN   string      `json:"target_dsn"`
	Instances   [2][]string `json:"instances"`         // every instance's host:port
	Control     string      `json:"control,omitempty"` // URL
	Certificate string      `json:"certificate,omitempty"`
	Databases   []string    `json:"databases"`
	PID         int         `json:"pid,omitempty"`
	DAGs        []ready     `json:"dags,omitempty"` // with --like: every one, the first of which stands above too
}

// announce says where everything is: on standard output, and in the files that were asked for.
func announce(f *serveFlags, list []*world, like *likeFile, url string, stdout io.Writer) error {
	r := list[0].ready()
	r.Control, r.PID = url, os.Getpid()
	mark := ""
	if like != nil {
		if mark = "# "; f.likeOut != "" {
			mark = ""
		}
		for _, w := range list {
			r.DAGs = append(r.DAGs, w.ready())
		}
	}
	if f.certOut != "" {
		var pem []byte
		for _, w := range list {
			pem = append(pem, w.lab.CertificatePEM()...)
		}
		if err := writeFile(f.certOut, pem); err != nil {
			return err
		}
		var err error
		if r.Certificate, err = filepath.Abs(f.certOut); err != nil {
			return err
		}
	}
	for _, w := range list {
		x := w.ready()
		if w.name != "" {
			say(stdout, "%sdag      %s  (control %s/dags/%s/api/v1/state)\n", mark, w.name, url, w.name)
		}
		say(stdout, "%[1]ssource   %[2]s  (%[3]s, AG %[4]s)\n%[1]starget   %[5]s  (%[6]s, AG %[7]s)\n", mark, x.Source, w.opt.Model.Sides[0].Instances[0].ServerName, w.opt.Model.Sides[0].AG,
			x.Target, w.opt.Model.Sides[1].Instances[0].ServerName, w.opt.Model.Sides[1].AG)
		say(stdout, "%slogin    %s / %s, databases %s\n", mark, lab.SA, lab.SAPassword, summary(x.Databases))
	}
	say(stdout, "%scontrol  %s/api/v1/state\n", mark, url)
	if r.Certificate != "" {
		say(stdout, "%scert     %s\n", mark, r.Certificate)
	}
	if like != nil {
		text, err := like.with(list)
		if err != nil {
			return err
		}
		if f.likeOut == "" {
			say(stdout, "%s", text)
		} else {
			if err := writeFile(f.likeOut, text); err != nil {
				return err
			}
			say(stdout, "config   %s\n", f.likeOut)
		}
	}
	if f.ready == "" {
		return nil
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(f.ready, append(b, '\n'))
}

func summary(names []string) string {
	if len(names) <= 3 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s … %s (%d)", names[0], names[len(names)-1], len(names))
}

// writeFile replaces a file as a whole, so that a script that waits for it never reads half of it.
func writeFile(name string, b []byte) error {
	tmp := name + ".tmp"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}
