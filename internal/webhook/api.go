package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dag-exporter/dag_exporter/internal/runner"
)

// readTimeout bounds a check or a plan: each side is bounded separately below,
// this is the belt.
const readTimeout = time.Minute

// DAGs is the answer of GET /api/v1/dags. The databases of each are left out:
// GET /api/v1/dags/{dag} has them.
type DAGs struct {
	DAGs []runner.Status `json:"dags"`
}

func (h *Handler) list(w http.ResponseWriter, _ *http.Request, _ Identity) {
	out := DAGs{DAGs: []runner.Status{}}
	for _, api := range h.o.Fleet.All() {
		s := api.Status()
		s.Databases = nil
		out.DAGs = append(out.DAGs, s)
	}
	writeJSON(w, http.StatusOK, out)
}

func (h *Handler) status(w http.ResponseWriter, _ *http.Request, _ Identity, api runner.API) {
	writeJSON(w, http.StatusOK, api.Status())
}

func (h *Handler) check(w http.ResponseWriter, r *http.Request, _ Identity, api runner.API) {
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	res, err := api.Check(ctx)
	answerWith(w, res, err)
}

func (h *Handler) plan(w http.ResponseWriter, r *http.Request, _ Identity, api runner.API) {
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	drill := false
	if text := r.URL.Query().Get("drill"); text != "" {
		var err error
		if drill, err = strconv.ParseBool(text); err != nil {
			writeError(w, http.StatusBadRequest, errors.New("drill must be true or false"))
			return
		}
	}
	res, err := api.Plan(ctx, drill)
	answerWith(w, res, err)
}

// Runs is the answer of GET /api/v1/dags/{dag}/runs, newest first.
type Runs struct {
	Runs []runner.RunSummary `json:"runs"`
}

func (h *Handler) runs(w http.ResponseWriter, r *http.Request, _ Identity, api runner.API) {
	list, err := api.Runs(r.Context())
	if list == nil {
		list = []runner.RunSummary{}
	}
	answerWith(w, Runs{list}, err)
}

