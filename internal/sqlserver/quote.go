package sqlserver

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxName is the length of sysname in UTF-16 units.
const maxName = 128

// checkName says whether a name can be a sysname at all. Names come from the
// config alone; one that SQL Server could not have is a mistake there.
func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s is empty", what)
	case !utf8.ValidString(name):
		return fmt.Errorf("%s is not valid UTF-8", what)
	case strings.ContainsRune(name, 0):
		return fmt.Errorf("%s holds a NUL character", what)
	case utf16Len(name) > maxName:
		return fmt.Errorf("%s is longer than the %d characters of a SQL Server name", what, maxName)
	}
	return nil
}

func utf16Len(s string) int { return len(utf16.Encode([]rune(s))) }

// ident makes a delimited identifier.
func ident(name string) string { return "[" + strings.ReplaceAll(name, "]", "]]") + "]" }

// literal makes a character literal without N, as the documented statements
// have it.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// nliteral makes a Unicode literal.
func nliteral(s string) string { return "N" + literal(s) }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// nameLiteral is literal for plain ASCII, which is the documented text, and
// nliteral for everything else, which a literal without N would turn into
// question marks.
func nameLiteral(s string) string {
	if isASCII(s) {
		return literal(s)
	}
	return nliteral(s)
}

var errEmptyRun = errors.New("the run id is empty")
