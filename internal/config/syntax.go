package config

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// syntaxLine is the line on which the YAML stops to be YAML. The library names
// the line above the block that is not well formed, which may be far up, or
// none. line and text are what it said.
func syntaxLine(data []byte, line int, text string) int {
	if line > 0 && !strings.HasPrefix(text, "did not find expected ") {
		return line
	}
	// The parser reads as it goes: where it has asked for no more is at the
	// fault, or behind what it looks ahead, such as comments.
	r := &countingReader{data: data}
	if fails(r) != text {
		return line
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	seen := skipBlank(lines, min(bytes.Count(data[:r.at], []byte("\n"))+1, len(lines)))
	const lookahead = 8 // lines that it is worth to try without
	for n := seen; n > seen-lookahead; n = skipBlank(lines, n-1) {
		if n == 1 || fails(bytes.NewReader(bytes.Join(lines[:n-1], nil))) != text {
			return n
		}
	}
	return seen // far into brackets: each beginning of them fails as well
}

// skipBlank is line n, 1-based, or the last one before it that holds more than
// a comment.
func skipBlank(lines [][]byte, n int) int {
	for ; n > 1; n-- {
		if s := bytes.TrimSpace(lines[n-1]); len(s) > 0 && s[0] != '#' {
			break
		}
	}
	return n
}

// fails is the text of the syntax error without its line, "" for none.
func fails(r io.Reader) string {
	var n yaml.Node
	err := yaml.NewDecoder(r).Decode(&n)
	if err == nil || errors.Is(err, io.EOF) {
		return ""
	}
	text := err.Error()
	if m := lineRE.FindStringSubmatch(text); m != nil {
		return m[2]
	}
	return strings.TrimPrefix(text, "yaml: ")
}

// countingReader gives one byte at a time and knows how many it gave.
type countingReader struct {
	data []byte
	at   int
}

func (r *countingReader) Read(p []byte) (int, error) {
	if r.at == len(r.data) || len(p) == 0 {
		return 0, io.EOF
	}
	p[0] = r.data[r.at]
	r.at++
	return 1, nil
}

// syntaxText is the library's text with a remedy. What it quotes in these are
// YAML's own signs, never what the file holds; elsewhere it may be a secret.
func syntaxText(text string) string {
	if !strings.HasPrefix(text, "did not find expected ") && !strings.HasPrefix(text, "could not find expected ") {
		return quotedRE.ReplaceAllString(text, "…")
	}
	switch strings.TrimPrefix(text, "did not find expected ") {
	case "key", "'-' indicator":
		text += ": the indentation of this line fits no line above it"
	case "',' or ']'", "',' or '}'":
		text += ": a bracket or a quote is not closed, here or above"
	}
	return text
}
