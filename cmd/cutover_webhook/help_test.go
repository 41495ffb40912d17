package main

import (
	"strings"
	"testing"
)

// Help is printed once, with a command and without one.
func TestHelpOnce(t *testing.T) {
	for _, args := range []string{"--help", "serve --help", "help", ""} {
		var out, errs strings.Builder
		if got := run(strings.Fields(args), &out, &errs); got != 0 || strings.Count(out.String(), "usage: ") != 1 || errs.Len() > 0 {
			t.Errorf("%q: %d, %d times, %q", args, got, strings.Count(out.String(), "usage: "), errs.String())
		}
	}
}
