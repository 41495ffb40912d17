package model

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Side is one half of the migration, as configured: it keeps its name whatever its role is.
type Side int

// The two sides.
const (
	Source Side = iota
	Target
)

// Other is the opposite side.
func (s Side) Other() Side { return 1 - s }

func (s Side) String() string {
	if s == Source {
		return "source"
	}
	return "target"
}

// Role is sys.dm_hadr_availability_replica_states.role.
type Role int

// The roles.
const (
	Resolving Role = iota
	Primary
	Secondary
)

func (r Role) String() string { return [...]string{"RESOLVING", "PRIMARY", "SECONDARY"}[r] }

// Mode is availability_mode: 0 asynchronous, 1 synchronous commit.
type Mode int

// The commit modes.
const (
	Async Mode = iota
	Sync
)

func (m Mode) String() string {
	if m == Sync {
		return "SYNCHRONOUS_COMMIT"
	}
	return "ASYNCHRONOUS_COMMIT"
}

// ClusterType is sys.availability_groups.cluster_type.
type ClusterType int

// The cluster types.
const (
	WSFC ClusterType = iota
	External
	None
)

// Access is secondary_role_allow_connections: who may read a database whose replica is not the writable one.
type Access int

// The kinds of access. ReadOnly asks for ApplicationIntent=ReadOnly (978).
const (
	AllowNo Access = iota
	AllowReadOnly
	AllowAll
)

// InstanceConfig is one SQL Server instance.
type InstanceConfig struct {
	ServerName  string         // @@SERVERNAME; default N1, N2 (with a suffix for further instances of a side)
	Major       int            // product major version 13…17; default 16
	Edition     string         // default Enterprise Edition (64-bit)
	Linux       bool           // host_platform Linux; default Windows
	ClockOffset time.Duration  // its clock runs ahead by this much
	Zone        *time.Location // of its wall clock: datetimes of the views and GETDATE, but not the _utc columns and SYSUTCDATETIME; default UTC
	Flush       time.Duration  // time to harden a log block; default 1 ms
	Managed     bool           // an Azure SQL Managed Instance: EngineEdition 8; what else differs there is not modelled
	RedoKBps    int64          // redo speed in KB/s; default 50,000; negative: redo stands still
}

// clock is what the instance's wall clock shows at the true time t.
func (c InstanceConfig) clock(t time.Time) time.Time {
	t = t.Add(c.ClockOffset)
	if c.Zone == nil {
		return t.UTC()
	}
	return t.In(c.Zone)
}

// SideConfig is one side: an availability group and its instances. The first instance is primary.
type SideConfig struct {
	AG          string // default OnPremAG, AzureAG
	Instances   []InstanceConfig
	LocalAsync  bool // local replicas commit asynchronously: last_hardened_lsn is NULL on the primary (the documented default until the cutover)
	LocalRSSTC  int  // required_synchronized_secondaries_to_commit of the local AG
	BlockBytes  int  // log block (sector) size when this side writes: 512 or 4096; default 512
	ClusterType ClusterType
	Access      Access // default AllowAll, set by Defaults unless AccessSet
	AccessSet   bool   // Access was chosen, also when it is AllowNo
	ListenerURL string // default tcp://<ag>-listener:5022
	Collation   string // server and database collation; default SQL_Latin1_General_CP1_CI_AS
	Contained   bool   // is_contained
	Second      string // name of a further distributed AG in which this side's AG is primary; empty: none
}

// LogConfig is what the databases' logs look like at the start.
type LogConfig struct {
	StartVLF uint32 // VLF number of the first block; default 42
	VLFBytes int64  // default 64 MiB; small values make VLFs roll over often
	Size     int64  // log file size; default 8 GiB; an INSERT that does not fit fails with 9002
}

// LinkConfig is a network path.
type LinkConfig struct {
	Latency   time.Duration // one way
	Bandwidth int64         // bytes per second; 0: unlimited
}

// Timing is how long things take. Zero values become the defaults, negative ones zero.
type Timing struct {
	Modify         time.Duration // S1, RSSTC, MODIFY REPLICA: accepted → visible; 20 ms
	Demote         time.Duration // S2: accepted → the role is lost; 150 ms
	Resolving      time.Duration // RESOLVING between two roles; 100 ms
	Failover       time.Duration // S3: accepted → PRIMARY; 200 ms
	Recovery       time.Duration // per database, PRIMARY → ONLINE, besides the redo queue; 300 ms
	Relink         time.Duration // after S3: NOT SYNCHRONIZING with LSN 0 on the new primary's DAG rows; 1 s
	Undo           time.Duration // after S2: until open transactions are rolled back in the old primary's log; 300 ms
	Revert         time.Duration // REVERTING before a diverged copy follows again; 300 ms
	Reconnect      time.Duration // after a healed link or a start; 500 ms
	SessionTimeout time.Duration // 10 s
	LazyFlush      time.Duration // unflushed log of an open transaction reaches the disk; 500 ms
	Background     time.Duration // mean time between a database's background log writes (checkpoint, ghost cleanup); 20 s; negative: none
}

// Config is a whole pair.
type Config struct {
	Seed      uint64
	DAG       string // default DAG
	Sides     [2]SideConfig
	Databases []string // default db001…db003
	DAGMode   Mode     // both members, both sides' copies; default Async
	Log       LogConfig
	Link      LinkConfig // between the sides; default 2 ms, 125 MB/s
	LocalLink LinkConfig // inside a side; default 200 µs, unlimited
	Timing    Timing
	Assume    Assumptions
}

