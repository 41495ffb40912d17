// Package config is the one YAML schema that dag_exporter and cutover_webhook
// read, strictly: unknown keys, duplicate DAGs, a DSN without encrypt, or the
// same instance twice are errors that name file and line.
package config

// CONTRACT: the types that exporter, runner and webhook read. Extend freely;
// rename only with a reason. The loader, the defaults and the validation are
// in the other files of this package.

import "time"

// Config is one file.
type Config struct {
	DAGs    []DAG   `yaml:"dags"`
	Webhook Webhook `yaml:"webhook"`

	Path string `yaml:"-"` // where it was read from

	passwords bool // one is written out in the file itself
}

// DAG is one migration.
type DAG struct {
	Name         string   `yaml:"name"`  // unique; the dag label
	Group        string   `yaml:"group"` // the SQL Server name; default: Name
	Source       Side     `yaml:"source"`
	Target       Side     `yaml:"target"`
	Databases    []string `yaml:"databases"` // expected set; empty: whatever the source's AG holds
	Near         Near     `yaml:"near"`
	CrossVersion bool     `yaml:"cross_version"`
	Lifecycle    string   `yaml:"lifecycle"` // migrating (default) | migrated | retired
	Cutover      Cutover  `yaml:"cutover"`
}

// Side is one end: its local AG and the instances that may be primary of it.
// One of Instances (each a sqlserver:// DSN) and DSNFile (one DSN a line) is
// given; ${ENV} expands in both.
type Side struct {
	AG        string   `yaml:"ag"`
	Instances []Secret `yaml:"instances"`
	DSNFile   string   `yaml:"dsn_file"`
}

// Near bounds the queues of the state "near".
type Near struct {
	LogSendQueue Bytes `yaml:"log_send_queue"` // default 64MiB
	RedoQueue    Bytes `yaml:"redo_queue"`     // default 256MiB
}

// Cutover is what the webhook may do, and when.
type Cutover struct {
	Mode                string            `yaml:"mode"`      // dry_run (default) | execute
	StartAt             string            `yaml:"start_at"`  // near | caught_up (default) | synchronized
	AlertName           string            `yaml:"alertname"` // default follows StartAt: DAGNearConvergence, DAGConverged, DAGSynchronized
	AlertMatch          map[string]string `yaml:"alert_match"`
	AlertLease          Duration          `yaml:"alert_lease"` // default 45s
	Window              []TimeInterval    `yaml:"window"`
	NotBefore           time.Time         `yaml:"not_before"`
	NotAfter            time.Time         `yaml:"not_after"`
	MaxDuration         Duration          `yaml:"max_duration"` // of the whole run before S2; default 30m
	Approvals           *int              `yaml:"approvals"`    // default 1
	SelfApprove         bool              `yaml:"self_approve"`
	MaxWriteUnavailable Duration          `yaml:"max_write_unavailable"` // default 60s
	Checklist           []string          `yaml:"checklist"`
	Hooks               Hooks             `yaml:"hooks"`
	QuietPrograms       []string          `yaml:"quiet_programs"` // program names that may hold a write transaction at the quiet gate
	ProofBasis          string            `yaml:"proof_basis"`    // hardened (default) | end_of_log
	BlindS3             bool              `yaml:"blind_s3"`
	ProofTTL            Duration          `yaml:"proof_ttl"`        // default 10s
	SettleReadings      int               `yaml:"settle_readings"`  // default 3
	SettleInterval      Duration          `yaml:"settle_interval"`  // default 250ms
	Settle              Duration          `yaml:"settle"`           // default 2m: how long readings must show the old role before a statement of unknown outcome counts as not taken
	RequireExposure     Duration          `yaml:"require_exposure"` // default 15s: longest time that RSSTC=1 may stand before S2
	SplitWatch          Duration          `yaml:"split_watch"`      // default 10m
	BackToAsync         bool              `yaml:"back_to_async"`    // step 12: set the DAG to asynchronous commit again
}

// Hooks run around the cutover. Each must be idempotent.
type Hooks struct {
	Quiesce   Hook `yaml:"quiesce"`
	Unquiesce Hook `yaml:"unquiesce"`
	Repoint   Hook `yaml:"repoint"`
	After     Hook `yaml:"after"`
}

// Hook is an argv or a URL (POST); the zero Hook is none.
type Hook struct {
	Command []string `yaml:"command"`
	URL     Secret   `yaml:"url"`
	Timeout Duration `yaml:"timeout"` // default 30s
}

// IsZero reports that there is no hook.
func (h Hook) IsZero() bool { return len(h.Command) == 0 && h.URL == "" }

// Webhook is the part that only cutover_webhook reads.
type Webhook struct {
	Roles Roles `yaml:"roles"`
}

// Roles lists who may do what, by certificate SAN or Basic user; "*" is any
// authenticated identity.
type Roles struct {
	Receiver []string `yaml:"receiver"`
	Viewer   []string `yaml:"viewer"`
	Operator []string `yaml:"operator"`
	Approver []string `yaml:"approver"`
}

// Secret is text that never prints: String, GoString and the marshallers say
// <secret>.
type Secret string

const redacted = "<secret>"

// String hides the secret.
func (Secret) String() string { return redacted }

// GoString hides the secret.
func (Secret) GoString() string { return redacted }

// MarshalYAML hides the secret.
func (Secret) MarshalYAML() (any, error) { return redacted, nil }

// MarshalText hides the secret (JSON, slog).
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Reveal is the secret itself, for the one place that needs it.
func (s Secret) Reveal() string { return string(s) }

// Bytes is a size, written as 64MiB, 1GiB, 512KiB or a plain number.
type Bytes int64

// Duration is written as 45s, 2m, 250ms.
type Duration time.Duration

// D is the time.Duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

// TimeInterval is Alertmanager's time_intervals entry: times, weekdays,
// days_of_month, months, years, location.
type TimeInterval struct {
	Times       []TimeRange `yaml:"times"`
	Weekdays    []string    `yaml:"weekdays"`
	DaysOfMonth []string    `yaml:"days_of_month"`
	Months      []string    `yaml:"months"`
	Years       []string    `yaml:"years"`
	Location    string      `yaml:"location"`
}

// TimeRange is a half-open range of a day; 22:00 to 02:00 must be written as two.
type TimeRange struct {
	StartTime string `yaml:"start_time"`
	EndTime   string `yaml:"end_time"`
}
