package exporter

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/dag-exporter/dag_exporter/internal/config"
	"github.com/dag-exporter/dag_exporter/internal/hadr"
	"github.com/dag-exporter/dag_exporter/internal/sqlserver"
)

// placeInFile is how the configuration's reader speaks of the other argument.
var placeInFile = regexp.MustCompile(`dags\[0\]\.(source|target)[a-z_.]*(\[\d+\])?`)

// resolve lets the configuration's own reader expand and check what was given,
// so that discover accepts exactly what serve accepts later.
func resolve(sides ...*discovery) error {
	var b strings.Builder
	b.WriteString("dags:\n- name: discover\n")
	for _, d := range sides {
		if file, ok := strings.CutPrefix(d.arg, "file:"); ok {
			fmt.Fprintf(&b, "  %s: {ag: %s, dsn_file: %s}\n", d.side, d.side, quoted(file))
		} else {
			fmt.Fprintf(&b, "  %s: {ag: %s, instances: [%s]}\n", d.side, d.side, quoted(d.arg))
		}
	}
	cfg, err := config.Parse([]byte(b.String()), "discover")
	var problems *config.Error
	if errors.As(err, &problems) {
		var all []error
		for _, p := range problems.Problems {
			// What was typed is an argument: it has no place in a file.
			side, _, _ := strings.Cut(strings.TrimPrefix(p.Path, "dags[0]."), ".")
			all = append(all, fmt.Errorf("%s: %s", side, placeInFile.ReplaceAllString(p.Text, "the $1")))
		}
		return &argumentError{errors.Join(all...), problems}
	}
	if err != nil {
		return err
	}
	for _, d := range sides {
		side := cfg.DAGs[0].Source
		if d.side == hadr.Target {
			side = cfg.DAGs[0].Target
		}
		if d.dsns, err = side.DSNs(); err != nil {
			return err
		}
		d.found, d.errs = make([]*sqlserver.Found, len(d.dsns)), make([]error, len(d.dsns))
	}
	return nil
}

// argumentError is what the configuration's reader says of the arguments, in
// their words.
type argumentError struct {
	error
	problems *config.Error
}

func (e *argumentError) Unwrap() error { return e.problems }
