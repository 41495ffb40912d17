// Package report knows where in docs/benchmarks.md the figures of one
// benchmark stand, and replaces them there.
package report

import (
	"fmt"
	"os"
	"strings"
)

// Replace puts body between the lines "<!-- begin NAME -->" and
// "<!-- end NAME -->" of the file. Both lines must be there: a benchmark that
// nobody asked for has no place in the document.
func Replace(file, name, body string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->"
	head, rest, ok := strings.Cut(string(old), begin)
	if !ok {
		return fmt.Errorf("%s: no line %q", file, strings.TrimSpace(begin))
	}
	_, tail, ok := strings.Cut(rest, end)
	if !ok {
		return fmt.Errorf("%s: no line %q", file, end)
	}
	return os.WriteFile(file, []byte(head+begin+strings.TrimRight(body, "\n")+"\n"+end+tail), 0o644)
}
