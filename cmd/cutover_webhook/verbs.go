package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/dag-exporter/dag_exporter/internal/runner"
	"github.com/dag-exporter/dag_exporter/internal/webhook"
)

// actFlags are the flags of the verbs that change something.
type actFlags struct {
	webhook.Act
	lasts    time.Duration
	forGiven bool
	until    string
	wait     bool
}

func addVerbs(app *kingpin.Application, c *cli) map[string]func() error {
	verbs := map[string]func() error{}
	add := func(name, text string, f func(context.Context) error) *kingpin.CmdClause {
		cmd := app.Command(name, text)
		cmd.Arg("dag", "The DAG's name in the configuration; may be left out where there is only one.").StringVar(&c.dag)
		cmd.Flag("url", "Address of the running cutover_webhook.").Default("http://127.0.0.1:19969").Envar("CUTOVER_WEBHOOK_URL").StringVar(&c.client.url)
		cmd.Flag("http.config.file", "Credentials and TLS of this client: a Prometheus HTTP client config, such as basic_auth: {username: ops, password_file: ops-password}.").StringVar(&c.client.httpConfig)
		cmd.Flag("timeout", "How long to wait for an answer.").Default("90s").DurationVar(&c.client.timeout)
		if text := examples[name]; text != "" {
			cmd.HelpLong("For example:\n" + text)
		}
		verbs[name] = func() error {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			defer stop()
			return f(ctx)
		}
		return cmd
	}
	alone := func(cmd *kingpin.CmdClause) {
		cmd.Flag("config.file", "Read both servers from here, read-only, instead of asking a running webhook.").StringVar(&c.configFile)
	}
	formats := func(cmd *kingpin.CmdClause, def string) {
		cmd.Flag("format", "How to print: "+def+" or json.").Default(def).EnumVar(&c.format, def, "json")
	}

	check := add("check", "Read both servers and evaluate every gate. Exit 0: all open; 3: waiting can help; 4: waiting cannot.", c.check)
	alone(check)
	formats(check, "text")

	var drill bool
	plan := add("plan", "Show every statement that a run may send, in order, and the hash that people approve.", func(ctx context.Context) error { return c.plan(ctx, drill) })
	plan.Flag("drill", "The plan of a drill.").BoolVar(&drill)
	alone(plan)
	formats(plan, "text")

	status := add("status", "Show what is going on. Without a DAG, where there are several: one line for each. Exit 6: somebody has to act.", c.status)
	formats(status, "text")

	var runID string
	report := add("report", "Print the evidence of a run.", func(ctx context.Context) error { return c.report(ctx, runID) })
	report.Arg("run", "The run's id; the newest one if left out.").StringVar(&runID)
	formats(report, "markdown")

	for _, v := range []struct{ name, text string }{
		{"arm", "Allow one run of the plan as it is now. The alert starts it once every gate is open; somebody else has to approve first."},
		{"approve", "Vouch for the armed plan: prints its statements and approves exactly that hash. Whoever armed may not approve."},
		{"disarm", "Take the permission away. A run that has begun goes on: see hold and rollback."},
		{"run", "Start the armed run now, without waiting for the alert. Every other gate still has to be open."},
		{"drill", "Start the armed drill: a measured outage, a tested way back, nothing moved."},
		{"rollback", "Ask the present run to go back to the source. Refused once S3 was sent on the target."},
		{"hold", "Stop before the next step. After S2 the clock goes on: when the bound is over, the run goes back."},
		{"release", "Let a held run go on."},
		{"acknowledge", "Say that the end of the last run and its pages were seen; ends the cooldown. Of a run that a page says has stopped acting: you bring it to its end by hand. Refused while a run goes on by itself."},
	} {
		f := &actFlags{}
		cmd := add(v.name, v.text, func(ctx context.Context) error { return c.act(ctx, v.name, f) })
		cmd.Flag("reason", "Why; kept in the journal and the report.").StringVar(&f.Reason)
		switch v.name {
		case "arm":
			cmd.Flag("plan-hash", "Arm only if the plan still has this hash.").StringVar(&f.PlanHash)
			cmd.Flag("for", "How long the arming lasts, such as 90m; default 4h.").IsSetByUser(&f.forGiven).DurationVar(&f.lasts)
			cmd.Flag("until", "When the arming ends, such as 2026-11-25T04:00:00+01:00.").StringVar(&f.until)
			cmd.Flag("drill", "Arm a drill.").BoolVar(&f.Drill)
			cmd.Flag("checklist", "An item of the checklist that is done, word for word; repeat for each.").StringsVar(&f.Checklist)
		case "approve":
			cmd.Flag("plan-hash", "Approve only this hash.").StringVar(&f.PlanHash)
		case "run", "drill":
			cmd.Flag("wait", "Follow the run to its end; the exit code says how it ended.").BoolVar(&f.wait)
		}
	}
	return verbs
}

