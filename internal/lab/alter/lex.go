// Package alter parses the few statements that change availability groups: ALTER and DROP AVAILABILITY GROUP,
// ALTER DATABASE … SET HADR, KILL. It is strict: what SQL Server does not know is error 102 with the offending word, as there; what the lab alone does not know is 50900.
package alter

import (
	"strings"

	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

type tokenKind int

const (
	tokEnd    tokenKind = iota
	tokWord             // bare identifier or keyword
	tokQuoted           // [x] or "x"
	tokString           // 'x' or N'x'
	tokNumber
	tokPunct
)

type token struct {
	kind tokenKind
	text string
}

// syntax is error 102.
func syntax(near string) *model.Error {
	return &model.Error{Number: 102, Class: 15, State: 1, Message: "Incorrect syntax near '" + near + "'."}
}

func isWordByte(b byte, first bool) bool {
	return b == '_' || b == '@' || b == '#' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= 0x80 || !first && (b >= '0' && b <= '9' || b == '$')
}

// lex cuts a statement into tokens; comments and blanks are gone.
func lex(s string) ([]token, *model.Error) {
	var out []token
	for i := 0; i < len(s); {
		b := s[i]
		switch {
		case b <= ' ':
			i++
		case strings.HasPrefix(s[i:], "--"):
			n := strings.IndexByte(s[i:], '\n')
			if n < 0 {
				return out, nil
			}
			i += n
		case strings.HasPrefix(s[i:], "/*"):
			n := strings.Index(s[i+2:], "*/")
			if n < 0 {
				return nil, &model.Error{Number: 113, Class: 15, State: 1, Message: "Missing end comment mark '*/'."}
			}
			i += n + 4
		case b == '[' || b == '"' || b == '\'' || (b == 'N' || b == 'n') && i+1 < len(s) && s[i+1] == '\'':
			kind, quote := tokQuoted, b
			switch b {
			case '[':
				quote = ']'
			case '\'':
				kind = tokString
			case 'N', 'n':
				kind, quote = tokString, '\''
				i++
			}
			text, n := quoted(s[i+1:], quote)
			if n < 0 {
				return nil, &model.Error{Number: 105, Class: 15, State: 1, Message: "Unclosed quotation mark after the character string '" + s[i+1:] + "'."}
			}
			out = append(out, token{kind, text})
			i += 1 + n
		case b >= '0' && b <= '9':
			j := i
			for j < len(s) && s[j] >= '0' && s[j] <= '9' {
				j++
			}
			out = append(out, token{tokNumber, s[i:j]})
			i = j
		case isWordByte(b, true):
			j := i
			for j < len(s) && isWordByte(s[j], false) {
				j++
			}
			out = append(out, token{tokWord, s[i:j]})
			i = j
		default:
			out = append(out, token{tokPunct, s[i : i+1]})
			i++
		}
	}
	return out, nil
}

// quoted reads up to the closing quote, doubled ones standing for one. It returns how many bytes it took, -1 if it never closes.
func quoted(s string, quote byte) (string, int) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != quote {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == quote {
			b.WriteByte(quote)
			i++
			continue
		}
		return b.String(), i + 1
	}
	return "", -1
}
