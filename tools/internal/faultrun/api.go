package faultrun

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// status is what this package reads of GET /api/v1/dags/NAME.
type status struct {
	Phase       string `json:"phase"`
	Reason      string `json:"reason"`
	Run         string `json:"run"`
	LastRun     string `json:"last_run"`
	LastOutcome string `json:"last_outcome"`
	PlanHash    string `json:"plan_hash"`
	GoingBack   bool   `json:"going_back"`
	Pages       []page `json:"pages"`
	Gates       []gate `json:"gates"`
}

type gate struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Reason string `json:"reason"`
}

type page struct {
	ID         string      `json:"id"`
	Run        string      `json:"run"`
	Text       string      `json:"text"`
	Conditions []string    `json:"conditions"`
	Statements []statement `json:"statements"`
}

// code is the page's code: "RUN/code" or "code".
func (p page) code() string { return p.ID[strings.LastIndexByte(p.ID, '/')+1:] }

type statement struct {
	Kind string `json:"kind"`
	Side string `json:"side"`
	SQL  string `json:"sql"`
}

var httpClient = &http.Client{Timeout: 10 * time.Second}

const (
	operator = "ops"
	secret   = "ops-Secret-1"
)

func (w *world) call(method, path, body string) ([]byte, error) {
	req, err := http.NewRequest(method, "http://"+w.address()+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth(operator, secret)
	resp, err := httpClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read to its end
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %.500s", method, path, resp.Status, b)
	}
	return b, err
}

func (w *world) status() (s status, err error) {
	b, err := w.call(http.MethodGet, "/api/v1/dags/erp", "")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(b, &s)
}

func (w *world) post(verb, body string) error {
	_, err := w.call(http.MethodPost, "/api/v1/dags/erp/"+verb, body)
	return err
}

func (w *world) report() string {
	b, err := w.call(http.MethodGet, "/api/v1/dags/erp/report?format=markdown", "")
	if err != nil {
		return err.Error()
	}
	return string(b)
}