// examples are what --help of a verb ends with.
var examples = map[string]string{
	"check": `  cutover_webhook check erp --config.file=dag.yml          reads both servers itself
  cutover_webhook check erp --url=https://webhook:19969    asks the webhook
  cutover_webhook check erp --format=json | jq '.gates[] | select(.state != "open")'

With --config.file it does not know what people told the running webhook (arming, approvals, a hold), and those gates are closed. "drained" is closed until a run has quiesced the writers; no run waits for it to begin.`,
	"plan": `  cutover_webhook plan erp --config.file=dag.yml
  cutover_webhook plan erp --drill --url=https://webhook:19969`,
	"status": `  cutover_webhook status --url=https://webhook:19969 --http.config.file=me.yml
  watch -n1 cutover_webhook status erp`,
	"report": `  cutover_webhook report erp > report.md                   of the newest run
  cutover_webhook report erp RUN --format=json`,
	"arm": `  cutover_webhook arm erp --until=2026-12-06T04:00:00+01:00 \
      --checklist='Azure VMs joined to the new domain' --reason='change 4711'
  cutover_webhook arm erp --drill --for=1h                 then approve, then drill`,
	"approve": `  cutover_webhook approve erp --http.config.file=lead.yml
  cutover_webhook approve erp --plan-hash=HASH             only what was read before`,
	"disarm": `  cutover_webhook disarm erp --reason='postponed'`,
	"run":    `  cutover_webhook run erp --wait                           exit code: how it ended`,
	"drill": `  cutover_webhook arm erp --drill
  cutover_webhook approve erp --http.config.file=lead.yml
  cutover_webhook drill erp --wait`,
	"rollback":    `  cutover_webhook rollback erp --reason='the application does not come up'`,
	"hold":        `  cutover_webhook hold erp --reason='call with the storage team'`,
	"release":     `  cutover_webhook release erp`,
	"acknowledge": `  cutover_webhook acknowledge erp --reason='seen, change 4711 is closed'`,
}

func (c *cli) check(ctx context.Context) error {
	res, err := ask(ctx, c, func(ctl *runner.Controller) (runner.CheckResult, error) { return ctl.Check(ctx) }, "check", nil)
	if err != nil {
		return err
	}
	if c.format == "json" {
		err = c.json(res)
	} else {
		err = c.checkTable(res)
	}
	if err != nil {
		return err
	}
	for _, s := range []runner.SideStatus{res.Status.Source, res.Status.Target} {
		if s.Error != "" {
			_, _ = fmt.Fprintf(c.err, "cutover_webhook: the %s of %s cannot be read: %s\n", s.Side, res.DAG, s.Error)
		}
	}
	switch res.Readiness {
	case runner.Open:
		return nil
	case runner.Never:
		return exitOnly(exitNever)
	}
	return exitOnly(exitWait)
}

func (c *cli) plan(ctx context.Context, drill bool) error {
	query := url.Values{}
	if drill {
		query.Set("drill", "true")
	}
	res, err := ask(ctx, c, func(ctl *runner.Controller) (runner.PlanResult, error) { return ctl.Plan(ctx, drill) }, "plan", query)
	if err != nil {
		return err
	}
	if c.format == "json" {
		return c.json(res)
	}
	return c.planTable(res)
}

