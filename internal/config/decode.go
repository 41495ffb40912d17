package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	sizeText     = "a size is written as 64MiB, 512KiB, 1GiB or a plain number of bytes"
	durationText = "a duration is written with its unit: 250ms, 45s, 2m, 1h30m"
)

// UnmarshalYAML reads 64MiB, 1GiB, 512KiB, 10B or a plain number of bytes.
func (b *Bytes) UnmarshalYAML(n *yaml.Node) error {
	v, err := ParseBytes(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode {
		return typeError(n, sizeText)
	}
	*b = v
	return nil
}

var sizeUnits = []struct {
	suffix string
	factor int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"B", 1}}

// ParseBytes reads a size. Decimal units (MB) are refused rather than guessed.
func ParseBytes(s string) (Bytes, error) {
	num, factor := strings.TrimSpace(s), int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(num, u.suffix); ok {
			num, factor = strings.TrimSpace(rest), u.factor
			break
		}
	}
	v, err := strconv.ParseUint(num, 10, 63)
	if err != nil || int64(v) > math.MaxInt64/factor {
		return 0, errors.New("not a size")
	}
	return Bytes(int64(v) * factor), nil
}

// String writes the size in the largest unit that divides it.
func (b Bytes) String() string {
	for i := len(sizeUnits) - 2; i >= 0; i-- {
		if u := sizeUnits[i]; b != 0 && int64(b)%u.factor == 0 {
			return fmt.Sprintf("%d%s", int64(b)/u.factor, u.suffix)
		}
	}
	return fmt.Sprintf("%dB", int64(b))
}

// UnmarshalYAML reads a Go duration; a number without a unit is refused, since
// seconds and milliseconds are both plausible.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode {
		return typeError(n, durationText)
	}
	*d = Duration(v)
	return nil
}

// String is the time.Duration's.
func (d Duration) String() string { return time.Duration(d).String() }

func typeError(n *yaml.Node, text string) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %s", n.Line, text)}}
}

var (
	lineRE    = regexp.MustCompile(`(?s)^(?:yaml: )?line (\d+): (.*)$`)
	unknownRE = regexp.MustCompile(`(?s)^field (.*) not found in type config\.(\w+)$`)
	doubleRE  = regexp.MustCompile(`(?s)^mapping key (.*) already defined at line (\d+)$`)
	typeRE    = regexp.MustCompile("(?s)^cannot unmarshal !!(\\w+)(?: `.*`)? into (.*)$")
	quotedRE  = regexp.MustCompile("(?s)`.*`|'.*'|\".*\"")
)

// yamlError turns the library's errors into problems: with a remedy, and
// without the values that it quotes, which may be secrets.
func (p *parser) yamlError(err error) {
	var te *yaml.TypeError
	if !errors.As(err, &te) {
		p.yamlLine(err.Error())
		return
	}
	for _, s := range te.Errors {
		p.yamlLine(s)
	}
}

func (p *parser) yamlLine(s string) {
	line, path, text := 0, "", strings.TrimPrefix(s, "yaml: ")
	if m := lineRE.FindStringSubmatch(s); m != nil {
		line, _ = strconv.Atoi(m[1]) // the pattern is digits; an overflow only loses the line
		text = m[2]
	}
	switch {
	case unknownRE.MatchString(text):
		m := unknownRE.FindStringSubmatch(text)
		keys := knownKeys(m[2])
		remedy := "known here: " + strings.Join(keys, ", ")
		if near := nearest(m[1], keys); near != "" {
			remedy = fmt.Sprintf("did you mean %s?", near)
		}
		text = fmt.Sprintf("unknown key %s: %s", safeKey(m[1]), remedy)
	case doubleRE.MatchString(text):
		m := doubleRE.FindStringSubmatch(text)
		text = fmt.Sprintf("key %s is already given on line %s: keep one of them", safeKey(strings.Trim(m[1], `"`)), m[2])
	case typeRE.MatchString(text):
		m := typeRE.FindStringSubmatch(text)
		path = p.place(line, "!!"+m[1], m[2])
		text = fmt.Sprintf("%s expected here, not %s", typeName(m[2]), typeName("!!"+m[1]))
	case text == sizeText:
		path = p.place(line, "", "config.Bytes")
	case text == durationText:
		path = p.place(line, "", "config.Duration")
	case !strings.HasPrefix(s, "yaml: "):
		text = quotedRE.ReplaceAllString(text, "…")
	default:
		line = syntaxLine(p.data, line, text)
		text = "not valid YAML: " + syntaxText(text)
	}
	if p.typed == nil {
		p.typed = map[int]bool{}
	}
	p.typed[line] = true
	p.add(line, path, "%s", text)
}

// safeKey keeps a DSN that was written as a key by a wrong indentation out of
// the error.
func safeKey(key string) string {
	if len(key) > 60 || strings.ContainsAny(key, ":@=;/\n") {
		return "(not shown, since it may hold a secret)"
	}
	return fmt.Sprintf("%q", key)
}

func typeName(t string) string {
	switch t {
	case "!!map":
		return "a mapping"
	case "!!seq":
		return "a list"
	case "!!str":
		return "text"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!null":
		return "nothing"
	case "!!timestamp":
		return "a time"
	case "bool":
		return "true or false"
	case "int", "*int":
		return "a whole number"
	case "string", "config.Secret":
		return "text"
	case "time.Time":
		return "a time such as 2026-11-24T22:00:00+01:00"
	case "map[string]string":
		return "a mapping of text to text"
	}
	if strings.HasPrefix(t, "[]") {
		return "a list"
	}
	return "a mapping"
}

// schema is every struct of the file by its Go name, for the list of known keys.
var schema = func() map[string]reflect.Type {
	types := map[string]reflect.Type{}
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() || types[t.Name()] != nil {
			return
		}
		types[t.Name()] = t
		for i := range t.NumField() {
			walk(t.Field(i).Type)
		}
	}
	walk(reflect.TypeFor[Config]())
	return types
}()

func knownKeys(typeName string) []string {
	t := schema[typeName]
	if t == nil {
		return nil
	}
	var keys []string
	for i := range t.NumField() {
		if tag, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); tag != "" && tag != "-" {
			keys = append(keys, tag)
		}
	}
	sort.Strings(keys)
	return keys
}

// nearest is the known key at most two edits away, or "".
func nearest(key string, keys []string) string {
	best, at := "", 3
	if len(key) > 60 {
		return ""
	}
	for _, k := range keys {
		if d := distance(strings.ToLower(key), k); d < at && d < len(k) {
			best, at = k, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diag
			if a[i-1] != b[j-1] {
				cost++
			}
			diag = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
