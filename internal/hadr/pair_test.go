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
