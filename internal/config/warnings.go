package config

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
)

// plainPasswordRE finds a password that is written out in a DSN, or one that is
// half a variable.
var plainPasswordRE = regexp.MustCompile(`^sqlserver://[^/?@:]*:[^@]*@`)
var envPasswordRE = regexp.MustCompile(`^sqlserver://[^/?@:]*:(?:\$\{[^}]*\})?@`)

func plainPassword(dsn string) bool {
	return plainPasswordRE.MatchString(dsn) && !envPasswordRE.MatchString(dsn)
}

// Warnings are what works and should not stay: files that every user of this
// machine may change, or read a password in. They refuse nothing, since a mode
// says little in a container, and nothing on Windows.
func (c *Config) Warnings() []string {
	if runtime.GOOS == "windows" {
		return nil
	}
	out := openToAll(c.Path, c.passwords, "says which servers are moved, when, and which hooks run")
	for i := range c.DAGs {
		for _, s := range []Side{c.DAGs[i].Source, c.DAGs[i].Target} {
			if s.DSNFile != "" {
				out = append(out, openToAll(s.DSNFile, true, "says which servers are meant")...)
			}
		}
	}
	return out
}

// openToAll looks at a file's mode; one that cannot be seen is for others to
// complain about.
func openToAll(path string, secret bool, what string) []string {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	switch mode := info.Mode().Perm(); {
	case mode&0o002 != 0:
		return []string{fmt.Sprintf("%s can be changed by every user of this machine (mode %04o), and it %s: chmod o-rwx", path, mode, what)}
	case secret && mode&0o004 != 0:
		return []string{fmt.Sprintf("%s holds a password and can be read by every user of this machine (mode %04o): chmod o-r", path, mode)}
	}
	return nil
}
