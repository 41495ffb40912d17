package lab

import (
	"fmt"

	"github.com/dag-exporter/dag_exporter/internal/lab/alter"
	"github.com/dag-exporter/dag_exporter/internal/lab/model"
)

// setHADR runs ALTER DATABASE … SET HADR on one instance's copy.
func setHADR(m *model.Model, c *model.Copy, st alter.HADR) *model.Error {
	switch st.Action {
	case "SUSPEND":
		return m.Suspended(c)
	case "RESUME":
		return m.Resumed(c)
	case "OFF":
		return m.Off(c)
	}
	return m.Join(c, st.Group)
}

// SetHADR runs an ALTER DATABASE … SET HADR as sysadmin would: on a side's present primary, or on an instance above 0.
func (c *Control) SetHADR(side Side, instance int, st alter.HADR) error {
	var err error
	if e := c.model(func(m *model.Model) {
		i := m.PrimaryOf(side)
		if list := m.Instances(side); instance > 0 && instance < len(list) {
			i = list[instance]
		} else if instance != 0 {
			err = fmt.Errorf("no instance %d on side %d", instance, side)
			return
		}
		d := i.Copy(st.Database)
		if d == nil {
			err = fmt.Errorf("no database %q", st.Database)
			return
		}
		err = asError(setHADR(m, d, st))
	}); e != nil {
		return e
	}
	return err
}

// Seed takes an instance's copy out of its group and lets it be seeded automatically from its primary: the forwarder's from the global
// primary over the link, a secondary's from its own primary. bytes is how much there is to copy, 0 the size of the data file. With fail,
// a failure_state of sys.dm_hadr_automatic_seeding, it fails half way; below 0 it does not.
func (c *Control) Seed(side Side, instance int, db string, bytes int64, fail int) error {
	if _, known := model.SeedingReason(fail); fail >= 0 && !known {
		return fmt.Errorf("failure_state %d is not documented", fail)
	}
	return c.withDB(side, instance, db, func(m *model.Model, d *model.Copy) error { return asError(m.Seed(d, bytes, fail)) })
}
