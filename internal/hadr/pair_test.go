package hadr

import "testing"

func TestFolder(t *testing.T) {
	for _, tt := range []struct {
		a, b                string
		sensitive, insensit bool
	}{
		{"erp", "erp", true, true},
		{"erp", "ERP", false, true},
		{"erp", "erp  ", true, true}, // SQL Server never tells trailing blanks apart
		{"erp", " erp", false, false},
		{"größe", "GRÖßE", false, true},
		{"ΣΊΣΥΦΟΣ", "σίσυφος", false, true}, // final sigma is in the orbit
		{"a]b'c", "A]B'C", false, true},
		{"🚚", "🚚", true, true},
		{"🚚", "🚛", false, false},
	} {
		if got := folder(true)(tt.a) == folder(true)(tt.b); got != tt.sensitive {
			t.Errorf("case-sensitive %q = %q is %v", tt.a, tt.b, got)
		}
		if got := folder(false)(tt.a) == folder(false)(tt.b); got != tt.insensit {
			t.Errorf("case-insensitive %q = %q is %v", tt.a, tt.b, got)
		}
	}
}

// Which of two copies a name means cannot be told: none of them is shown
// under it, nor any of their LSNs.
func TestAmbiguousNamesShowNoCopy(t *testing.T) {
	source, target := healthy("db1", "db2")
	source.Databases[1].Name = "Db1"
	d := Compare(source, target, options).Database("db1")
	if d == nil || d.Source != nil || d.Target != nil || d.SourceHardened.Known() || d.SourceEndOfLog.Known() || d.TargetHardened.Known() || d.TargetEndOfLog.Known() ||
		d.LinkHardened.Known() || d.Hardened.Known() || d.EndOfLog.Known() || d.CommitLag.OK {
		t.Errorf("%+v", d)
	}
}
