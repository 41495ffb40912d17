// Command rules makes alerts/rules.yml from alerts/rules.tmpl and
// alerts/values.yml. With -check it writes nothing and exits 1 if the file is
// not in step.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"

	"github.com/dag-exporter/dag_exporter/tools/internal/rulegen"
)

func main() {
	os.Exit(run())
}

func run() int {
	values := flag.String("values", "alerts/values.yml", "the values")
	from := flag.String("template", "alerts/rules.tmpl", "the template")
	to := flag.String("out", "alerts/rules.yml", "the rules")
	check := flag.Bool("check", false, "write nothing; exit 1 if the rules are not in step")
	flag.Parse()

	var out []byte
	v, err := rulegen.Read(*values)
	if err == nil {
		out, err = rulegen.Generate(v, *from)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "rules:", err)
		return 1
	}
	if *check {
		have, err := os.ReadFile(*to)
		if err != nil || !bytes.Equal(have, out) {
			fmt.Fprintf(os.Stderr, "rules: %s is not what %s and %s give; note: make rules\n", *to, *from, *values)
			return 1
		}
		return 0
	}
	if err := os.WriteFile(*to, out, 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "rules:", err)
		return 1
	}
	return 0
}
