package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// status is the part of GET /api/v1/dags/{dag} that the timeline shows.
type status struct {
	Phase       string    `json:"phase"`
	Reason      string    `json:"reason"`
	Convergence string    `json:"convergence"`
	At          time.Time `json:"at"`
	Gates       []struct {
		Name   string `json:"name"`
		State  string `json:"state"`
		Reason string `json:"reason"`
	} `json:"gates"`
	Equal  int      `json:"databases_caught_up"`
	Total  int      `json:"databases_total"`
	Lag    *float64 `json:"lag_seconds"`
	Source struct {
		Role string `json:"role"`
	} `json:"source"`
	Target struct {
		Role string `json:"role"`
	} `json:"target"`
	Lease struct {
		LastSeen time.Time `json:"last_seen"`
	} `json:"lease"`
	Run              string  `json:"run"`
	LastRun          string  `json:"last_run"`
	LastOutcome      string  `json:"last_outcome"`
	WriteUnavailable float64 `json:"write_unavailable_seconds"`
	Pages            []struct {
		Text string `json:"text"`
	} `json:"pages"`
}

// call speaks the webhook's API as one of the users.
func (d *demo) call(ctx context.Context, user, method, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+d.ports.webhook+path, payload)
	if err != nil {
		return err
	}
	req.SetBasicAuth(user, d.ports.password(user))
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s as %s: %s: %s", method, path, user, resp.Status, strings.TrimSpace(string(b)))
	}
	if into == nil {
		return nil
	}
	if raw, ok := into.(*[]byte); ok {
		*raw = b
		return nil
	}
	return json.Unmarshal(b, into)
}

func (d *demo) status(ctx context.Context) (status, error) {
	var s status
	err := d.call(ctx, "ops", http.MethodGet, "/api/v1/dags/"+dag, nil, &s)
	return s, err
}

// armAndApprove is what two people do before the night.
func (d *demo) armAndApprove(ctx context.Context) (hash string, err error) {
	var plan struct {
		Hash  string   `json:"hash"`
		Notes []string `json:"notes"`
	}
	if err := d.until(ctx, "build the plan", func() error {
		return d.call(ctx, "ops", http.MethodGet, "/api/v1/dags/"+dag+"/plan", nil, &plan)
	}); err != nil {
		return "", err
	}
	arm := map[string]any{"plan_hash": plan.Hash, "reason": "demo"}
	if err := d.call(ctx, "ops", http.MethodPost, "/api/v1/dags/"+dag+"/arm", arm, nil); err != nil {
		return "", err
	}
	approve := map[string]any{"plan_hash": plan.Hash, "reason": "demo"}
	return plan.Hash, d.call(ctx, "lead", http.MethodPost, "/api/v1/dags/"+dag+"/approve", approve, nil)
}

// ending is what watch saw.
type ending struct {
	last   status
	nearAt time.Time // the sample with which the exporter first said near
	seenAt time.Time // when the webhook first had the alert
}

// watch prints the timeline until a run has ended.
func (d *demo) watch(ctx context.Context) (ending, error) {
	var end ending
	var phase, gates string
	lastLine := time.Time{}
	for {
		s, err := d.status(ctx)
		switch {
		case ctx.Err() != nil:
			return end, fmt.Errorf("waiting for the cutover: %w; the last phase was %s: %s", context.Cause(ctx), phase, end.last.Reason)
		case err != nil:
			if dead := d.dead(); dead != nil {
				return end, dead
			}
		default:
			end.last = s
			if end.nearAt.IsZero() {
				end.nearAt = d.nearSince(ctx)
			}
			if end.seenAt.IsZero() && !s.Lease.LastSeen.IsZero() {
				end.seenAt = s.Lease.LastSeen
				d.say("alert", "DAGNearConvergence reached the webhook")
			}
			closed := s.closedGates()
			if s.Phase != phase || closed != gates || time.Since(lastLine) > 10*time.Second {
				d.say(s.Phase, "%s, caught up %d of %d%s; %s", s.Convergence, s.Equal, s.Total, s.lag(), closed)
				phase, gates, lastLine = s.Phase, closed, time.Now()
			}
			if s.Run == "" && s.LastOutcome != "" {
				return end, nil
			}
			if len(s.Pages) > 0 {
				return end, errors.New("a page: " + s.Pages[0].Text)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s status) lag() string {
	if s.Lag == nil {
		return ""
	}
	return fmt.Sprintf(", lag %.1f s", *s.Lag)
}

// closedGates says which gates are not open. While the clients write, drained
// is closed as it should be, and no reason to wait.
func (s status) closedGates() string {
	var closed []string
	writing := ""
	for _, g := range s.Gates {
		switch {
		case g.State == "open":
		case g.Name == "drained" && s.Phase == "idle":
			writing = "; drained opens when the clients have stopped"
		default:
			closed = append(closed, g.Name)
		}
	}
	switch {
	case len(s.Gates) == 0:
		return "no gates to read"
	case len(closed) == 0 && writing == "":
		return fmt.Sprintf("all %d gates open", len(s.Gates))
	case len(closed) == 0:
		return fmt.Sprintf("all %d gates open but one%s", len(s.Gates), writing)
	}
	return fmt.Sprintf("gates that are closed: %s%s", strings.Join(closed, ", "), writing)
}

// nearSince asks Prometheus for the first sample of the present run of good
// ones; zero while there is none.
func (d *demo) nearSince(ctx context.Context) time.Time {
	q := url.Values{"query": {`timestamp(mssql_dag_convergence_reached{dag="` + dag + `",level="near"} == 1)`}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.ports.prometheus+"/api/v1/query?"+q.Encode(), nil)
	if err != nil {
		return time.Time{}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return time.Time{}
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if json.NewDecoder(resp.Body).Decode(&answer) != nil || len(answer.Data.Result) == 0 {
		return time.Time{}
	}
	text, _ := answer.Data.Result[0].Value[1].(string)
	var seconds float64
	if _, err := fmt.Sscan(text, &seconds); err != nil {
		return time.Time{}
	}
	return time.UnixMicro(int64(seconds * 1e6))
}
