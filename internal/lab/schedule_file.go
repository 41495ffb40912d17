package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// ReadSchedule reads a schedule: YAML with seed and steps, or JSON lines, each of them a step (a line that has only seed sets
// that). Unknown keys are errors. See docs/lab.md for the fields.
func ReadSchedule(r io.Reader) (Schedule, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return Schedule{}, err
	}
	s, err := readSchedule(b)
	if err == nil {
		err = s.Check()
	}
	return s, err
}

func readSchedule(b []byte) (Schedule, error) {
	var s Schedule
	lines := bytes.Split(b, []byte("\n"))
	if jsonLines(lines) {
		for n, line := range lines {
			if line = bytes.TrimSpace(line); len(line) == 0 {
				continue
			}
			var head struct {
				Seed *uint64 `json:"seed"`
			}
			if strict(line, &head) == nil && head.Seed != nil {
				s.Seed = *head.Seed
				continue
			}
			var st Step
			if err := strict(line, &st); err != nil {
				return s, fmt.Errorf("schedule: line %d: %w", n+1, err)
			}
			s.Steps = append(s.Steps, st)
		}
		return s, nil
	}
	var doc any
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return s, fmt.Errorf("schedule: %w", err)
	}
	if doc == nil {
		return s, errors.New("schedule: the file is empty")
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return s, fmt.Errorf("schedule: %w", err)
	}
	if err := strict(text, &s); err != nil {
		return s, fmt.Errorf("schedule: %w", err)
	}
	return s, nil
}

// jsonLines tells whether every line that says something is a JSON object of its own.
func jsonLines(lines [][]byte) bool {
	found := false
	for _, l := range lines {
		if l = bytes.TrimSpace(l); len(l) == 0 {
			continue
		}
		if l[0] != '{' || !json.Valid(l) {
			return false
		}
		found = true
	}
	return found
}

func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// WriteTo writes the schedule as JSON lines, which ReadSchedule reads.
func (s Schedule) WriteTo(w io.Writer) (int64, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	if err := e.Encode(map[string]uint64{"seed": s.Seed}); err != nil {
		return 0, err
	}
	for _, st := range s.Steps {
		if err := e.Encode(st); err != nil {
			return 0, err
		}
	}
	n, err := w.Write(b.Bytes())
	return int64(n), err
}