// ask reads the servers itself when there is a --config.file, and asks a
// running webhook when there is none.
func ask[T any](ctx context.Context, c *cli, alone func(*runner.Controller) (T, error), what string, query url.Values) (T, error) {
	var out T
	if c.configFile != "" {
		ctl, done, err := local(c.configFile, c.dag)
		if err != nil {
			return out, err
		}
		defer done()
		return alone(ctl)
	}
	cl, err := c.client.open()
	if err != nil {
		return out, err
	}
	dag, err := cl.pick(ctx, c.dag)
	if err != nil {
		return out, err
	}
	return out, cl.get(ctx, dag, what, query, &out)
}

func (c *cli) status(ctx context.Context) error {
	cl, err := c.client.open()
	if err != nil {
		return err
	}
	var list []runner.Status
	if c.dag == "" {
		if list, err = cl.list(ctx); err != nil {
			return err
		}
	} else {
		var one runner.Status
		if err := cl.get(ctx, c.dag, "", nil, &one); err != nil {
			return err
		}
		list = append(list, one)
	}
	switch {
	case c.format == "json" && c.dag != "":
		err = c.json(list[0])
	case c.format == "json":
		err = c.json(webhook.DAGs{DAGs: list})
	case len(list) == 1:
		err = c.statusText(list[0])
	default:
		err = c.statusTable(list)
	}
	if err != nil {
		return err
	}
	for _, s := range list {
		if len(s.Pages) > 0 {
			return exitOnly(exitHuman)
		}
	}
	return nil
}

func (c *cli) report(ctx context.Context, run string) error {
	cl, err := c.client.open()
	if err != nil {
		return err
	}
	dag, err := cl.pick(ctx, c.dag)
	if err != nil {
		return err
	}
	query := url.Values{"format": {c.format}}
	if run != "" {
		query.Set("run", run)
	}
	var b bytes.Buffer
	if err := cl.get(ctx, dag, "report", query, &b); err != nil {
		var list webhook.Runs
		if run == "" || cl.get(ctx, dag, "runs", nil, &list) != nil || len(list.Runs) == 0 {
			return err
		}
		ids := make([]string, len(list.Runs))
		for i, r := range list.Runs {
			ids[i] = r.ID
		}
		return fmt.Errorf("%w (newest first: %s)", err, strings.Join(ids, ", "))
	}
	_, err = c.out.Write(b.Bytes())
	return err
}

func (c *cli) act(ctx context.Context, verb string, f *actFlags) error {
	switch {
	case f.forGiven && f.until != "":
		return coded{exitConfig, errors.New("--for and --until both say when the arming ends: give one of them")}
	case f.forGiven && f.lasts <= 0:
		return coded{exitConfig, errors.New("--for must be more than nothing, such as 90m")}
	case f.forGiven:
		f.For = f.lasts.String()
	}
	if f.until != "" {
		until, err := time.Parse(time.RFC3339, f.until)
		if err != nil {
			return coded{exitConfig, errors.New("--until must be a time with its offset, such as 2026-11-25T04:00:00+01:00")}
		}
		f.Until = until
	}
	cl, err := c.client.open()
	if err != nil {
		return err
	}
	dag, err := cl.pick(ctx, c.dag)
	if err != nil {
		return err
	}
	switch verb {
	case "arm":
		var a runner.Arming
		if err := cl.post(ctx, dag, verb, f.Act, &a); err != nil {
			return err
		}
		if err := c.print("%s is armed by %s until %s\nplan %s\n", dag, a.By, a.Until.UTC().Format(time.RFC3339), a.PlanHash); err != nil {
			return err
		}
		return c.openItems(ctx, cl, dag)
	case "approve":
		return c.approve(ctx, cl, dag, f)
	case "run", "drill":
		if verb == "drill" {
			var plan runner.PlanResult
			if err := cl.get(ctx, dag, "plan", url.Values{"drill": {"true"}}, &plan); err != nil {
				return err
			}
			if err := c.unconfirmed(plan); err != nil {
				return err
			}
		}
		var s webhook.Started
		if err := cl.post(ctx, dag, verb, f.Act, &s); err != nil {
			return err
		}
		if err := c.print("%s: run %s has begun\n", dag, s.Run); err != nil || !f.wait {
			return err
		}
		return c.follow(ctx, cl, dag, s.Run)
	}
	var d webhook.Done
	if err := cl.post(ctx, dag, verb, f.Act, &d); err != nil {
		return err
	}
	return c.print("%s: %s done\n", dag, verb)
}