func (h *Handler) report(w http.ResponseWriter, r *http.Request, _ Identity, api runner.API) {
	rep, err := api.Report(r.Context(), r.URL.Query().Get("run"))
	if err == nil && rep == nil {
		err = &runner.Refused{Op: "report", DAG: api.Name(), Why: "there is no such run", NotFound: true}
	}
	if err != nil || r.URL.Query().Get("format") != "markdown" {
		answerWith(w, rep, err)
		return
	}
	var b bytes.Buffer
	if err := rep.Markdown(&b); err != nil {
		answerWith(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", "text/markdown; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // the client went away: nobody to tell
}

// answerWith writes a result, or the error with the status that fits it.
func answerWith(w http.ResponseWriter, v any, err error) {
	if err == nil {
		writeJSON(w, http.StatusOK, v)
		return
	}
	if refused, ok := runner.AsRefused(err); ok {
		status := http.StatusConflict
		switch {
		case refused.NotFound:
			status = http.StatusNotFound
		case refused.Forbidden:
			status = http.StatusForbidden
		}
		why := refused.Why
		if refused.Op != "" {
			why = fmt.Sprintf("%s %s: %s", refused.Op, refused.DAG, refused.Why)
		}
		writeJSON(w, status, Problem{Error: oneLine(why), Remedy: oneLine(refused.Remedy), Wait: refused.Wait, Refused: true})
		return
	}
	status := http.StatusInternalServerError
	if errors.Is(err, context.DeadlineExceeded) {
		status = http.StatusGatewayTimeout
	}
	writeError(w, status, err)
}

// Act is the body of every POST on a DAG; each verb reads the fields it knows
// and refuses the others. Who asks is never in it: that comes from the
// credentials.
type Act struct {
	Reason    string    `json:"reason,omitempty"`
	PlanHash  string    `json:"plan_hash,omitempty"` // arm, approve
	Until     time.Time `json:"until,omitzero"`      // arm
	For       string    `json:"for,omitempty"`       // arm: a duration, 4h
	Drill     bool      `json:"drill,omitempty"`     // arm
	Checklist []string  `json:"checklist,omitempty"` // arm: items declared done, word for word
}

// Started is the answer of run and drill.
type Started struct {
	Run string `json:"run"`
}

// Done is the answer of a verb that has nothing else to say.
type Done struct {
	DAG  string `json:"dag"`
	Done string `json:"done"`
}

type verb struct {
	name   string
	role   Role
	starts bool // may lead to statements: refused while authentication is gone
	do     func(ctx context.Context, api runner.API, req runner.Request, a Act) (any, error)
}

func (h *Handler) verbs() []verb {
	simple := func(name string, f func(runner.API) func(context.Context, runner.Request) error) verb {
		return verb{name: name, role: Operator, do: func(ctx context.Context, api runner.API, req runner.Request, _ Act) (any, error) {
			return Done{api.Name(), name}, f(api)(ctx, req)
		}}
	}
	return []verb{
		{"arm", Operator, true, h.arm},
		{"approve", Approver, true, func(ctx context.Context, api runner.API, req runner.Request, a Act) (any, error) {
			return api.Approve(ctx, runner.ApproveRequest{Request: req, PlanHash: a.PlanHash})
		}},
		{"run", Operator, true, func(ctx context.Context, api runner.API, req runner.Request, _ Act) (any, error) {
			run, err := api.Run(ctx, req)
			return Started{run}, err
		}},
		{"drill", Operator, true, func(ctx context.Context, api runner.API, req runner.Request, _ Act) (any, error) {
			run, err := api.Drill(ctx, req)
			return Started{run}, err
		}},
		simple("disarm", func(a runner.API) func(context.Context, runner.Request) error { return a.Disarm }),
		simple("hold", func(a runner.API) func(context.Context, runner.Request) error { return a.Hold }),
		simple("release", func(a runner.API) func(context.Context, runner.Request) error { return a.Release }),
		simple("rollback", func(a runner.API) func(context.Context, runner.Request) error { return a.Rollback }),
		simple("acknowledge", func(a runner.API) func(context.Context, runner.Request) error { return a.Acknowledge }),
	}
}

func (h *Handler) arm(ctx context.Context, api runner.API, req runner.Request, a Act) (any, error) {
	r := runner.ArmRequest{Request: req, PlanHash: a.PlanHash, Until: a.Until, Drill: a.Drill, Checklist: a.Checklist}
	if a.For != "" {
		d, err := time.ParseDuration(a.For)
		if err != nil || d <= 0 {
			return nil, badRequest("for must be a duration such as 4h")
		}
		r.For = d
	}
	if now := h.o.Now(); !a.Until.IsZero() && !a.Until.After(now) {
		return nil, badRequest("until is over: it is " + now.UTC().Format(time.RFC3339) + " here")
	}
	return api.Arm(ctx, r)
}

// badRequest is an error of the client's making.
type badRequest string

func (e badRequest) Error() string { return string(e) }

// act runs one verb.
func (h *Handler) act(v verb) handler {
	return h.withDAG(func(w http.ResponseWriter, r *http.Request, id Identity, api runner.API) {
		if !h.ready.Load() || v.starts && h.draining.Load() {
			writeError(w, http.StatusServiceUnavailable, errors.New("not ready: starting or shutting down"))
			return
		}
		if !isJSON(r) {
			writeError(w, http.StatusUnsupportedMediaType, errors.New("Content-Type must be application/json"))
			return
		}
		a, status, err := readAct(w, r, v.name)
		if err != nil {
			writeError(w, status, err)
			return
		}
		if err := h.mayStart(v, id, api); err != nil {
			answerWith(w, nil, err)
			return
		}
		// Not the request's own context: an operator who closes the browser must
		// not leave an arming half journalled.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), readTimeout)
		defer cancel()
		res, err := v.do(ctx, api, runner.Request{By: id.Name, Reason: a.Reason}, a)
		var bad badRequest
		switch {
		case errors.As(err, &bad):
			writeError(w, http.StatusBadRequest, err)
		case err != nil:
			h.o.Log.Warn("request not granted", "dag", api.Name(), "verb", v.name, "by", id.Name, "err", err)
			answerWith(w, nil, err)
		default:
			h.o.Log.Info("request granted", "dag", api.Name(), "verb", v.name, "by", id.Name, "reason", oneLine(a.Reason))
			writeJSON(w, http.StatusOK, res)
		}
	})
}

// mayStart keeps acts out that the runner cannot judge: it knows one name of
// an identity, and nothing of the outer door.
func (h *Handler) mayStart(v verb, id Identity, api runner.API) error {
	cfg := h.cfg.Load()
	d, ok := cfg.ByName(api.Name())
	if !ok {
		return &runner.Refused{Op: v.name, DAG: api.Name(), Why: "it is not in the configuration any more"}
	}
	if v.starts && executes(cfg) {
		err := h.o.Auth.Demands()
		if err == nil && h.authGone.Load() {
			err = errors.New("it was gone a moment ago")
		}
		if err != nil {
			return &runner.Refused{Op: v.name, DAG: api.Name(), Why: "authentication is gone: " + err.Error(), Remedy: "repair the web config file and reload"}
		}
	}
	if v.name == "approve" && !d.Cutover.SelfApprove {
		if arming := api.Status().Arming; arming != nil && id.Is(arming.By) && !id.anonymous {
			return &runner.Refused{Op: v.name, DAG: api.Name(), Why: arming.By + " armed it and may not approve it", Remedy: "ask another approver, or set self_approve: true", Forbidden: true}
		}
	}
	return nil
}

// readAct decodes the body; nothing at all is an empty request.
func readAct(w http.ResponseWriter, r *http.Request, name string) (Act, int, error) {
	var a Act
	data, err := readBody(w, r)
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		return a, http.StatusRequestEntityTooLarge, errors.New("larger than 1 MiB")
	}
	if err != nil {
		return a, http.StatusBadRequest, errors.New("the body could not be read to its end")
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return a, 0, nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&a); err != nil {
		text := jsonReason(err)
		if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			text = "unknown field " + short(field)
			if field == `"by"` {
				text += ": who asks comes from the credentials"
			}
		}
		return a, http.StatusBadRequest, errors.New(text)
	}
	if dec.More() {
		return a, http.StatusBadRequest, errors.New("one JSON object is expected")
	}
	if name != "arm" && (!a.Until.IsZero() || a.For != "" || a.Drill || a.Checklist != nil) {
		return a, http.StatusBadRequest, fmt.Errorf("until, for, drill and checklist belong to arm, not to %s", name)
	}
	if name != "arm" && name != "approve" && a.PlanHash != "" {
		return a, http.StatusBadRequest, fmt.Errorf("plan_hash belongs to arm and approve, not to %s", name)
	}
	return a, 0, nil
}