func setDuration(d *time.Duration, def time.Duration) {
	switch {
	case *d == 0:
		*d = def
	case *d < 0:
		*d = 0
	}
}

func setString(s *string, def string) {
	if *s == "" {
		*s = def
	}
}

// Names gives n database names: db001, db002, …
func Names(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("db%03d", i+1)
	}
	return names
}

// Defaults fills what was left out and says what cannot be.
func (c *Config) Defaults() error {
	setString(&c.DAG, "DAG")
	if len(c.Databases) == 0 {
		c.Databases = Names(3)
	}
	if c.Log.StartVLF == 0 {
		c.Log.StartVLF = 42
	}
	if c.Log.VLFBytes == 0 {
		c.Log.VLFBytes = 64 << 20
	}
	if c.Log.Size == 0 {
		c.Log.Size = 8 << 30
	}
	if c.Log.VLFBytes < 4096 || c.Log.VLFBytes%4096 != 0 {
		return errors.New("VLF size must be a multiple of 4096 bytes")
	}
	if c.Link == (LinkConfig{}) {
		c.Link = LinkConfig{Latency: 2 * time.Millisecond, Bandwidth: 125_000_000}
	}
	if c.LocalLink == (LinkConfig{}) {
		c.LocalLink = LinkConfig{Latency: 200 * time.Microsecond}
	}
	t := &c.Timing
	if t.Background == 0 {
		t.Background = 20 * time.Second
	}
	for _, d := range []struct {
		p   *time.Duration
		def time.Duration
	}{
		{&t.Modify, 20 * time.Millisecond}, {&t.Demote, 150 * time.Millisecond}, {&t.Resolving, 100 * time.Millisecond},
		{&t.Failover, 200 * time.Millisecond}, {&t.Recovery, 300 * time.Millisecond}, {&t.Relink, time.Second},
		{&t.Undo, 300 * time.Millisecond}, {&t.Revert, 300 * time.Millisecond}, {&t.Reconnect, 500 * time.Millisecond},
		{&t.SessionTimeout, 10 * time.Second}, {&t.LazyFlush, 500 * time.Millisecond},
	} {
		setDuration(d.p, d.def)
	}
	for i := range c.Sides {
		if err := c.Sides[i].defaults(Side(i)); err != nil {
			return fmt.Errorf("%s: %w", Side(i), err)
		}
	}
	return c.checkNames()
}

// caseSensitive tells whether names that differ by case alone are two: a collation with CS or BIN in its name.
func (s *SideConfig) caseSensitive() bool {
	name := strings.ToUpper(s.Collation)
	return strings.Contains(name, "_CS") || strings.Contains(name, "_BIN")
}

// checkNames refuses databases that a server could not tell apart.
func (c *Config) checkNames() error {
	seen := map[string]bool{}
	for _, db := range c.Databases {
		for _, name := range []string{db, strings.ToLower(db)} {
			if name == db && seen[name] || name != db && seen[name] && !(c.Sides[0].caseSensitive() && c.Sides[1].caseSensitive()) {
				return fmt.Errorf("database %q is there twice: names that differ by case alone need a case-sensitive collation on both sides", db)
			}
		}
		seen[db] = true
		if !c.Sides[0].caseSensitive() || !c.Sides[1].caseSensitive() {
			seen[strings.ToLower(db)] = true
		}
	}
	// A backup of a newer version cannot be restored on an older one: such a pair
	// cannot have come about.
	if src, tgt := c.Sides[0].Instances[0].Major, c.Sides[1].Instances[0].Major; src > tgt {
		return fmt.Errorf("the target's version (%d) is older than the source's (%d): its databases could not have been seeded", tgt, src)
	}
	return nil
}

func (s *SideConfig) defaults(side Side) error {
	setString(&s.AG, [...]string{"OnPremAG", "AzureAG"}[side])
	setString(&s.Collation, "SQL_Latin1_General_CP1_CI_AS")
	setString(&s.ListenerURL, "tcp://"+s.AG+"-listener:5022")
	if s.BlockBytes == 0 {
		s.BlockBytes = 512
	}
	if s.BlockBytes != 512 && s.BlockBytes != 4096 {
		return errors.New("log block size must be 512 or 4096")
	}
	if !s.AccessSet {
		s.Access, s.AccessSet = AllowAll, true
	}
	if len(s.Instances) == 0 {
		s.Instances = make([]InstanceConfig, 1)
	}
	if len(s.Instances) > 3 {
		return errors.New("at most three instances")
	}
	for i := range s.Instances {
		in := &s.Instances[i]
		name := fmt.Sprintf("N%d", side+1)
		if i > 0 {
			name += string(rune('a' + i))
		}
		setString(&in.ServerName, name)
		if in.Managed {
			setString(&in.Edition, "SQL Azure")
		}
		setString(&in.Edition, "Enterprise Edition (64-bit)")
		if in.Major == 0 {
			in.Major = 16
		}
		if in.Major < 13 || in.Major > 17 {
			return fmt.Errorf("version %d: the lab knows 13 to 17", in.Major)
		}
		setDuration(&in.Flush, time.Millisecond)
		if in.RedoKBps == 0 {
			in.RedoKBps = 50_000
		}
	}
	return nil
}

func (s *SideConfig) localMode() Mode {
	if s.LocalAsync {
		return Async
	}
	return Sync
}