// openItems says which items of the checklist nobody has declared done: no run
// starts before, and a gate that is closed at night is found too late.
func (c *cli) openItems(ctx context.Context, cl *client, dag string) error {
	var s runner.Status
	if err := cl.get(ctx, dag, "", nil, &s); err != nil {
		return fmt.Errorf("it is armed, but its checklist could not be read: %w", err)
	}
	for _, item := range s.Checklist {
		if err := c.print("not declared done, and no run starts before: %s (arm again with --checklist)\n", item); err != nil {
			return err
		}
	}
	return nil
}

// approve shows what it approves, and only approves what it has shown.
func (c *cli) approve(ctx context.Context, cl *client, dag string, f *actFlags) error {
	var s runner.Status
	if err := cl.get(ctx, dag, "", nil, &s); err != nil {
		return err
	}
	if s.Arming == nil {
		return coded{exitWait, fmt.Errorf("%s is not armed: there is nothing to approve yet", dag)}
	}
	query := url.Values{}
	if s.Arming.Drill {
		query.Set("drill", "true")
	}
	var plan runner.PlanResult
	if err := cl.get(ctx, dag, "plan", query, &plan); err != nil {
		return err
	}
	if plan.Hash != s.Arming.PlanHash {
		return coded{exitNever, fmt.Errorf("the plan of %s is not the armed one any more (armed %s, now %s): arm again", dag, s.Arming.PlanHash, plan.Hash)}
	}
	if f.PlanHash != "" && f.PlanHash != plan.Hash {
		return coded{exitNever, fmt.Errorf("%s is armed with plan %s, not with %s", dag, plan.Hash, f.PlanHash)}
	}
	if err := c.planTable(plan); err != nil {
		return err
	}
	f.PlanHash = plan.Hash
	var a runner.Approval
	if err := cl.post(ctx, dag, "approve", f.Act, &a); err != nil {
		return err
	}
	return c.print("%s: %s approved plan %s\n", dag, a.By, a.PlanHash)
}

// follow prints each change of a run until it has ended or needs a human.
func (c *cli) follow(ctx context.Context, cl *client, dag, run string) error {
	last, failures := "", 0
	for {
		var s runner.Status
		err := cl.get(ctx, dag, "", nil, &s)
		switch {
		case ctx.Err() != nil:
			return errors.New("stopped following; the run goes on")
		case err != nil:
			// A webhook that restarts takes the run up again.
			if failures++; failures > 60 {
				return err
			}
		default:
			failures = 0
			if line := fmt.Sprintf("%s %s", s.Phase, s.Reason); line != last {
				last = line
				if err := c.print("%s  %-18s %s\n", s.At.UTC().Format("15:04:05.000"), s.Phase, s.Reason); err != nil {
					return err
				}
			}
			if len(s.Pages) > 0 {
				if err := c.pages(s); err != nil {
					return err
				}
				return exitOnly(exitHuman)
			}
			if s.LastRun == run && s.LastOutcome != "" && s.Run != run {
				if err := c.print("%s: %s, write-unavailable %.1f s\n", run, s.LastOutcome, s.WriteUnavailable); err != nil {
					return err
				}
				return exitOnly(outcomeCode(s.LastOutcome))
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// outcomeCode is the exit code of a run's end.
func outcomeCode(o runner.Outcome) int {
	switch o {
	case "done", "drilled":
		return exitDone
	case "aborted", "rolled_back":
		return exitRolledBack
	}
	return exitHuman
}
